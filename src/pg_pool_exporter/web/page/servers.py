"""Each server: its slots, lock waits, and sessions idle in transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.model import SessionKey
from pg_pool_exporter.web.links import Links
from pg_pool_exporter.web.page.drawing import bar
from pg_pool_exporter.web.page.markup import Html, element, join, left_out, linked, name, section
from pg_pool_exporter.web.page.tables import row, table

MAX_SERVERS = 100
_MAX_ROWS = 20
_LOCKS = ("Sessions of", "Waiting", "Longest wait", "Blocking others")
_IDLE = ("Sessions of", "Sessions", "Longest")


def servers_section(servers: Sequence[ServerView], links: Links) -> Html | None:
    """The fullest first; None without any."""
    if not servers:
        return None
    fullest = sorted(servers, key=lambda one: -one.sample.used / max(1, one.available))
    return section(
        "servers",
        "Servers",
        join(_server(one, links) for one in fullest[:MAX_SERVERS]),
        left_out(len(servers) - MAX_SERVERS, "more servers are not shown."),
    )


def _server(server: ServerView, links: Links) -> Html:
    used, available = server.sample.used, server.available
    words = f"{used} of {available} slots in use"
    if server.pools_max is not None:
        words += f"; all pools together may open {server.pools_max:g}"
    if server.deadlock_count:
        words += f"; {server.deadlock_count:g} deadlocks in the last 15 minutes"
    return element(
        "article",
        element(
            "h3", linked(name(server.name), links.server(server.name)), " ",
            element("small", f"PostgreSQL {server.sample.settings.version}"),
        ),
        bar((("active", used),), available, words),
        element("p", words),
        _table("Lock waits", _LOCKS, list(_locks(server))),
        _table(
            "Idle in transaction for too long",
            _IDLE,
            list(_idle_in_transaction(server)),
        ),
        class_="server",
    )  # fmt: skip


def _locks(server: ServerView) -> Iterator[Html]:
    groups = sorted(
        server.sample.groups.items(),
        key=lambda item: (-(item[1].blocking or 0), -(item[1].waiting or 0)),
    )
    for key, group in groups:
        if group.waiting or group.blocking:
            wait = spell(group.oldest_waiting) if group.oldest_waiting is not None else None
            yield row(
                _LOCKS, _sessions_of(key), _count(group.waiting), wait, _count(group.blocking)
            )


def _idle_in_transaction(server: ServerView) -> Iterator[Html]:
    found = []
    for key, group in server.sample.sessions.items():
        sessions = AppSessions([group])
        limit = server.thresholds.of_sessions(key.sessions.application)
        count = sessions.count(*IN_TRANSACTION, longer_than=limit.idle_in_transaction)
        if count:
            found.append((sessions.oldest(*IN_TRANSACTION) or 0.0, count, key))
    for oldest, count, key in sorted(found, reverse=True):
        yield row(_IDLE, _sessions_of(key.sessions, key.address), str(count), spell(oldest))


def _table(caption: str, columns: Sequence[str], rows: Sequence[Html]) -> Html | None:
    if not rows:
        return None
    more = len(rows) - _MAX_ROWS
    return join(
        _without_none(
            table(caption, columns, rows[:_MAX_ROWS]),
            element("p", number(more, "more row", "more rows")) if more > 0 else None,
        )
    )


def _sessions_of(key: SessionKey, address: str = "") -> Html:
    where = f", from {address}" if address else ""
    return join(
        [
            name(key.application or "no application_name"),
            element("small", name(f"{key.user} in {key.database}{where}")),
        ]
    )


def _count(sessions: int | None) -> str | None:
    return str(sessions) if sessions else None


def _without_none(*parts: Html | None) -> Iterable[Html]:
    return (part for part in parts if part is not None)
