"""When a pool is saturated at the pace at which it fills. Pure.

A leak never shrinks: it raises the floor, the least that is checked out at any moment. So the
last quarter of an hour, half hour and hour are each cut into three parts of equal length. A pool
fills when the floor rose from the first part to the second, and again to the third, each time by
a connection at least, to where it was at no time of the last hour, and rises still; the slower rise
is its pace. So one step is no trend, nor is load that comes and goes.

deploy/prometheus/pools.yml has the same estimate as PromQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

from pg_pool_exporter.analysis.history.minutes import MINUTE

PARTS = (5, 10, 20)
"""Minutes of a part."""
SETTLING = 5
"""Minutes after a start that are no part of a trend: connections are checked out one by one."""
# Minutes that count as the present, where the floor is taken.
_LATEST = 5
# Connections.
_MIN_RISE = 1.0


class Pace(NamedTuple):
    """A rise of the floor by `connections` in each of three parts of `minutes`, to `floor`."""

    minutes: int
    connections: float
    floor: float


def paces(floors: Sequence[float], watched: int) -> tuple[Pace, ...]:
    """The trends in `floors`, the least checked out by the minute, the latest last; NaN: unknown.

    `watched`: minutes since the start, which may be more than there are floors.
    """
    found = []
    for minutes in PARTS:
        if watched < 3 * minutes + SETTLING or len(floors) < 3 * minutes:
            continue
        start = len(floors) - 3 * minutes
        first, second, third = (
            _floor(floors[start + at * minutes : start + (at + 1) * minutes]) for at in range(3)
        )
        if first is None or second is None or third is None:
            continue
        rise = min(second - first, third - second)
        if rise >= _MIN_RISE and third > _highest(floors[:-minutes], minutes):
            found.append(Pace(minutes, rise, third))
    return tuple(found)


def seconds_to(most: float, floors: Sequence[float], trends: Sequence[Pace]) -> float | None:
    """Seconds until `most` are checked out at every moment, at the fastest of the `trends`; a
    minute at least.

    None when no trend leads there within as much time as it has lasted.
    """
    floor = _floor(floors[-_LATEST:])
    if floor is None:
        return None
    times = []
    for one in trends:
        if one.minutes > _LATEST and floor <= one.floor:
            continue  # it has stopped
        # The floor of a rising line is its start.
        minutes = (most - floor) / one.connections * one.minutes - _LATEST
        if minutes <= 3 * one.minutes:
            times.append(max(1.0, minutes) * MINUTE)
    return min(times, default=None)


def _highest(floors: Sequence[float], minutes: int) -> float:
    """Floor of each window of that many minutes."""
    parts = (floors[at : at + minutes] for at in range(len(floors) - minutes + 1))
    return max(floor for part in parts if (floor := _floor(part)) is not None)


def _floor(floors: Sequence[float]) -> float | None:
    """The least; None when less than half is known."""
    known = [one for one in floors if not isnan(one)]
    return min(known) if known and 2 * len(known) >= len(floors) else None
