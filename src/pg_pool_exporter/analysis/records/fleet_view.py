"""All records of one moment, frozen and without memory of former ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.correlate.app_readings import longest_threshold
from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.analysis.correlate.pools import KnownPool
from pg_pool_exporter.analysis.evidence.lasting import RecentEvidence
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.history.fleet_history import History
from pg_pool_exporter.analysis.records.app_view import AppView, app_view
from pg_pool_exporter.analysis.records.bouncer_view import (
    BouncerPoolView,
    BouncerView,
    bouncer_view,
)
from pg_pool_exporter.analysis.records.lasting_leaks import LastingLeaks
from pg_pool_exporter.analysis.records.limit_chain import Link, limit_chains
from pg_pool_exporter.analysis.records.pool_view import PoolView, pool_view, process_view
from pg_pool_exporter.analysis.records.server_view import ServerView, server_view
from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.config import Thresholds
from pg_pool_exporter.model import AppOnServer, Health, LeakEvidence, LogCounts, TargetId
from pg_pool_exporter.polling.store import TargetState


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """A target and how its polls went."""

    key: TargetId
    health: Health
    is_fresh: bool
    """Whether its last reading is fresh."""
    log: LogCounts | None
    """The counts of a server's log."""
    slots: int | None
    """Of a server: those of ordinary roles, when it was read last."""
    pools_max: float | None
    """Of a server: the most connections that all pools may have that led there then."""

    @property
    def is_down(self) -> bool:
        """Whether its last poll failed."""
        return self.health.polls > 0 and not self.health.up


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """All records at one moment, without readings that are too old."""

    thresholds: AllThresholds = field(default_factory=AllThresholds)
    """The thresholds of its verdicts."""
    exporter: ExporterStatus = field(default_factory=ExporterStatus)
    targets: tuple[TargetView, ...] = ()
    servers: tuple[ServerView, ...] = ()
    apps: tuple[AppView, ...] = ()
    pools: tuple[PoolView, ...] = ()
    bouncers: tuple[BouncerView, ...] = ()
    bouncer_pools: tuple[BouncerPoolView, ...] = ()
    """Of all bouncers, the worst first."""
    limits: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    """By bouncer, from its clients to its servers."""

    @property
    def evidence(self) -> Mapping[AppOnServer, LeakEvidence]:
        """Of each application on each server, as it is sound now."""
        return {app.key: app.evidence for app in self.apps}

    @property
    def pools_max(self) -> Mapping[str, float]:
        """By server, the most connections that all pools that lead there may have."""
        return {one.name: one.pools_max for one in self.servers if one.pools_max is not None}


def fleet_view(
    correlation: Correlation,
    history: History,
    leaks: LastingLeaks,
    thresholds: AllThresholds,
    exporter: ExporterStatus,
    now: float,
    faults: Faults,
) -> FleetView:
    """The records at `now` (monotonic). A fault in one costs that record."""
    states = correlation.states.values()
    thresholds = thresholds.with_sessions(
        {
            one.sessions.application: one.sample.key.app
            for one in correlation.pools.all()
            if one.sessions is not None
        }
    )
    evidence, recent = correlation.evidence(now), correlation.recent_evidence(now)
    pools_max = correlation.pools_max(now)
    bouncers = tuple(_bouncers(correlation, thresholds.general, now, faults))
    servers = tuple(_servers(states, pools_max, history, thresholds, now, faults))
    limits: Mapping[str, tuple[Link, ...]] = {}
    with faults.contained("records"):
        by_name = {one.name: one for one in servers}
        limits = limit_chains(bouncers, by_name, correlation.pools.demands(now))
    bouncer_pools = (pool for bouncer in bouncers for pool in bouncer.pools)
    apps = {}
    for key, pools in correlation.pools.by_app_on_server().items():
        with faults.contained("records"):
            sound, its = evidence.get(key, LeakEvidence()), recent.get(key, RecentEvidence())
            apps[key] = app_view(key, pools, sound, its, correlation, history, now)
    found = _pools(correlation.pools.all(), apps, history, thresholds, now, faults)
    return FleetView(
        thresholds=thresholds,
        exporter=exporter,
        targets=tuple(_target(state, correlation, now) for state in states),
        servers=servers,
        apps=tuple(apps.values()),
        pools=tuple(leaks.of(now, found)),
        bouncers=bouncers,
        bouncer_pools=tuple(sorted(bouncer_pools, key=lambda one: one.badness, reverse=True)),
        limits=limits,
    )


def _target(state: TargetState, correlation: Correlation, now: float) -> TargetView:
    key, last = state.key, state.snapshot
    server = last.server if last is not None else None
    return TargetView(
        key=key,
        health=state.health,
        is_fresh=state.fresh(now) is not None,
        log=last.log if last is not None else None,
        slots=server.settings.available if server is not None else None,
        pools_max=correlation.last_pools_max(key.name) if key.kind == "server" else None,
    )


def _servers(
    states: Iterable[TargetState],
    pools_max: Mapping[str, float],
    history: History,
    thresholds: AllThresholds,
    now: float,
    faults: Faults,
) -> Iterator[ServerView]:
    for state in states:
        snapshot, name = state.fresh(now), state.key.name
        if snapshot is not None and snapshot.server is not None:
            with faults.contained("records"):
                yield server_view(
                    name,
                    snapshot.server,
                    thresholds,
                    pools_max.get(name),
                    history.of_server(name).deadlocks(),
                )


def _bouncers(
    correlation: Correlation, thresholds: Thresholds, now: float, faults: Faults
) -> Iterator[BouncerView]:
    chain = correlation.chain(now)
    for key, state in correlation.states.items():
        snapshot = state.fresh(now)
        if snapshot is not None and snapshot.bouncer is not None:
            with faults.contained("records"):
                yield bouncer_view(key.name, snapshot.bouncer, chain, thresholds)


def _pools(
    pools: Iterable[KnownPool],
    apps: Mapping[AppOnServer, AppView],
    history: History,
    thresholds: AllThresholds,
    now: float,
    faults: Faults,
) -> Iterator[PoolView]:
    fresh = ((one.sample.key, one) for one in pools if one.state.fresh(now) is not None)
    by_name = grouped(((key.app, key.pool), one) for key, one in fresh)
    for (app, name), those in sorted(by_name.items()):
        of_pool = thresholds.of_pool(app, name)
        for on, processes in _by_server(those).items():
            with faults.contained("records"):
                yield pool_view(
                    tuple(
                        process_view(
                            one.sample, history.of(one.state.key, one.sample.key), of_pool, now
                        )
                        for one in processes
                    ),
                    None if on is None else apps.get(on),
                    longest_threshold(processes),
                    history.demand(now, [one.sample for one in processes]),
                    _bouncers_of(processes),
                )


def _by_server(pools: Iterable[KnownPool]) -> Mapping[AppOnServer | None, list[KnownPool]]:
    """A process whose server is unknown, because no session was asked yet, is with the others."""
    pools = list(pools)
    first = min((pool.on for pool in pools if pool.on is not None), default=None)
    return grouped((pool.on or first, pool) for pool in pools)


def _bouncers_of(processes: Iterable[KnownPool]) -> tuple[str, ...]:
    """The bouncers that all processes connect to; empty where they differ or one is unknown."""
    ways = {one.bouncers for one in processes}
    return ways.pop() if len(ways) == 1 else ()
