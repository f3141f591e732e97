"""What a person reads before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pg_pool_exporter.findings.wording import number, plain, spell
from pg_pool_exporter.terminate_idle.sessions import Choice, Ended, ListedSession

_NO_CURE = (
    "This ends sessions. It does not give a leaked slot back to its pool: only returning the\n"
    "connection, or restarting the process, does.\n"
)


def written(
    server: str,
    choice: Choice,
    sessions: Mapping[ListedSession, str | None],
    statement: str,
    ended: Ended | None,
) -> str:
    """The text. `sessions` come with the reason why one is left alone; `ended` is None as long as
    nothing has been done.
    """
    return "\n".join(_lines(server, choice, sessions, statement, ended))


def _lines(
    server: str,
    choice: Choice,
    sessions: Mapping[ListedSession, str | None],
    statement: str,
    ended: Ended | None,
) -> Iterator[str]:
    of = f"application {choice.application}" if choice.pid is None else f"process {choice.pid}"
    if not sessions:
        older = spell(choice.older_than)
        yield f"Server {server}: no session of {plain(of)} is idle for {older} or longer.\n"
        return
    meant = [one for one, reason in sessions.items() if reason is None]
    count = number(len(meant), "session", "sessions")
    yield f"Server {server}, {plain(of)}: {count} to end, {len(sessions) - len(meant)} left alone."
    for session, reason in sessions.items():
        yield f"  {_described(session)}: {_fate(session, reason, ended)}"
    if not meant:
        yield ""
        return
    if ended is None:
        yield f"\nThe SQL that ends them:\n\n{_plain_lines(statement)}"
        yield "\nNothing has been done. The same command with --yes ends them."
    yield f"\n{_NO_CURE}"


def _described(session: ListedSession) -> str:
    idle = (
        f"idle for {spell(max(0.0, session.idle_seconds))}"
        if session.idle_seconds is not None and session.state == "idle"
        else session.state or "state not seen"
    )
    return plain(
        f"pid {session.pid}, {idle}, role {session.user}, database {session.database}, "
        f"application {session.application or '(none)'}, from {session.client}"
    )


def _fate(session: ListedSession, reason: str | None, ended: Ended | None) -> str:
    if reason is not None:
        return f"left alone, {plain(reason)}"
    if ended is None:
        return "would be ended"
    if session.pid in ended.remaining:
        return "told to end, but still there: its process does not answer, look at it on its host"
    if session.pid in ended.signalled:
        return "ended"
    return "left alone, it has gone or done something meanwhile"


def _plain_lines(text: str) -> str:
    """Several lines, each without what a terminal would obey."""
    return "\n".join(map(plain, text.splitlines()))
