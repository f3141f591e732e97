"""The pools of bouncers as bars: those with waiting clients first."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis.bouncer_view import BouncerPoolView
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.web.page.drawing import bar
from pg_pool_exporter.web.page.markup import Html, element, join, name
from pg_pool_exporter.web.page.tables import row, table

MAX_POOLS = 500
_COLUMNS = ("Pool", "Connections", "Utilisation", "Longest wait")


def bouncers_section(pools: Sequence[BouncerPoolView]) -> Html | None:
    """The table, in the order of `pools`; None without any."""
    if not pools:
        return None
    more = len(pools) - MAX_POOLS
    return element(
        "section",
        element("h2", "Pools of bouncers"),
        table(
            f"{number(len(pools), 'pool', 'pools')}, the worst first",
            _COLUMNS,
            (_row(pool) for pool in pools[:MAX_POOLS]),
            "pools",
        ),
        element("p", f"{more} more pools are not shown; the metrics have all of them.")
        if more > 0
        else None,
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
