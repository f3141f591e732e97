"""The last hour of each pool and the last minutes of each server, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import inf, isfinite, isnan
from typing import NamedTuple

from pg_pool_exporter.analysis import trend
from pg_pool_exporter.analysis.demand import (
    HOUR,
    HOURS,
    DemandDay,
    DemandLog,
    ProcessDemand,
    together,
)
from pg_pool_exporter.analysis.minutes import MINUTE, LastHour, Minutes
from pg_pool_exporter.analysis.waits import Waits, client_waits
from pg_pool_exporter.model import PoolId, PoolSample, ServerSample, TargetId
from pg_pool_exporter.polling.store import Change, TargetState

# Rates are over a few minutes: a burst of seconds must not count, a change must soon.
_RATE_MINUTES = 5
# They reach back to a reading that is up to a minute, and a poll, older. Explanations are
# remembered for at least as long.
_REMEMBERED_MINUTES = _RATE_MINUTES + 2
_DEADLOCK_MINUTES = 15
# Pools whose demand is kept; the one that was read longest ago makes room.
_MAX_DEMANDS = 5000


# Pools made in a process's first minutes belong to its start.
_STARTING_MINUTES = 2


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
        elif now - former.at > max(max_gap, _RATE_MINUTES * MINUTE):
            self._counters.clear()
            self._waiting = (0.0, 0.0)
        kept = self._counters
        if not kept or now - kept[-1].at >= MINUTE:
            kept.append(counters)
        while len(kept) > 1 and now - kept[1].at >= _RATE_MINUTES * MINUTE:
            kept.popleft()
        self._waiting = (self._waiting[1], sample.waiting or 0.0)
        if sample.acquired != self._acquired:
            self._acquired, self._used = sample.acquired, now
        if sample.active is not None and isfinite(sample.active):
            self._minutes.add(now, sample.active, sample.waiting, max_gap)

    def arrival(self, now: float) -> Arrival | None:
        """Of this pool; None where it has been there for longer, or its process just started."""
        if self._arrived is None or now - self._arrived > _RATE_MINUTES * MINUTE:
            return None
        return Arrival(now - self._arrived < MINUTE, now - self._used >= MINUTE)

    @property
    def lasting_waiting(self) -> float:
        """Lower bound of the requests that waited at both of the last two readings."""
        return min(self._waiting)

    def last_hour(self, now: float) -> LastHour:
        """By the minute."""
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
        by_minute = [one for one in hour.waiting[-_RATE_MINUTES:] if not isnan(one)]
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


class _PoolName(NamedTuple):
    """What the demand of a pool is kept under, beyond its processes."""

    app: str
    pool: str
    where: tuple[str, str, str]
    """Where it leads, as far as its page says."""

    @classmethod
    def of(cls, sample: PoolSample) -> _PoolName:
        info = sample.info
        where = ("", "", "") if info is None else (info.server, info.host, info.port)
        return cls(sample.key.app, sample.key.pool, where)


class _Demands:
    """The demand for pools, also of those whose processes come and go."""

    def __init__(self) -> None:
        self._logs: dict[_PoolName, DemandLog] = {}

    def add(self, now: float, sample: PoolSample, process: ProcessDemand, max_gap: float) -> None:
        """Take in a reading of one process's pool."""
        taken = process.take(now, sample, max_gap)
        if taken is None:
            return
        name = _PoolName.of(sample)
        log = self._logs.get(name)
        if log is None:
            if len(self._logs) >= _MAX_DEMANDS:
                self._logs.pop(min(self._logs, key=lambda one: self._logs[one].updated))
            log = self._logs[name] = DemandLog(now - taken.seconds)
        log.add(now, taken)

    def of(self, now: float, samples: Iterable[PoolSample]) -> DemandDay | None:
        names = {_PoolName.of(one) for one in samples}
        logs = (self._logs[name] for name in names if name in self._logs)
        return together(log.day(now) for log in logs if now - log.updated < HOURS * HOUR)


class _Page:
    """The pools of one target."""

    def __init__(self, since: float, process: str, demands: _Demands) -> None:
        self.process = process
        self._since = since
        self._demands = demands
        self._pools: dict[PoolId, PoolHistory] = {}
        self._processes: dict[PoolId, ProcessDemand] = {}

    def restarted(self, now: float, process: str) -> None:
        """Another process continues its series."""
        self._since, self.process = now, process

    def get(self, key: PoolId) -> PoolHistory | None:
        return self._pools.get(key)

    def add(self, now: float, samples: Collection[PoolSample], max_gap: float) -> None:
        arrived = now if now - self._since >= _STARTING_MINUTES * MINUTE else None
        self._pools = {one.key: self._pools.get(one.key) or PoolHistory(arrived) for one in samples}
        of_process = self._processes
        self._processes = {one.key: of_process.get(one.key) or ProcessDemand() for one in samples}
        for one in samples:
            self._pools[one.key].add(now, one, max_gap)
            self._demands.add(now, one, self._processes[one.key], max_gap)


class _ServerHistory:
    """One server: its counters of deadlocks, and which applications waited for locks."""

    def __init__(self) -> None:
        self._deadlocks: deque[tuple[float, dict[str, float]]] = deque(maxlen=_DEADLOCK_MINUTES + 2)
        self._lock_waits = Waits(_REMEMBERED_MINUTES)
        self._waiting: set[str] = set()  # at the last reading
        self._last: float | None = None
        self._back = -inf  # since when it answers again

    def add(self, now: float, sample: ServerSample, max_gap: float) -> None:
        """Take in a reading. After a break of more than `max_gap` seconds it counts as having been
        unreachable."""
        if self._last is not None and now - self._last > max_gap:
            self._back = now
        self._last = now
        kept = self._deadlocks
        if len(kept) > 1 and now - kept[-2][0] < MINUTE:
            kept.pop()  # the latest takes its place until a minute is over
        counts = {
            name: float(one.deadlocks)
            for name, one in sample.databases.items()
            if one.deadlocks is not None
        }
        kept.append((now, counts))
        while now - kept[0][0] > (_DEADLOCK_MINUTES + 1) * MINUTE:
            kept.popleft()
        self._lock_waits.add(now // MINUTE, self._waits(sample))
        self._waiting = {key.application for key, group in sample.groups.items() if group.waiting}

    def _waits(self, sample: ServerSample) -> Iterator[tuple[str, float]]:
        for key, group in sample.groups.items():
            if not group.waiting:
                continue
            age = group.oldest_waiting
            if age is None:
                # Long when a session waited at the last reading, too; else for a moment.
                age = inf if key.application in self._waiting else 0.0
            yield key.application, age

    def deadlocks(self) -> dict[str, float]:
        if not self._deadlocks:
            return {}
        (_, first), (_, last) = self._deadlocks[0], self._deadlocks[-1]
        new = {name: count - first.get(name, count) for name, count in last.items()}
        return {name: count for name, count in new.items() if count > 0}

    def was_away(self) -> bool:
        return self._last is not None and self._last - self._back < _REMEMBERED_MINUTES * MINUTE

    def longest_lock_wait(self, names: Iterable[str]) -> float:
        return self._lock_waits.longest(names)


class History:
    """Follows all targets. Forgets removed ones."""

    def __init__(self) -> None:
        self._pages: dict[TargetId, _Page] = {}
        self._servers: dict[TargetId, _ServerHistory] = {}
        self._bouncer_waits: dict[TargetId, Waits] = {}
        self._demands = _Demands()

    def demand(self, now: float, samples: Iterable[PoolSample]) -> DemandDay | None:
        """Of the last day, for the pool whose processes these are; None before enough was read."""
        return self._demands.of(now, samples)

    def of(self, target: TargetId, pool: PoolId) -> PoolHistory:
        """A pool's, as a target reports it."""
        page = self._pages.get(target)
        return (page.get(pool) if page is not None else None) or PoolHistory()

    def deadlocks(self, server: str) -> Mapping[str, float]:
        """Deadlocks in the last 15 minutes, by database; only where there were any."""
        history = self._servers.get(TargetId("server", server))
        return {} if history is None else history.deadlocks()

    def was_away(self, server: str) -> bool:
        """Whether a server that answers now did not in the last minutes."""
        history = self._servers.get(TargetId("server", server))
        return history is not None and history.was_away()

    def longest_lock_wait(self, server: str, names: Iterable[str]) -> float:
        """Seconds of the longest wait for a lock in the last minutes, of the sessions with one of
        these `application_name`; infinite where only that it lasted is known.
        """
        history = self._servers.get(TargetId("server", server))
        return 0.0 if history is None else history.longest_lock_wait(names)

    def longest_bouncer_wait(self, bouncers: Iterable[str], names: Iterable[str]) -> float:
        """Seconds of the longest wait for a connection of these bouncers in the last minutes, of
        the clients with one of these `application_name`.
        """
        waits = (self._bouncer_waits.get(TargetId("bouncer", one)) for one in bouncers)
        names = tuple(names)
        return max((one.longest(names) for one in waits if one is not None), default=0.0)

    def follow(self, change: Change) -> None:
        """Take in a change, in the order in which the store made them."""
        key, state = change
        if state is None:
            self._pages.pop(key, None)
            self._servers.pop(key, None)
            self._bouncer_waits.pop(key, None)
        elif state.snapshot is not None and state.health.up:
            if key in self._pages or state.snapshot.pools:
                self._follow_page(key, state.snapshot.pools, state)
            if state.snapshot.server is not None:
                history = self._servers.setdefault(key, _ServerHistory())
                history.add(state.taken, state.snapshot.server, state.max_gap)
            if state.snapshot.bouncer is not None:
                waits = self._bouncer_waits.setdefault(key, Waits(_REMEMBERED_MINUTES))
                waits.add(state.taken // MINUTE, client_waits(state.snapshot.bouncer))

    def _follow_page(
        self, key: TargetId, pools: Collection[PoolSample], state: TargetState
    ) -> None:
        pids = (one.info.pid for one in pools if one.info is not None)
        process = next(filter(None, pids), "")
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = _Page(state.taken, process, self._demands)
        elif process != page.process:
            page.restarted(state.taken, process)
        page.add(state.taken, pools, state.max_gap)


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
