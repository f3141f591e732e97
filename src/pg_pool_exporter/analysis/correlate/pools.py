"""The pools of all targets, their recent readings, and the servers that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.correlate.addresses import (
    ServerAddress,
    ServerAddresses,
    SessionFilter,
    server_of,
    sessions_of,
)
from pg_pool_exporter.analysis.correlate.bouncers import (
    BouncerAddress,
    BouncerAddresses,
    Demand,
    bouncers_of,
    clients_of,
)
from pg_pool_exporter.analysis.evidence import little
from pg_pool_exporter.analysis.evidence.bounds import PoolReading, pool_reading
from pg_pool_exporter.analysis.evidence.little import HoldReading, hold_reading
from pg_pool_exporter.analysis.evidence.readings import Readings
from pg_pool_exporter.config import DEFAULT_LEAK_AFTER, AppConfig
from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.model import AppOnServer, PoolId, PoolInfo, PoolSample, TargetId
from pg_pool_exporter.polling.store import TargetState


@dataclass(slots=True)
class KnownPool:
    """One pool of one process."""

    state: TargetState
    """The target's state that the sample comes from."""
    sample: PoolSample
    leak_after: float
    on: AppOnServer | None = None
    """Its application on the server, or the bouncers, whose sessions or clients show what its
    connections do; None where they are unknown."""
    bouncers: tuple[str, ...] = ()
    """Those that it connects to, where known."""
    sessions: SessionFilter | None = None
    """Which sessions or clients there may be its own."""
    readings: Readings[PoolReading] = field(default_factory=partial(Readings, PoolReading))
    holds: Readings[HoldReading] = field(default_factory=partial(Readings, HoldReading))
    """Of a page that shows times, and leaves open which checkouts are overdue."""


Pools = dict[PoolId, KnownPool]
Address = TypeVar("Address", ServerAddress, BouncerAddress)


class KnownPools:
    """Follows the pools from state to state. Forgets those of a removed target."""

    def __init__(self, apps: Iterable[AppConfig]) -> None:
        self._apps = {app.name: app for app in apps}
        self._at: dict[str, ServerAddress] = {}
        self._addresses = ServerAddresses()
        self._bouncers_at: dict[str, BouncerAddress] = {}
        self._bouncers = BouncerAddresses()
        self._pools: Pools = {}
        self._by_target: dict[TargetId, set[PoolId]] = {}
        self._by_app: dict[str, set[PoolId]] = {}
        self._longest: dict[str, float] = {}  # leak threshold by application, of any of its pools

    def configure(self, apps: Iterable[AppConfig]) -> None:
        """Go on with these applications."""
        self._apps = {app.name: app for app in apps}
        self._link_all()

    def place_server(self, name: str, address: ServerAddress | None) -> None:
        """The server `name` is at `address` now, or gone: pools may lead to it."""
        if _has_moved(self._at, name, address):
            self._addresses = ServerAddresses(self._at.values())
            self._link_all()

    def place_bouncer(self, name: str, address: BouncerAddress | None) -> None:
        """The same of a bouncer."""
        if _has_moved(self._bouncers_at, name, address):
            self._bouncers = BouncerAddresses(self._bouncers_at.values())
            self._link_all()

    def _link_all(self) -> None:
        for pool in self._pools.values():
            self._link(pool)

    @property
    def addresses(self) -> ServerAddresses:
        """The servers that pools may lead to."""
        return self._addresses

    def on(self, server: str) -> Mapping[AppOnServer, Pools]:
        """The pools that lead to a server, by application."""
        apps: dict[AppOnServer, Pools] = {}
        for key, pool in self._pools.items():
            if pool.on is not None and pool.on.server == server and not pool.on.bouncers:
                apps.setdefault(pool.on, {})[key] = pool
        return apps

    def through(self, bouncer: str) -> Mapping[tuple[str, ...], Mapping[AppOnServer, Pools]]:
        """The pools that connect to a bouncer, by all bouncers that share their connections, and by
        application.
        """
        found: dict[tuple[str, ...], dict[AppOnServer, Pools]] = {}
        for key, pool in self._pools.items():
            if pool.on is not None and bouncer in pool.on.bouncers:
                found.setdefault(pool.on.bouncers, {}).setdefault(pool.on, {})[key] = pool
        return found

    def by_app_on_server(self) -> Mapping[AppOnServer, list[KnownPool]]:
        """The pools that lead to any server or bouncer."""
        return grouped((pool.on, pool) for pool in self._pools.values() if pool.on is not None)

    def demands(self, now: float) -> Iterator[Demand]:
        """What the pools known at `now` may open through bouncers."""
        for key, pool in self._pools.items():
            if pool.bouncers and pool.sample.max and pool.state.fresh(now) is not None:
                info = pool.sample.info or PoolInfo()
                yield Demand(key.app, pool.bouncers, info.database, info.user, pool.sample.max)

    def all(self) -> Iterator[KnownPool]:
        """The pools of all targets, in the order in which they came."""
        yield from self._pools.values()

    def states_of(self, app: str) -> Iterator[TargetState]:
        """The states that the pools of an application come from, with repetitions."""
        return (self._pools[key].state for key in self._by_app.get(app, ()))

    def follow(self, key: TargetId, state: TargetState | None) -> None:
        """Take in a target's new state; None when the target was removed."""
        pools = state.pools if state is not None else ()
        present = {pool.key for pool in pools}
        for gone in self._by_target.get(key, set()) - present:
            self._forget(gone)
        if state is None:
            self._by_target.pop(key, None)
        elif state.health.up:
            for sample in pools:
                self._take(sample, state)

    def _take(self, sample: PoolSample, state: TargetState) -> None:
        pool = self._pools.get(sample.key)
        if pool is not None and pool.state.key != state.key:
            self._forget(sample.key)  # it has another owner now
            pool = None
        if pool is None:
            pool = KnownPool(state, sample, self._leak_after(sample))
            self._pools[sample.key] = pool
            self._by_target.setdefault(state.key, set()).add(sample.key)
            self._by_app.setdefault(sample.key.app, set()).add(sample.key)
            self._link(pool)
        elif state.is_same_reading(pool.state):
            pool.state = state
            return  # no new reading: the store has hidden other pools of the page
        former, pool.sample, pool.state = pool.sample, sample, state
        pool.leak_after = self._leak_after(sample)
        app = sample.key.app
        self._longest[app] = max(self._longest.get(app, 0.0), pool.leak_after)
        if former.info != sample.info:
            self._link(pool)
        if sample.idle is not None and sample.active is not None:
            assert state.snapshot is not None
            pool.readings.add(
                state.begun,
                state.taken,
                pool_reading(
                    sample.idle,
                    sample.active,
                    leaked=sum(sample.leaked_slots.values()),
                    long_lived=self._long_lived(sample) + _lag(sample.info),
                    address=state.snapshot.address,
                ),
                keep=self._longest[app],
                max_gap=state.max_gap,
            )
        self._take_times(pool, sample, state)

    def _take_times(self, pool: KnownPool, sample: PoolSample, state: TargetState) -> None:
        if (
            sample.active is None
            or sample.held is None
            or sample.returned is None
            or sample.leaked is not None
            or sample.leak_after is not None
        ):
            return
        active = max(0.0, sample.active - self._long_lived(sample))
        waited = sample.acquire_wait or 0.0
        reading = hold_reading(
            state.begun, state.taken, active, sample.held, sample.returned, waited
        )
        last = pool.holds.last()
        if last is not None and reading.ended_last < last.ended_last:
            pool.holds = Readings(HoldReading)  # the process has restarted
        keep = little.WINDOWS[-1] * self._longest[sample.key.app]
        pool.holds.add(state.begun, state.taken, reading, keep=keep, max_gap=state.max_gap)

    def _forget(self, key: PoolId) -> None:
        pool = self._pools.pop(key)
        self._by_target[pool.state.key].discard(key)
        of_app = self._by_app[key.app]
        of_app.discard(key)
        if not of_app:
            del self._by_app[key.app], self._longest[key.app]

    def _link(self, pool: KnownPool) -> None:
        name, here = pool.sample.key.app, pool.state.is_local
        app = self._apps.get(name)
        server = server_of(pool.sample, app, self._addresses, here=here)
        pool.on = pool.sessions = None
        pool.bouncers = ()
        if server is not None:
            pool.on = AppOnServer(server.name, name)
            pool.sessions = sessions_of(pool.sample, app, server)
            return
        pool.bouncers = bouncers_of(pool.sample, app, self._bouncers, here=here)
        its_clients = clients_of(pool.sample, app)
        if pool.bouncers and its_clients and self._bouncers.show_clients(pool.bouncers):
            pool.on = AppOnServer("", name, pool.bouncers)
            pool.sessions = its_clients

    def _long_lived(self, sample: PoolSample) -> float:
        if sample.long_lived is not None:
            return sample.long_lived
        app = self._apps.get(sample.key.app)
        return 0 if app is None else app.long_lived

    def _leak_after(self, sample: PoolSample) -> float:
        if sample.leak_after is not None:
            return sample.leak_after
        app = self._apps.get(sample.key.app)
        return DEFAULT_LEAK_AFTER if app is None else app.leak_after


def _has_moved(known: dict[str, Address], name: str, address: Address | None) -> bool:
    """Whether `name` was not known at this address; None: nowhere. Takes it in."""
    former = known.pop(name, None)
    if address is not None:
        known[name] = address
    return former != address


def _lag(info: PoolInfo | None) -> int:
    """Connections that the page may show as active although they were returned."""
    if info is None or info.source not in FORMATS:
        return 0
    return FORMATS[info.source].lags.get(info.client, 0)
