"""The last hour of each pool, in bounded memory: means by the minute, and counters for rates."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from math import inf
from operator import add
from typing import NamedTuple

from pg_pool_exporter.config import thresholds as limit
from pg_pool_exporter.model import PoolId, PoolSample, ServerSample, TargetId
from pg_pool_exporter.polling.store import EXPIRY_INTERVALS, Store

MINUTE = 60.0
MINUTES = 60
# Rates are over the last few minutes: a burst of seconds must not count, a change must soon.
_RATE_MINUTES = 5
# A trend of less than this says nothing, in minutes.
_LEAST_MINUTES = 10
_DEADLOCK_MINUTES = 15
# Of each minute: connections checked out on average, and at least; requests waiting on average.
_ACTIVE, _LEAST, _WAITING = range(3)
_VALUES = 3


class Recent(NamedTuple):
    """What a pool did in the last minutes, per second where it is a rate. None: not told."""

    seconds: float
    waiting: float | None
    """Requests waiting at once, on average."""
    turnover: float | None
    """Connections in use by work that came to an end, on average."""
    hold: float | None
    """Mean seconds of the checkouts that came to an end."""
    failed: float
    """Requests that got no connection: gave up waiting, or were refused."""


class _Counters(NamedTuple):
    at: float
    held: float | None
    returned: float | None
    acquire_wait: float | None
    failed: float

    @classmethod
    def of(cls, at: float, sample: PoolSample) -> _Counters:
        failed = sample.timeouts.get("pool", 0.0) + (sample.rejected or 0.0)
        return cls(at, sample.held, sample.returned, sample.acquire_wait, failed)


class Trend:
    """One pool. Times are seconds on one clock that never goes back."""

    __slots__ = ("_counters", "_last", "_minute", "_sums", "_values")

    def __init__(self) -> None:
        self._values = array("f")
        self._minute: float | None = None
        self._sums = (0, 0.0, 0.0, 0.0)  # readings; active: sum, least; waiting: sum
        self._counters: deque[_Counters] = deque(maxlen=_RATE_MINUTES + 1)
        self._last: _Counters | None = None

    def add(self, now: float, sample: PoolSample) -> None:
        """Take in a reading."""
        counters = _Counters.of(now, sample)
        if self._last is not None and _has_begun_anew(self._last, counters):
            self._counters.clear()
        if not self._counters or now - self._counters[-1].at >= MINUTE:
            self._counters.append(counters)
        self._last = counters
        if sample.active is None:
            return
        minute = now // MINUTE
        if self._minute is not None and minute != self._minute:
            self._close(minute)
        self._minute = minute
        number, active, least, waiting = self._sums
        self._sums = (
            number + 1,
            active + sample.active,
            min(least, sample.active) if number else sample.active,
            waiting + (sample.waiting or 0.0),
        )

    @property
    def active(self) -> Sequence[float]:
        """Connections checked out on average, in each whole minute of the last hour, the latest
        last. Minutes without a reading are left out. Safe to be read in any thread.
        """
        return self._values[_ACTIVE::_VALUES]

    @property
    def least(self) -> Sequence[float]:
        """The least that was checked out at any reading, likewise."""
        return self._values[_LEAST::_VALUES]

    @property
    def waiting(self) -> Sequence[float]:
        """Requests waiting on average, likewise."""
        return self._values[_WAITING::_VALUES]

    def recent(self) -> Recent | None:
        """The last minutes; None before the first is over."""
        last = self._last
        if last is None or not self._counters or last.at - self._counters[0].at < MINUTE:
            return None
        first = self._counters[0]
        seconds = last.at - first.at
        held = _difference(first.held, last.held)
        returned = _difference(first.returned, last.returned)
        wait = _difference(first.acquire_wait, last.acquire_wait)
        told = self.waiting[-_RATE_MINUTES:]
        waiting = max(
            sum(told) / len(told) if told else 0.0, wait / seconds if wait is not None else 0.0
        )
        return Recent(
            seconds=seconds,
            waiting=waiting,
            turnover=None if held is None else held / seconds,
            hold=held / returned if held is not None and returned else None,
            failed=last.failed - first.failed,
        )

    def seconds_to(self, most: float) -> float | None:
        """When so many are checked out at all times, by the trend of each minute's least.

        None when the trend doesn't lead there, or is too short to tell.
        """
        least = self.least
        if len(least) < _LEAST_MINUTES:
            return None
        slope = _slope(least)
        left = most - least[-1]
        if left <= 0:
            return 0.0
        return left / slope * MINUTE if slope > 0 and least[-1] > least[0] else None

    def _close(self, minute: float) -> None:
        number, active, least, waiting = self._sums
        self._values.extend((active / number, least, waiting / number))
        del self._values[: -MINUTES * _VALUES]
        if self._minute is not None and minute - self._minute > MINUTES:
            del self._values[:]
        self._sums = (0, 0.0, 0.0, 0.0)


class _ServerTrend:
    """One server: its counters of deadlocks, and which applications waited for locks."""

    def __init__(self) -> None:
        self._deadlocks: deque[tuple[float, dict[str, float]]] = deque(maxlen=_DEADLOCK_MINUTES + 2)
        self._waited: dict[str, float] = {}
        self._waiting: set[str] = set()  # at the last reading
        self._last: float | None = None
        self._back = -inf  # since when it answers again

    def add(self, now: float, sample: ServerSample, most_gap: float) -> None:
        """Take in a reading. After a longer break than `most_gap` seconds it was away."""
        if self._last is not None and now - self._last > most_gap:
            self._back = now
        self._last = now
        kept = self._deadlocks
        if len(kept) > 1 and now - kept[-2][0] < MINUTE:
            kept.pop()  # the latest takes its place until a minute is over
        kept.append((now, {name: one.deadlocks for name, one in sample.databases.items()}))
        while now - kept[0][0] > (_DEADLOCK_MINUTES + 1) * MINUTE:
            kept.popleft()
        self._waited = {
            name: at for name, at in self._waited.items() if now - at < (_RATE_MINUTES + 1) * MINUTE
        }
        waiting = set()
        for key, group in sample.groups.items():
            if not group.waiting:
                continue
            waiting.add(key.application)
            # A wait of a moment is no reason for a long checkout. An age that isn't told is long
            # when somebody waited at the last reading too.
            told = group.oldest_waiting
            if key.application in self._waiting if told is None else told >= limit.SLOW_HOLD:
                self._waited[key.application] = now
        self._waiting = waiting

    def deadlocks(self) -> dict[str, float]:
        """Deadlocks in the last quarter of an hour, by database; only where there were any."""
        if not self._deadlocks:
            return {}
        (_, first), (_, last) = self._deadlocks[0], self._deadlocks[-1]
        new = {name: count - first.get(name, count) for name, count in last.items()}
        return {name: count for name, count in new.items() if count > 0}

    def was_away(self) -> bool:
        """Whether it did not answer for a while, in the time that rates are over."""
        return self._last is not None and self._last - self._back < (_RATE_MINUTES + 1) * MINUTE

    def waited(self) -> Set[str]:
        """Applications of which a session waited for a lock for a while, in the time that rates
        are over."""
        return self._waited.keys()


class Trends:
    """Follows all targets in the store. Remembers nothing of one that is gone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pools: dict[TargetId, dict[PoolId, Trend]] = {}
        self._servers: dict[TargetId, _ServerTrend] = {}
        store.watch(self._follow)

    def of(self, target: TargetId, pool: PoolId) -> Trend:
        """A pool's, as a target tells it."""
        return self._pools.get(target, {}).get(pool) or Trend()

    def deadlocks(self, server: str) -> Mapping[str, float]:
        """Deadlocks in the last quarter of an hour, by database; only where there were any."""
        trend = self._servers.get(TargetId("server", server))
        return {} if trend is None else trend.deadlocks()

    def was_away(self, server: str) -> bool:
        """Whether a server that answers now did not in the last minutes."""
        trend = self._servers.get(TargetId("server", server))
        return trend is not None and trend.was_away()

    def waited(self, server: str) -> Set[str]:
        """Applications of which a session on the server has waited for a lock for a while in the
        last minutes, by the names of their sessions.
        """
        trend = self._servers.get(TargetId("server", server))
        return frozenset() if trend is None else trend.waited()

    def _follow(self, key: TargetId) -> None:
        state = self._store.get(key)
        if state is None:
            self._pools.pop(key, None)
            self._servers.pop(key, None)
        elif state.snapshot is not None and state.health.up:
            former = self._pools.get(key, {})
            if former or state.snapshot.pools:
                self._pools[key] = {
                    pool.key: former.get(pool.key) or Trend() for pool in state.snapshot.pools
                }
                for pool in state.snapshot.pools:
                    self._pools[key][pool.key].add(state.taken, pool)
            if state.snapshot.server is not None:
                trend = self._servers.setdefault(key, _ServerTrend())
                most_gap = EXPIRY_INTERVALS * state.interval
                trend.add(state.taken, state.snapshot.server, most_gap)


def total(minutes: Iterable[Sequence[float]]) -> Sequence[float]:
    """Several pools' figures by the minute added up, the latest last; as far back as any goes."""
    longest, *others = sorted(minutes, key=len, reverse=True) or [()]
    sums = list(longest)
    for one in others:
        start = len(sums) - len(one)
        sums[start:] = map(add, sums[start:], one)
    return sums


def _has_begun_anew(before: _Counters, after: _Counters) -> bool:
    return any(
        now is not None and then is not None and now < then
        for then, now in zip(before, after, strict=True)
    )


def _difference(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else last - first


def _slope(values: Sequence[float]) -> float:
    """Of the straight line that fits best, per step."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((x - middle) * (y - mean) for x, y in enumerate(values))
    return above / sum((x - middle) ** 2 for x in range(len(values)))
