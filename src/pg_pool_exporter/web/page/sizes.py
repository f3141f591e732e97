"""How large pools should be, those that should change first."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis.advice.advice import Advice, Direction, PoolAdvice
from pg_pool_exporter.analysis.advice.wording import of_server, sentences, title
from pg_pool_exporter.analysis.findings.wording import number
from pg_pool_exporter.web.page.markup import POOLS_LEFT_OUT, Html, element, join, left_out, name
from pg_pool_exporter.web.page.tables import row, table

MAX_POOLS = 50
_COLUMNS = ("Pool", "Now", "99 %", "99.9 %", "Advice", "Reasons")


def sizes_section(advice: Advice) -> Html | None:
    """The table of sizes; None where no pool's demand is known."""
    known = [one for one in advice.pools if one.needed is not None]
    if not known:
        return None
    return element(
        "section",
        element("h2", "Pool sizes"),
        join(_server(server.name, of_server(server)) for server in advice.servers),
        table(_caption(known), _COLUMNS, map(_row, known[:MAX_POOLS]), "sizes"),
        left_out(len(known) - MAX_POOLS, POOLS_LEFT_OUT),
    )


def _caption(known: Sequence[PoolAdvice]) -> str:
    change = sum(one.direction in {Direction.ENLARGE, Direction.REDUCE} for one in known)
    return (
        f"Connections of each process, by the busiest hour of the last day; "
        f"{number(change, 'pool', 'pools')} of {len(known)} should change"
    )


def _server(server: str, words: str) -> Html:
    return element("p", element("strong", name(server)), ": ", words)


def _row(one: PoolAdvice) -> Html:
    assert one.needed is not None
    at_least = "≥ " if one.needed.at_least else ""
    nearly, most = one.needed.for_shares
    return row(
        _COLUMNS,
        _name(one),
        None if one.size is None else str(one.size),
        f"{at_least}{nearly}",
        f"{at_least}{most}",
        title(one),
        join(element("small", sentence) for sentence in sentences(one)),
        kind="" if one.direction is Direction.KEEP else "warning",
    )


def _name(one: PoolAdvice) -> Html:
    facts = number(one.processes, "process", "processes")
    if one.subject.server:
        facts += f", server {one.subject.server}"
    return join([name(f"{one.subject.app}/{one.subject.pool}"), element("small", name(facts))])
