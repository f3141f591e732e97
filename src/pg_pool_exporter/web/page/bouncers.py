"""The pools of bouncers as bars: those whose clients wait first."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis import BouncersPool
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.web.page.drawing import bar
from pg_pool_exporter.web.page.markup import Html, element, join, name
from pg_pool_exporter.web.page.tables import row, table

MOST_POOLS = 500
_MOST_IN_BRIEF = 5
_COLUMNS = ("Pool", "Connections", "Use", "Longest wait")


def crowded_in_brief(pools: Sequence[BouncersPool]) -> Html | None:
    """Those whose clients have waited for too long, a line each; None without any."""
    crowded = [pool for pool in pools if pool.crowded]
    if not crowded:
        return None
    lines = [
        element(
            "li",
            name(str(pool)),
            f": {number(pool.waiting, 'client waits', 'clients wait')} for a connection.",
            class_="problem",
        )
        for pool in crowded[:_MOST_IN_BRIEF]
    ]
    if (more := len(crowded) - _MOST_IN_BRIEF) > 0:
        lines.append(element("li", f"{more} more below"))
    return element("ul", join(lines), class_="brief")


def bouncers_section(pools: Sequence[BouncersPool]) -> Html | None:
    """The table, in the order of `pools`; None without any."""
    if not pools:
        return None
    more = len(pools) - MOST_POOLS
    return element(
        "section",
        element("h2", "Pools of bouncers"),
        table(
            f"{number(len(pools), 'pool', 'pools')}, the worst first",
            _COLUMNS,
            (_row(pool) for pool in pools[:MOST_POOLS]),
            "pools",
        ),
        element("p", f"{more} more pools are not shown; all are on the metrics.")
        if more > 0
        else None,
    )


def _row(pool: BouncersPool) -> Html:
    waited = pool.sample.oldest_waiting
    return row(
        _COLUMNS,
        join([name(f"{pool.key.database}/{pool.key.user}"), element("small", name(pool.bouncer))]),
        _connections(pool),
        f"{pool.use:.0%}" if pool.use is not None else None,
        spell(waited) if waited and pool.waiting else None,
        kind="problem" if pool.crowded else "",
    )


def _connections(pool: BouncersPool) -> Html:
    limit = "no limit" if pool.most is None else f"of {pool.most:g}"
    words = f"{pool.active:g} active, {pool.idle:g} not, {limit}; {pool.waiting:g} waiting"
    parts = (("active", pool.active), ("idle", pool.idle))
    return join(
        [
            bar(parts, pool.most or pool.active + pool.idle, words, pool.waiting),
            element("small", words, aria_hidden="true"),
        ]
    )
