"""Chooses the sessions to end. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pg_pool_exporter.analysis.findings.wording import spell
from pg_pool_exporter.sources.queries.rows import ListedSession


class Choice(NamedTuple):
    """Sessions idle for longer than `older_than` seconds: an application's, or a single one."""

    older_than: float
    application: str | None = None
    pid: int | None = None


class Ended(NamedTuple):
    """The result for the sessions to end, by process id."""

    signalled: frozenset[int]
    """Sessions that PostgreSQL signalled."""
    remaining: frozenset[int]
    """Those of them that did not end in time."""


def reason_to_spare(session: ListedSession, choice: Choice) -> str | None:
    """Why a session is left alone; None when it is to end."""
    if session.hidden:
        return "its activity is hidden: GRANT pg_monitor to the exporter's role"
    if session.backend_type != "client backend":
        return f"it is no client backend but a {session.backend_type}"
    if session.state != "idle":
        return f"it is {session.state or 'in no known state'}"
    if session.idle_seconds is None or session.idle_seconds < choice.older_than:
        return f"it has been idle for {spell(max(0.0, session.idle_seconds or 0.0))} only"
    if not session.may_end:
        return (
            f"no right to end a session of role {session.user}: GRANT pg_signal_backend to the "
            "exporter's role (only a superuser can end a superuser's session)"
        )
    return None
