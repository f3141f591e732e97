"""The text before and after sessions are ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.commands.terminate_idle.sessions import Choice, Ended
from pg_pool_exporter.redaction import printable, printable_lines
from pg_pool_exporter.sources.queries.rows import ListedSession

_NO_CURE = (
    "This ends sessions. It does not return a leaked connection to its pool: only the application\n"
    "does, or a restart of its process.\n"
)


def written(
    server: str,
    choice: Choice,
    sessions: Mapping[ListedSession, str | None],
    statement: str,
    ended: Ended | None,
) -> str:
    """The text. `sessions` have the reason why each is left alone; `ended` is None before."""
    return "\n".join(_lines(server, choice, sessions, statement, ended))


def nothing_idle(server: str, choice: Choice, applications: Mapping[str, int]) -> str:
    """The text when a choice has no session; `applications`: sessions of each, in any state."""
    older = spell(choice.older_than)
    text = f"Server {server}: no session of {_subject(choice)} is idle for {older} or longer.\n"
    if choice.application is None:
        return text
    own = applications.get(choice.application, 0)
    if own:
        return f"{text}It has {number(own, 'other session', 'other sessions')}.\n"
    names = ", ".join(
        f"{printable(name) or '(none)'} ({count})" for name, count in applications.items()
    )
    return f"{text}No session has that application_name. There are: {names or 'none'}.\n"


def _lines(
    server: str,
    choice: Choice,
    sessions: Mapping[ListedSession, str | None],
    statement: str,
    ended: Ended | None,
) -> Iterator[str]:
    meant = [one for one, reason in sessions.items() if reason is None]
    count, spared = number(len(meant), "session", "sessions"), len(sessions) - len(meant)
    yield f"Server {server}, {_subject(choice)}: {count} to end, {spared} left alone."
    for session, reason in sessions.items():
        yield f"  {_described(session)}: {_fate(session, reason, ended)}"
    if not meant:
        yield ""
        return
    tense = "ends" if ended is None else "ended"
    yield f"\nThe SQL that {tense} them:\n\n{printable_lines(statement)}"
    if ended is None:
        yield "\nNothing has been done. The same command with --yes ends them."
    yield f"\n{_NO_CURE}"


def _subject(choice: Choice) -> str:
    if choice.pid is not None:
        return f"process {choice.pid}"
    return printable(f"application {choice.application}")


def _described(session: ListedSession) -> str:
    idle = (
        f"idle for {spell(max(0.0, session.idle_seconds))}"
        if session.idle_seconds is not None and session.state == "idle"
        else session.state or "state not seen"
    )
    return printable(
        f"pid {session.pid}, {idle}, role {session.user}, database {session.database}, "
        f"application {session.application or '(none)'}, from {session.client}"
    )


def _fate(session: ListedSession, reason: str | None, ended: Ended | None) -> str:
    if reason is not None:
        return f"left alone, {printable(reason)}"
    if ended is None:
        return "would be ended"
    if session.pid in ended.remaining:
        return "signalled, but still there: its process hangs, check it on its host"
    if session.pid in ended.signalled:
        return "ended"
    return "left alone, it ended or became active meanwhile"
