"""The sizes that an hour's demand asks for. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil

from pg_pool_exporter.analysis.advice.erlang import (
    late_share,
    mean_waiting,
    peakedness,
    requests_to_time,
    saturated_share,
    smallest,
)
from pg_pool_exporter.analysis.history.demand import ENOUGH, DemandHour
from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS

SHARES = (0.99, 0.999)
"""Of the time in which a request would find a free connection."""
# Share of the requests that may wait for longer than the wait that is chosen.
_LATE = 0.01
# A pool that was in use more than this, or saturated for more of the time, hides what it needs.
_HIDDEN_LOAD = 0.9
_HIDDEN_SATURATION = 0.5
_FEW_FAILURES = 0.01
# Variance of the demand, divided by its mean; 1 for requests at random.
_BURSTS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What one process's pool needs."""

    for_shares: tuple[int, ...]
    """By `SHARES`."""
    for_wait: int | None
    """So that 99 % of the requests wait less than chosen; None where checkout times are unknown, or
    the limit has hidden some of the demand."""
    load: float
    """Connections checked out on average, had no request failed."""
    at_least: bool
    """Whether it may need more: its limit has hidden some of the demand."""
    waiting_in_bursts: float | None = None
    """Share of the requests that wait at the last of `for_shares`, where that is over 1 %; None
    without bursts, where it is that of the time, and where demand is hidden."""


def sizes(hour: DemandHour, wait: float) -> Sizes | None:
    """For the demand of an hour, and a chosen wait in seconds; None where too little was seen."""
    if hour.seconds < ENOUGH:
        return None
    hold = hour.held / hour.returned if hour.returned else 0.0
    load = (hour.active_seconds + hour.failed * hold) / hour.seconds
    saturated = hour.saturated_seconds / hour.seconds if hour.size else 0.0
    asked = hour.acquired + hour.failed
    is_hidden = bool(hour.size) and (
        load > _HIDDEN_LOAD * hour.size
        or saturated > _HIDDEN_SATURATION
        or hour.failed > _FEW_FAILURES * asked
    )
    by_queue = _by_queue(hour, load, saturated) if saturated > 1 - SHARES[-1] else None
    for_shares = tuple(_for_share(hour, share, load, saturated, by_queue) for share in SHARES)
    nearly, most = for_shares
    peak = by_queue if by_queue and saturated > 1 - SHARES[0] else _by_levels(hour, load, nearly)
    tailed = max(1.0, _wait_factor(hour)) * hold
    waiting = min(
        (1 - SHARES[-1]) * requests_to_time(most, load, peak), _waited_at_most(hour, most)
    )
    for_wait = None
    if hold > 0 and not is_hidden:
        for_wait = smallest(
            lambda size: (
                min(late_share(size, load, peak, wait, tailed), _waited_at_most(hour, size))
                <= _LATE
            ),
            ceil(load),
        )
        if waiting <= _LATE:  # fewer than may be late have to wait at all
            for_wait = min(for_wait, most)
    is_beyond = not hour.size and _is_beyond(hour, 1 - SHARES[-1])
    return Sizes(
        for_shares=for_shares,
        for_wait=for_wait,
        load=load,
        at_least=is_hidden or is_beyond,
        waiting_in_bursts=(
            waiting if waiting > _LATE and peak >= _BURSTS and not is_hidden else None
        ),
    )


def _waited_at_most(hour: DemandHour, size: int) -> float:
    """Upper bound of the share of the requests that wait: with the present size or a larger one, no
    more than have waited.
    """
    asked = hour.acquired + hour.failed
    if hour.queued is None or not asked or not hour.size or size < hour.size:
        return 1.0
    return min(1.0, hour.queued / asked)


def _for_share(
    hour: DemandHour, share: float, load: float, saturated: float, by_queue: float | None
) -> int:
    """The smallest size at which a connection is free for this share of the time.

    Up to the pool's size the demand is what was measured. Beyond it requests waited for each other,
    so that the demand seen is too high: a queue lasts longer than what caused it. How much of it is
    queue follows from the share of the time without a free connection.

    Over the last bound no level is measured: there the pool keeps its size, and one without a
    maximum needs more than that bound.
    """
    rest = 1.0 - share
    size = int(hour.size)
    seen = (
        None
        if _is_beyond(hour, rest)
        else smallest(lambda some: _seen_above(hour, some - 1) <= rest)
    )
    if not size:
        return int(DEMAND_BOUNDS[-1]) + 1 if seen is None else seen
    if by_queue is None or saturated <= rest:
        return size if seen is None else min(seen, size)
    expected = smallest(lambda more: saturated_share(more, load, by_queue) <= rest, size + 1)
    return max(size + 1, expected if seen is None else min(seen, expected))


def _is_beyond(hour: DemandHour, rest: float) -> bool:
    """Whether the demand was over the last bound for more than this share of the time."""
    return _above(hour, len(DEMAND_BOUNDS)) > rest


def _seen_above(hour: DemandHour, level: float) -> float:
    """Share of the time with a demand over `level`; between two bounds it falls by equal ratios."""
    bounds = (0.0, *DEMAND_BOUNDS)
    place = bisect_left(bounds, level)
    if place >= len(bounds):
        return 0.0
    above = _above(hour, place)
    if bounds[place] == level:
        return above
    before, part = _above(hour, place - 1), (level - bounds[place - 1])
    part /= bounds[place] - bounds[place - 1]
    if above > 0:
        return float(before ** (1 - part) * above**part)
    return before * (1 - part)


def _above(hour: DemandHour, place: int) -> float:
    """Over the bound at this place, of those from 0 on; what is over 0 is not measured."""
    if place == 0:
        return min(1.0, hour.demand)
    # Whole seconds by bucket: a difference of two readings may be a second too small.
    return max(0.0, sum(hour.levels[place:])) / hour.seconds


def _by_queue(hour: DemandHour, load: float, saturated: float) -> float:
    """The peakedness that has such a queue: in time, and in requests that wait.

    Bursts show in their length alone: they come while connections are free. Holds of which a few
    are very long make queues longer, too, and are no bursts.
    """
    size = int(hour.size)
    load = min(load, 0.98 * size)
    waiting = (hour.demand_seconds - hour.active_seconds) / hour.seconds / _wait_factor(hour)
    return max(
        peakedness(lambda peak: saturated_share(size, load, peak), saturated),
        peakedness(lambda peak: mean_waiting(size, load, peak), waiting),
    )


def _wait_factor(hour: DemandHour) -> float:
    """How many times longer queues are than with exponential holds (Allen and Cunneen)."""
    if not hour.held_squares or not hour.returned:
        return 1.0
    mean = hour.held / hour.returned
    return max(0.5, hour.held_squares / hour.returned / mean**2 / 2)


def _by_levels(hour: DemandHour, load: float, nearly: int) -> float:
    """The peakedness of the demand that was seen, with a size of `nearly` for 99 % of the time.

    One pile in the hour varies as much as many bursts do. Bursts that come again exceed that size
    for longer than was seen: then what was seen decides.
    """
    peak, rest = _spread(hour), 1 - SHARES[0]
    if saturated_share(nearly, load, peak) <= rest:
        return peak
    return peakedness(lambda some: saturated_share(nearly, load, some), rest)


def _spread(hour: DemandHour) -> float:
    """Variance of the demand that was seen, divided by its mean."""
    bounds = (0.0, *DEMAND_BOUNDS, DEMAND_BOUNDS[-1])
    mean = hour.demand
    if not mean:
        return 1.0
    spread = sum(
        seconds * ((low + 1 + max(low + 1, high)) / 2 - mean) ** 2
        for low, high, seconds in zip(bounds, bounds[1:], hour.levels, strict=False)
    )
    return max(0.2, spread / hour.seconds / mean)
