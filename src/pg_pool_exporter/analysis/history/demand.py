"""The demand for a pool by the hour, for a day, in bounded memory.

A pool's processes are added up: each of them has its own connections, so their time counts, not the
sum of their demand. A process that ends leaves what was measured.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite, sqrt

from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS, HOLD_BOUNDS
from pg_pool_exporter.model import Histogram, PoolSample

HOUR = 3600.0
HOURS = 24
ENOUGH = 600.0
"""Process-seconds without which an hour says nothing yet."""
# A pool that was not measured for longer is watched anew.
_BREAK = 600.0
# Deltas are taken once in a while: the counters keep what happens between.
_PERIOD = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandHour:
    """Sums over some time, at most an hour; of all processes together."""

    begun: float
    """Seconds on the monotonic clock."""
    seconds: float = 0.0
    """Measured, in process-seconds."""
    levels: Sequence[float] = ()
    """Seconds with this demand, by bound, and above the last one."""
    demand_seconds: float = 0.0
    """Demand integrated."""
    active_seconds: float = 0.0
    """Connections checked out, integrated."""
    saturated_seconds: float = 0.0
    """Without a free connection."""
    acquired: float = 0.0
    held: float = 0.0
    returned: float = 0.0
    held_squares: float = 0.0
    """Sum of the squares of how long each connection was held; 0 where that is unknown."""
    failed: float = 0.0
    """Requests that got no connection."""
    queued: float | None = 0.0
    """Requests that had to wait; None where the pool does not count them."""
    size: float = 0.0
    """The largest maximum of a process."""
    estimated: bool = False
    """Whether a part is known from readings alone."""

    @property
    def demand(self) -> float:
        """On average, of one process."""
        return self.demand_seconds / self.seconds if self.seconds else 0.0

    @property
    def highest(self) -> float:
        """Upper bound of the highest demand; 0 without any time."""
        used = [bound for bound, seconds in zip((*DEMAND_BOUNDS, inf), self.levels, strict=False)
                if seconds > 0]  # fmt: skip
        return max(used, default=0.0)

    def plus(self, other: DemandHour) -> DemandHour:
        """Both together, as one."""
        levels = self.levels or [0.0] * (len(DEMAND_BOUNDS) + 1)
        more = other.levels or [0.0] * (len(DEMAND_BOUNDS) + 1)
        return DemandHour(
            begun=min(self.begun, other.begun),
            seconds=self.seconds + other.seconds,
            levels=array("d", map(sum, zip(levels, more, strict=True))),
            demand_seconds=self.demand_seconds + other.demand_seconds,
            active_seconds=self.active_seconds + other.active_seconds,
            saturated_seconds=self.saturated_seconds + other.saturated_seconds,
            acquired=self.acquired + other.acquired,
            held=self.held + other.held,
            returned=self.returned + other.returned,
            held_squares=self.held_squares + other.held_squares,
            failed=self.failed + other.failed,
            queued=(
                None if self.queued is None or other.queued is None else self.queued + other.queued
            ),
            size=max(self.size, other.size),
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandDay:
    """What is known of a pool's demand."""

    watched: float
    """Seconds since the last break of more than ten minutes, at most a day."""
    busiest: DemandHour
    """The hour with the highest demand on average; the present one counts too."""
    highest: float
    """Upper bound of the highest demand of the day; infinite above the last bound."""


class _Readings:
    """Sums over readings, each of which stands for the time since the one before it."""

    __slots__ = ("active", "demand", "levels", "saturated")

    def __init__(self) -> None:
        self.levels = [0.0] * (len(DEMAND_BOUNDS) + 1)
        self.demand = self.active = self.saturated = 0.0

    def add(self, seconds: float, sample: PoolSample) -> None:
        if sample.active is None:
            return
        level = sample.active + (sample.waiting or 0.0)
        if not isfinite(level):
            return
        self.levels[bisect_left(DEMAND_BOUNDS, level)] += seconds
        self.demand += level * seconds
        self.active += sample.active * seconds
        if sample.max and sample.active >= sample.max:
            self.saturated += seconds


class ProcessDemand:
    """Takes what is new from one process's readings."""

    __slots__ = ("_at", "_last", "_readings", "_sample")

    def __init__(self) -> None:
        self._sample: PoolSample | None = None
        """The reading up to which everything is taken."""
        self._at = self._last = 0.0
        self._readings = _Readings()  # since then

    def take(self, now: float, sample: PoolSample, max_gap: float) -> DemandHour | None:
        """What is new; None until enough is.

        Nothing is known of a break of more than `max_gap` seconds between readings; of one of up to
        an hour where the process counts its demand itself.
        """
        before, seconds = self._sample, now - self._last
        self._last = now
        is_unknown = seconds > max_gap if sample.demand is None else now - self._at > HOUR
        if before is None or is_unknown or not _goes_on(before, sample):
            self._begin(now, sample)
            return None
        self._readings.add(seconds, sample)
        if now - self._at < _PERIOD:
            return None
        taken = _between(before, sample, self._at, self._readings)
        self._begin(now, sample)
        return taken

    def _begin(self, now: float, sample: PoolSample) -> None:
        self._sample, self._at, self._readings = sample, now, _Readings()


def _goes_on(before: PoolSample, after: PoolSample) -> bool:
    """Whether no counter has begun anew."""
    if (before.demand is None) != (after.demand is None):
        return False
    pairs = [(before.acquired, after.acquired), (before.held, after.held)]
    if before.demand is not None and after.demand is not None:
        pairs.append((before.demand.count, after.demand.count))
    return all(then is None or now is None or now >= then for then, now in pairs)


def _between(
    before: PoolSample, after: PoolSample, begun: float, readings: _Readings
) -> DemandHour:
    levels, demand = readings.levels, readings.demand
    if before.demand is not None and after.demand is not None:
        levels = [
            float(new - old)
            for old, new in zip(before.demand.counts, after.demand.counts, strict=True)
        ]
        demand = after.demand.total - before.demand.total
    elif after.waiting is None:  # of requests that wait, their time alone is known
        demand += _more(before.acquire_wait, after.acquire_wait) or 0.0
    active = _more(before.active_seconds, after.active_seconds)
    saturated = _more(before.saturated_seconds, after.saturated_seconds)
    return DemandHour(
        begun=begun,
        seconds=sum(levels),
        levels=levels,
        demand_seconds=demand,
        active_seconds=readings.active if active is None else active,
        saturated_seconds=readings.saturated if saturated is None else saturated,
        acquired=_more(before.acquired, after.acquired) or 0.0,
        held=_more(before.held, after.held) or 0.0,
        returned=_more(before.returned, after.returned) or 0.0,
        held_squares=_squares(before.hold, after.hold),
        failed=max(0.0, after.failed - before.failed),
        queued=_more(before.queued, after.queued),
        size=after.max or 0.0,
        estimated=after.demand is None,
    )


def _more(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


# The middle of each bucket, by ratio; what is longer than the last bound is taken for that.
_HELD = [
    sqrt(low * high) for low, high in pairwise((HOLD_BOUNDS[0] / 2, *HOLD_BOUNDS, HOLD_BOUNDS[-1]))
]


def _squares(before: Histogram | None, after: Histogram | None) -> float:
    if before is None or after is None:
        return 0.0
    return sum(
        (new - old) * held * held
        for held, old, new in zip(_HELD, before.counts, after.counts, strict=True)
    )


class DemandLog:
    """The hours of one pool."""

    __slots__ = ("_hours", "_now", "_since", "updated")

    def __init__(self, now: float) -> None:
        self._since = self.updated = now
        self._hours: deque[tuple[DemandHour, float]] = deque()
        """Those that are over, and their highest demand. One that is less busy than a later one is
        left out: it will never be the busiest."""
        self._now = DemandHour(begun=now)

    def add(self, now: float, more: DemandHour) -> None:
        """Add what a process has measured until `now`."""
        if more.begun - self.updated > _BREAK:
            self._since = more.begun
        self.updated = now
        if now - self._now.begun >= HOUR:
            self._close(now)
        self._now = self._now.plus(more)

    def _close(self, now: float) -> None:
        hour, self._now = self._now, DemandHour(begun=now)
        highest = hour.highest
        while self._hours and _busyness(self._hours[-1][0]) <= _busyness(hour):
            highest = max(highest, self._hours.pop()[1])
        self._hours.append((hour, highest))
        while self._hours and now - self._hours[0][0].begun > (HOURS + 1) * HOUR:
            self._hours.popleft()

    def day(self, now: float) -> DemandDay:
        """Up to `now`."""
        hours = [*(hour for hour, _ in self._hours), self._now]
        return DemandDay(
            watched=min(now - self._since, HOURS * HOUR),
            busiest=max(hours, key=_busyness),
            highest=max([self._now.highest, *(highest for _, highest in self._hours)]),
        )


def _busyness(hour: DemandHour) -> float:
    """Its demand; of one that says nothing yet, less than any demand, the longest last."""
    return hour.demand if hour.seconds >= ENOUGH else hour.seconds / ENOUGH - 1.0


def together(days: Iterable[DemandDay]) -> DemandDay | None:
    """Of a pool that leads to several places; None without any."""
    days = list(days)
    if len(days) < 2:
        return next(iter(days), None)
    busiest = days[0].busiest
    for day in days[1:]:
        busiest = busiest.plus(day.busiest)
    return DemandDay(
        watched=max(day.watched for day in days),
        busiest=busiest,
        highest=max(day.highest for day in days),
    )
