"""The last hour of one process's pool, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf, isfinite, isnan
from typing import NamedTuple

from pg_pool_exporter.analysis.history import trend
from pg_pool_exporter.analysis.history.minutes import MINUTE, LastHour, Minutes
from pg_pool_exporter.analysis.history.waits import RATE_MINUTES
from pg_pool_exporter.model import PoolSample


class Arrival(NamedTuple):
    """A pool that its process made in the last minutes, and not at its start."""

    just_now: bool
    """In the last minute."""
    is_unused: bool
    """Whether nothing has been checked out for a minute."""


class Recent(NamedTuple):
    """A pool in the last minutes. None: unknown."""

    seconds: float
    """How long it has been watched, at most some minutes."""
    waiting: float | None
    """Requests waiting at once, on average."""
    turnover: float | None
    """Connections in use by checkouts that ended, on average."""
    hold: float | None
    """Mean seconds of the checkouts that ended."""
    failed: float
    """Requests that got no connection: timed out, or were rejected."""
    reclaimed: Mapping[str, float]
    """Connections returned by the garbage collector, by site; only where there were any."""
    instances: Mapping[str, float]
    """Pools made in place of former ones of its name, likewise."""


class _Counters(NamedTuple):
    at: float
    held: float | None
    returned: float | None
    acquire_wait: float | None
    failed: float
    reclaimed: Mapping[str, float]
    instances: Mapping[str, float]

    @classmethod
    def of(cls, at: float, sample: PoolSample) -> _Counters:
        return cls(
            at, sample.held, sample.returned, sample.acquire_wait, sample.failed,
            sample.reclaimed, sample.instances,
        )  # fmt: skip

    @property
    def totals(self) -> tuple[float | None, ...]:
        """Those that are one number."""
        return self.held, self.returned, self.acquire_wait, self.failed


class PoolHistory:
    """One process's pool. Times are seconds on one clock that never goes back."""

    __slots__ = (
        "_acquired", "_arrived", "_counters", "_last", "_minutes", "_started", "_trends",
        "_trends_at", "_used", "_waiting",
    )  # fmt: skip

    def __init__(self, arrived: float | None = None) -> None:
        self._arrived = arrived
        self._acquired: float | None = None
        self._used = -inf
        self._minutes = Minutes()
        self._counters: deque[_Counters] = deque()
        self._last: _Counters | None = None
        self._started = inf
        self._trends: Sequence[trend.Pace] = ()
        self._trends_at = -inf  # the minute
        self._waiting = (0.0, 0.0)  # at the last two readings

    def add(self, now: float, sample: PoolSample, max_gap: float) -> None:
        """Take in a reading. It continues the last one, unless that is more than `max_gap` seconds
        ago.
        """
        counters, former = _Counters.of(now, sample), self._last
        self._last = counters
        if former is None or _has_restarted(former, counters):
            self._counters.clear()
            self._started = now
        elif now - former.at > max(max_gap, RATE_MINUTES * MINUTE):
            self._counters.clear()
            self._waiting = (0.0, 0.0)
        kept = self._counters
        if not kept or now - kept[-1].at >= MINUTE:
            kept.append(counters)
        while len(kept) > 1 and now - kept[1].at >= RATE_MINUTES * MINUTE:
            kept.popleft()
        self._waiting = (self._waiting[1], sample.waiting or 0.0)
        if sample.acquired != self._acquired:
            self._acquired, self._used = sample.acquired, now
        if sample.active is not None and isfinite(sample.active):
            self._minutes.add(now, sample.active, sample.waiting, max_gap)

    def arrival(self, now: float) -> Arrival | None:
        """Of this pool; None where it has been there for longer, or its process just started."""
        if self._arrived is None or now - self._arrived > RATE_MINUTES * MINUTE:
            return None
        return Arrival(now - self._arrived < MINUTE, now - self._used >= MINUTE)

    @property
    def lasting_waiting(self) -> float:
        """Lower bound of the requests that waited at both of the last two readings."""
        return min(self._waiting)

    def last_hour(self, now: float) -> LastHour:
        """The hour before the minute of `now` (monotonic, in seconds)."""
        return self._minutes.until(now)

    def recent(self, hour: LastHour) -> Recent | None:
        """The last minutes, the end of the last `hour`; None before the first is over."""
        last = self._last
        if last is None or not self._counters or last.at - self._counters[0].at < MINUTE:
            return None
        first = self._counters[0]
        seconds = last.at - first.at
        held = _difference(first.held, last.held)
        returned = _difference(first.returned, last.returned)
        wait = _difference(first.acquire_wait, last.acquire_wait)
        by_minute = [one for one in hour.waiting[-RATE_MINUTES:] if not isnan(one)]
        waiting = [sum(by_minute) / len(by_minute)] if by_minute else []
        if wait is not None:
            waiting.append(wait / seconds)
        return Recent(
            seconds=seconds,
            waiting=max(waiting, default=None),
            turnover=None if held is None else held / seconds,
            hold=held / returned if held is not None and returned else None,
            failed=last.failed - first.failed,
            reclaimed=_increases(first.reclaimed, last.reclaimed),
            instances=_increases(first.instances, last.instances),
        )

    def seconds_to(self, most: float, hour: LastHour, now: float) -> float | None:
        """Seconds from `now` until `most` are checked out at every moment, by the last `hour`; None
        when no trend leads there.
        """
        floors, minute = hour.active_min, now // MINUTE
        if minute != self._trends_at:
            self._trends = trend.paces(floors, int((now - self._started) // MINUTE))
            self._trends_at = minute
        return trend.seconds_to(most, floors, self._trends)


def _has_restarted(before: _Counters, after: _Counters) -> bool:
    return any(
        now is not None and then is not None and now < then
        for then, now in zip(before.totals, after.totals, strict=True)
    )


def _difference(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else last - first


def _increases(first: Mapping[str, float], last: Mapping[str, float]) -> Mapping[str, float]:
    more = ((site, count - first.get(site, 0.0)) for site, count in last.items())
    return {site: increase for site, increase in more if increase > 0}
