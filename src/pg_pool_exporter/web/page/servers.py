"""Each server: its slots, who waits for locks and who is in the way, forgotten transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pg_pool_exporter.analysis import Server
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.config.thresholds import IDLE_IN_TRANSACTION
from pg_pool_exporter.model import SessionKey
from pg_pool_exporter.web.page.drawing import bar
from pg_pool_exporter.web.page.markup import Html, element, join, name
from pg_pool_exporter.web.page.tables import row, table

MOST_SERVERS = 100
_MOST_ROWS = 20
_LOCKS = ("Sessions of", "Wait", "Longest wait", "In the way of others")
_ZOMBIES = ("Sessions of", "Open and idle", "Longest")


def servers_section(servers: Sequence[Server]) -> Html | None:
    """The fullest first; None without any."""
    if not servers:
        return None
    fullest = sorted(servers, key=lambda one: -one.sample.used / max(1, one.available))
    more = len(servers) - MOST_SERVERS
    return element(
        "section",
        element("h2", "Servers"),
        join(_server(one) for one in fullest[:MOST_SERVERS]),
        element("p", f"{more} more servers are not shown.") if more > 0 else None,
    )


def _server(server: Server) -> Html:
    used, available, demand = server.sample.used, server.available, server.demand
    words = f"{used} of {available} slots taken"
    if demand is not None:
        words += f"; all pools together may ask for {demand:g}"
    if server.deadlocks:
        words += f"; {sum(server.deadlocks.values()):g} deadlocks in the last 15 minutes"
    return element(
        "article",
        element(
            "h3", name(server.name), " ",
            element("small", f"PostgreSQL {server.sample.settings.version}"),
        ),
        bar((("active", used),), available, words),
        element("p", words),
        _table("Who waits for a lock, and who is in the way", _LOCKS, list(_locks(server))),
        _table(
            f"Transactions in which nothing has happened for {spell(IDLE_IN_TRANSACTION)}",
            _ZOMBIES,
            list(_zombies(server)),
        ),
        class_="server",
    )  # fmt: skip


def _locks(server: Server) -> Iterator[Html]:
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


def _zombies(server: Server) -> Iterator[Html]:
    found = []
    for key, backends in server.sample.sessions.items():
        sessions = AppSessions([backends])
        count = sessions.count(*IN_TRANSACTION, longer_than=IDLE_IN_TRANSACTION)
        if count:
            found.append((sessions.oldest(*IN_TRANSACTION) or 0.0, count, key))
    for oldest, count, key in sorted(found, reverse=True):
        yield row(_ZOMBIES, _sessions_of(key.sessions, key.address), str(count), spell(oldest))


def _table(caption: str, columns: Sequence[str], rows: Sequence[Html]) -> Html | None:
    if not rows:
        return None
    more = len(rows) - _MOST_ROWS
    return join(
        _without_none(
            table(caption, columns, rows[:_MOST_ROWS]),
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
