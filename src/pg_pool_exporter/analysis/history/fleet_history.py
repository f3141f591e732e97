"""The last hour of each pool and the last minutes of each server, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from pg_pool_exporter.analysis.history.demand import (
    HOUR,
    HOURS,
    DemandDay,
    DemandLog,
    ProcessDemand,
    together,
)
from pg_pool_exporter.analysis.history.minutes import MINUTE
from pg_pool_exporter.analysis.history.pool_history import PoolHistory
from pg_pool_exporter.analysis.history.server_history import ServerHistory
from pg_pool_exporter.analysis.history.waits import REMEMBERED_MINUTES, Waits, client_waits
from pg_pool_exporter.model import PoolId, PoolSample, TargetId
from pg_pool_exporter.polling.store import Change, TargetState

# Pools whose demand is kept; the one that was read longest ago makes room.
_MAX_DEMANDS = 5000
# Pools made in a process's first minutes belong to its start.
_STARTING_MINUTES = 2


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
        self.state: TargetState | None = None
        """At the last reading."""
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


class History:
    """Follows all targets. Forgets removed ones."""

    def __init__(self) -> None:
        self._pages: dict[TargetId, _Page] = {}
        self._servers: dict[TargetId, ServerHistory] = {}
        self._bouncer_waits: dict[TargetId, Waits] = {}
        self._demands = _Demands()

    def demand(self, now: float, samples: Iterable[PoolSample]) -> DemandDay | None:
        """Of the last day, for the pool whose processes these are; None before enough was read."""
        return self._demands.of(now, samples)

    def of(self, target: TargetId, pool: PoolId) -> PoolHistory:
        """A pool's, as a target reports it."""
        page = self._pages.get(target)
        return (page.get(pool) if page is not None else None) or PoolHistory()

    def of_server(self, server: str) -> ServerHistory:
        """Of the server with this name; one without readings where it was never read."""
        return self._servers.get(TargetId("server", server)) or ServerHistory()

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
                history = self._servers.setdefault(key, ServerHistory())
                history.add(state.taken, state.snapshot.server, state.max_gap)
            if state.snapshot.bouncer is not None:
                waits = self._bouncer_waits.setdefault(key, Waits(REMEMBERED_MINUTES))
                waits.add(state.taken // MINUTE, client_waits(state.snapshot.bouncer))

    def _follow_page(
        self, key: TargetId, pools: Collection[PoolSample], state: TargetState
    ) -> None:
        pids = (one.info.pid for one in pools if one.info is not None)
        process = next(filter(None, pids), "")
        page = self._pages.get(key)
        if page is not None and page.state is not None and state.is_same_reading(page.state):
            return  # the store has hidden pools of it since
        if page is None:
            page = self._pages[key] = _Page(state.taken, process, self._demands)
        elif process != page.process:
            page.restarted(state.taken, process)
        page.state = state
        page.add(state.taken, pools, state.max_gap)
