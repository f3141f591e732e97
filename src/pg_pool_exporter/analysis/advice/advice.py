"""What size each pool should have, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import floor, isfinite

from pg_pool_exporter.analysis.advice.bouncers import rooms_of_bouncers
from pg_pool_exporter.analysis.advice.sizes import Sizes, sizes
from pg_pool_exporter.analysis.findings.finding import Cause, Subject
from pg_pool_exporter.analysis.history.demand import DemandDay, DemandHour
from pg_pool_exporter.analysis.records.bouncer_view import BouncerView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.records.server_view import ServerView

# A larger pool fills as well, or moves the queue to the server. And the demand of a stuck pool does
# not show what it needs.
_WRONG_ANSWER = (
    Cause.LEAK, Cause.SLOTS_LOST_IN_LIBRARY, Cause.POOL_PER_REQUEST, Cause.IDLE_IN_TRANSACTION,
    Cause.LOCK_PILE_UP, Cause.LONG_CHECKOUTS,
)  # fmt: skip
# A pool this many times as large as it needs to be is too large.
_WIDE = 2.0
# A pool that is this many connections too large stays as it is.
_FEW = 2

SizesOf = Callable[[Subject, DemandHour, float], Sizes | None]
"""What a pool needs for its busiest hour and a chosen wait."""


class Direction(Enum):
    """What to do with a pool's size, the most urgent first."""

    ENLARGE = "enlarge"
    NO_ROOM = "no_room"
    """It needs more than its server or bouncer has left."""
    FIX_FIRST = "fix_first"
    """Something is wrong for which another size is the wrong answer."""
    REDUCE = "reduce"
    KEEP = "keep"
    UNKNOWN = "unknown"
    """Too little was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAdvice:
    """A pool's size now and as it should be. Sizes are of one process."""

    subject: Subject
    processes: int
    size: int | None
    """Its maximum now; None without one."""
    day: DemandDay
    needed: Sizes | None
    wait: float
    """The wait that 99 % of the requests may have, in seconds."""
    recommended: int | None
    """For 99.9 % of the busiest hour, as far as there is room for it."""
    bounded_by: str = ""
    """`server`, `cores` or `bouncer`, where that leaves less than it needs."""
    fix_first: Cause | None = None
    direction: Direction = Direction.UNKNOWN

    @property
    def unused(self) -> int | None:
        """Connections of each process that were never needed; None where that is unknown."""
        if self.size is None or self.needed is None or not isfinite(self.day.highest):
            return None
        return max(0, self.size - int(self.day.highest))

    @property
    def is_estimated(self) -> bool:
        """Whether the demand is known from readings alone."""
        return self.day.busiest.estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAdvice:
    """The pools of a server together. Connections of all processes."""

    name: str
    available: int
    """Slots that ordinary roles can have."""
    pools_max: float | None
    """The most that the pools may open now; None where unknown."""
    needed: int
    """What they need; pools of unknown demand count with their maximum."""
    recommended: int
    """What they are recommended to have."""
    known: int
    """Pools of known demand."""
    unknown: int
    """Pools of unknown demand that have a maximum."""
    unlimited: int
    """Pools of unknown demand without a maximum, which are in no sum."""
    working: int | None
    """What the server can work on at once; None without known cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Of all pools, those that should change first; and of their servers."""

    pools: tuple[PoolAdvice, ...] = ()
    servers: tuple[ServerAdvice, ...] = ()


def advice(
    pools: Iterable[PoolView],
    servers: Iterable[ServerView],
    cores: Mapping[str, int | None],
    bouncers: Iterable[BouncerView] = (),
    sizes_of: SizesOf = lambda _, hour, wait: sizes(hour, wait),
) -> Advice:
    """For all pools; `cores` are of the servers, by name."""
    pools = list(pools)
    first = [_needed(pool, sizes_of) for pool in pools]
    made = {one.subject: one for one in first if one is not None}
    of_servers = []
    for server in servers:
        there = [pool for pool in pools if pool.subject.server == server.name]
        if there:
            bounded, summary = _on_server(server, there, made, cores.get(server.name))
            made |= bounded
            of_servers.append(summary)
    for room in rooms_of_bouncers(bouncers, pools):
        known, others = _known(room.pools, made)
        growth = _growth(known, dict.fromkeys(made, 1.0), room.connections - _maxima(others))
        made |= {one.subject: _within(one, growth, "bouncer") for one in known}
    done = [replace(one, direction=_direction(one)) for one in made.values()]
    order = list(Direction)
    return Advice(
        pools=tuple(sorted(done, key=lambda one: (order.index(one.direction), -_excess(one)))),
        servers=tuple(of_servers),
    )


def connections_at_work(cores: int) -> int:
    """The most connections that make a server faster: twice its cores and one for its disk.

    From https://wiki.postgresql.org/wiki/Number_Of_Database_Connections, which HikariCP's "About
    Pool Sizing" repeats.
    """
    return 2 * cores + 1


def _needed(pool: PoolView, sizes_of: SizesOf) -> PoolAdvice | None:
    day = pool.demand
    if day is None:
        return None
    live = pool.live
    maxima = [one.max for one in live]
    size = None if None in maxima or not maxima else int(max(filter(None, maxima), default=0))
    needed = sizes_of(pool.subject, day.busiest, pool.thresholds.pool_wait)
    found = {one.cause for one in (*pool.verdict.all, *pool.verdict.explanations)}
    fix_first = next((cause for cause in _WRONG_ANSWER if cause in found), None)
    recommended = None if needed is None else needed.for_shares[-1]
    if fix_first is not None and recommended and size:
        recommended = size
    return PoolAdvice(
        subject=pool.subject,
        processes=max(1, len(live)),
        size=size or None,
        day=day,
        needed=needed,
        wait=pool.thresholds.pool_wait,
        recommended=recommended,
        fix_first=fix_first,
    )


def _on_server(
    server: ServerView,
    pools: Sequence[PoolView],
    made: Mapping[Subject, PoolAdvice],
    cores: int | None,
) -> tuple[Mapping[Subject, PoolAdvice], ServerAdvice]:
    """The pools' advice within what the server has, and their sums.

    No pool is to give up what it has and needs. What is left is shared by those that need more.
    """
    known, unknown = _known(pools, made)
    unlimited = sum(pool.max is None for pool in unknown)
    others = _maxima(unknown)
    everywhere = dict.fromkeys(made, 1.0)
    growths = {"server": _growth(known, everywhere, server.available - others)}
    working = None if cores is None else connections_at_work(cores)
    if working is not None:
        at_work = {pool.subject: _share_at_work(pool) for pool in pools}
        growths["cores"] = _growth(known, at_work, working)
    bound, growth = min(growths.items(), key=lambda item: item[1])
    within = [_within(one, growth, bound) for one in known]
    return {one.subject: one for one in within}, ServerAdvice(
        name=server.name,
        available=server.available,
        pools_max=server.pools_max,
        needed=int(others + sum(one.processes * _most(one) for one in known)),
        recommended=int(others + sum(one.processes * (one.recommended or 0) for one in within)),
        known=len(known),
        unknown=len(unknown) - unlimited,
        unlimited=unlimited,
        working=working,
    )


def _known(
    pools: Sequence[PoolView], made: Mapping[Subject, PoolAdvice]
) -> tuple[list[PoolAdvice], list[PoolView]]:
    """What is known of pools, and those of which nothing is."""
    known = [one for pool in pools if (one := made.get(pool.subject)) and one.recommended]
    of_known = {one.subject for one in known}
    return known, [pool for pool in pools if pool.subject not in of_known]


def _maxima(pools: Iterable[PoolView]) -> float:
    return sum(pool.max or 0.0 for pool in pools)


def _most(one: PoolAdvice) -> int:
    return 0 if one.needed is None else one.needed.for_shares[-1]


def _growth(known: Sequence[PoolAdvice], weights: Mapping[Subject, float], room: float) -> float:
    """The share of what the pools need beyond what they have that there is room for."""
    had = sum(weights[one.subject] * one.processes * _had(one) for one in known)
    more = sum(
        weights[one.subject] * one.processes * ((one.recommended or 0) - _had(one)) for one in known
    )
    return min(1.0, max(0.0, room - had) / more) if more else 1.0


def _had(one: PoolAdvice) -> int:
    """What it needs and has already."""
    recommended = one.recommended or 0
    return recommended if one.size is None else min(one.size, recommended)


def _within(one: PoolAdvice, growth: float, bound: str) -> PoolAdvice:
    had, wanted = _had(one), one.recommended or 0
    got = had + floor((wanted - had) * growth)
    return one if got == wanted else replace(one, recommended=got, bounded_by=bound)


def _share_at_work(pool: PoolView) -> float:
    """Share of its checked-out connections that the server works for; all where that is unknown."""
    app = pool.app_on_server
    if app is None or not app.recent_polls or app.checked_out <= 0:
        return 1.0
    running = sum(one.running for one in app.recent_polls) / len(app.recent_polls)
    return min(1.0, running / app.checked_out)


def _direction(one: PoolAdvice) -> Direction:
    if one.needed is None or one.recommended is None:
        return Direction.UNKNOWN
    needed, size = _most(one), one.size
    if size is None:
        return Direction.KEEP
    is_wide = size >= _WIDE * needed and size - needed > _FEW
    if one.fix_first is not None:
        return Direction.FIX_FIRST if needed > size or is_wide else Direction.KEEP
    if needed > size:
        return Direction.NO_ROOM if one.recommended <= size else Direction.ENLARGE
    return Direction.REDUCE if is_wide else Direction.KEEP


def _excess(one: PoolAdvice) -> float:
    return abs((one.size or 0) - (one.recommended or 0)) * one.processes
