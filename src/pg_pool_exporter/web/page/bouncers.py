"""The pools of bouncers as bars: those with waiting clients first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pg_pool_exporter.analysis.correlate.chain import Holder
from pg_pool_exporter.analysis.findings.wording import biggest, number, spell
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView
from pg_pool_exporter.analysis.records.limit_chain import Link
from pg_pool_exporter.web.page.drawing import bar
from pg_pool_exporter.web.page.markup import (
    POOLS_LEFT_OUT,
    Html,
    element,
    join,
    left_out,
    name,
    section,
)
from pg_pool_exporter.web.page.tables import row, table

MAX_POOLS = 500
MAX_HOLDERS = 20
"""Rows of the chain."""
_COLUMNS = ("Pool", "Connections", "Utilisation", "Longest wait")
MAX_LIMITS = 50
_LIMITS = ("Limit of", "Setting", "May be asked for", "Allowed", "Suffices")
_CHAIN = ("Client", "Pool of the bouncer", "Last request", "Session of the server", "State")


def bouncers_section(
    pools: Sequence[BouncerPoolView], limits: Mapping[str, Sequence[Link]]
) -> Html | None:
    """The tables of the pools, in their order, and of the limits; None without pools."""
    if not pools:
        return None
    return section(
        "bouncers",
        "Pools of bouncers",
        table(
            f"{number(len(pools), 'pool', 'pools')}, the worst first",
            _COLUMNS,
            (_row(pool) for pool in pools[:MAX_POOLS]),
            "pools",
        ),
        left_out(len(pools) - MAX_POOLS, POOLS_LEFT_OUT),
        _chain(pools),
        _limits(limits),
    )


def _limits(limits: Mapping[str, Sequence[Link]]) -> Html | None:
    """What may be asked of each limit; the first to give is marked."""
    rows = [
        (bouncer, link, link == min(links, key=lambda one: one.reached_at))
        for bouncer, links in limits.items()
        for link in links
    ]
    if not rows:
        return None
    return join(
        [
            table(
                "Limits, from the pools to the server",
                _LIMITS,
                (_limit(*one) for one in rows[:MAX_LIMITS]),
                "limits",
            ),
            left_out(len(rows) - MAX_LIMITS) or "",
        ]
    )


def _limit(bouncer: str, link: Link, gives_first: bool) -> Html:
    demand = f"{link.demand:g}, by {biggest(link.demanded_by)}"
    return row(
        _LIMITS,
        join([name(link.whose), element("small", name(bouncer))]),
        link.setting,
        demand,
        f"{link.most:g}",
        (f"for {link.reached_at:.0%}" if link.is_short else "for all")
        + (", the first to give" if gives_first else ""),
        kind="warning" if link.is_short else "",
    )


def _chain(pools: Sequence[BouncerPoolView]) -> Html | None:
    """Who has the connections of pools whose clients wait, or keeps one and does nothing."""
    holders = [(pool, one) for pool in pools for one in pool.worth_showing]
    if not holders:
        return None
    return join(
        [
            table(
                "Clients that have a connection to the server, the oldest request of a pool first",
                _CHAIN,
                (_holder(pool, one) for pool, one in holders[:MAX_HOLDERS]),
                "chain",
            ),
            left_out(len(holders) - MAX_HOLDERS) or "",
        ]
    )


def _holder(pool: BouncerPoolView, holder: Holder) -> Html:
    hold, backend = holder.hold, holder.backend
    client = f"{hold.address}:{hold.port}" if hold.address else "unix socket"
    state = "" if backend is None else backend.state.replace("_", " ")
    opened = ""
    if backend is not None and backend.transaction is not None and backend.state != "idle":
        opened = f", transaction open for {spell(backend.transaction)}"
    return row(
        _CHAIN,
        join([name(hold.application or "no application_name"), element("small", client)]),
        str(pool),
        None if hold.silent_for is None else f"{spell(hold.silent_for)} ago",
        None if backend is None else f"process {hold.pid} of {holder.server}",
        f"{state} for {spell(backend.age)}{opened}" if backend is not None else None,
        kind="problem" if holder in pool.silent_holders else "",
    )


def _row(pool: BouncerPoolView) -> Html:
    waited = pool.sample.oldest_waiting
    return row(
        _COLUMNS,
        join(
            [
                name(f"{pool.key.database}/{pool.key.user}"),
                element("small", name(pool.bouncer)),
            ]
        ),
        _connections(pool),
        f"{pool.utilisation:.0%}" if pool.utilisation is not None else None,
        spell(waited) if waited and pool.waiting else None,
        kind="problem" if pool.is_saturated else "",
    )


def _connections(pool: BouncerPoolView) -> Html:
    limit = "no limit" if pool.max is None else f"of {pool.max:g}"
    words = f"{pool.active:g} in use, {pool.idle:g} idle, {limit}; {pool.waiting:g} waiting"
    parts = (("active", pool.active), ("idle", pool.idle))
    return join(
        [
            bar(parts, pool.max or pool.active + pool.idle, words, pool.waiting),
            element("small", words, aria_hidden="true"),
        ]
    )
