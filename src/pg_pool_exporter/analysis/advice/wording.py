"""Advice in sentences, for the page, the API and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from pg_pool_exporter.analysis.advice.advice import Direction, PoolAdvice, ServerAdvice
from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.history.demand import ENOUGH, HOUR, HOURS

_INSTEAD = {
    Cause.LEAK: "Find the leak first: it fills a larger pool as well.",
    Cause.SLOTS_LOST_IN_LIBRARY: "Restart its processes first: the pool library has lost slots.",
    Cause.POOL_PER_REQUEST: "Make one pool for all requests first.",
    Cause.IDLE_IN_TRANSACTION: (
        "End the transactions that do nothing first: they fill a larger pool as well."
    ),
    Cause.LOCK_PILE_UP: "Find who holds the locks first: more connections would wait for them.",
    Cause.LONG_CHECKOUTS: (
        "Shorten the checkouts first: a larger pool moves the queue to the server."
    ),
}


def title(one: PoolAdvice) -> str:
    """What to do, in few words."""
    if one.direction is Direction.ENLARGE:
        return f"enlarge to {one.recommended}"
    if one.direction is Direction.REDUCE:
        return f"reduce to {one.recommended}"
    where = "bouncer" if one.bounded_by == "bouncer" else "server"
    return {
        Direction.KEEP: "keep",
        Direction.FIX_FIRST: "fix the cause first",
        Direction.NO_ROOM: f"no room on the {where}",
    }.get(one.direction, "not known yet")


def sentences(one: PoolAdvice) -> Iterator[str]:
    """The advice with its reasons; what limits it comes last."""
    if one.needed is None:
        measured = one.day.busiest.seconds
        yield (
            f"Measured for {spell(measured)}: {spell(ENOUGH)} of an hour are needed."
            if measured
            else "Its metrics page does not show the connections in use."
        )
        return
    most, nearly = one.needed.for_shares[-1], one.needed.for_shares[0]
    each = f" in each of {one.processes} processes" if one.processes > 1 else ""
    at_least = "at least " if one.needed.at_least else ""
    if one.direction is Direction.FIX_FIRST and one.fix_first is not None:
        yield _INSTEAD[one.fix_first]
    yield (
        f"It needs {at_least}{number(most, 'connection', 'connections')}{each} to have a free one "
        f"for 99.9 % of its busiest hour, {nearly} for 99 %; "
        f"{one.day.busiest.demand:.1f} were in demand on average."
    )
    if one.bounded_by == "server":
        yield "All pools together need more slots than the server has for ordinary roles."
    if one.bounded_by == "cores":
        yield "All pools together need more than the server's cores can work on at once."
    if one.bounded_by == "bouncer":
        yield "All pools together need more connections than the bouncer accepts."
    if one.needed.for_wait is not None:
        yield (
            f"With {one.needed.for_wait}, 99 % of the requests wait less than {spell(one.wait)}."
        )
    if one.needed.waiting_in_bursts is not None:
        yield (
            f"Requests come in bursts: with {most}, about {one.needed.waiting_in_bursts:.1%} of "
            "them still wait."
        )
    if one.unused:
        yield f"{one.unused} of {one.size} were never needed in {spell(one.day.watched)}."
    if one.needed.at_least and one.size is not None:
        yield "The present size has hidden some of the demand: look again after a change."
    if one.is_estimated:
        yield "Estimated from readings, which miss peaks between them."
    if not isfinite(one.day.highest):
        yield "The demand was over the largest level that is measured."
    if one.day.watched < HOURS * HOUR:
        yield f"Watched for {spell(one.day.watched)} of the last 24 h."


def of_server(server: ServerAdvice) -> str:
    """Its pools together, in one sentence."""
    now = "an unknown number" if server.pools_max is None else f"{server.pools_max:g}"
    text = f"The pools may open {now} of {server.available} slots; "
    if not server.known:
        return f"{text}what they need is not known yet."
    text += f"they need {server.needed} and should have {server.recommended}."
    if server.unknown:
        pools = number(server.unknown, "pool", "pools")
        text += f" Included with their maximum: {pools} of unknown demand."
    if server.unlimited:
        pools = number(server.unlimited, "pool", "pools")
        text += f" Not included: {pools} without a maximum."
    if server.working is not None:
        text += f" The server works on at most {server.working} at once."
    return text
