"""Which sessions are meant. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pg_pool_exporter.analysis.wording import spell
from pg_pool_exporter.sources.queries.rows import ListedSession


class Choice(NamedTuple):
    """Sessions that are idle for longer than so many seconds: an application's, or a single one."""

    older_than: float
    application: str | None = None
    pid: int | None = None


class Ended(NamedTuple):
    """What has become of the sessions that were meant, by process id."""

    signalled: frozenset[int]
    """Told to end."""
    remaining: frozenset[int]
    """Of these the ones that were still there in the end."""


def reason_to_spare(session: ListedSession, choice: Choice) -> str | None:
    """Why a session is left alone; None when it is meant."""
    if session.hidden:
        return "what it does can't be seen: GRANT pg_monitor to the role that asks"
    if session.backend_type != "client backend":
        return f"it is no client's but a {session.backend_type}"
    if session.state != "idle":
        return f"it is {session.state or 'in no known state'}"
    if session.idle_seconds is None or session.idle_seconds < choice.older_than:
        return f"it is idle for {spell(max(0.0, session.idle_seconds or 0.0))} only"
    if not session.may_end:
        return (
            f"no right to end a session of role {session.user}: GRANT pg_signal_backend to the "
            "role that asks (a superuser's only a superuser can end)"
        )
    return None
