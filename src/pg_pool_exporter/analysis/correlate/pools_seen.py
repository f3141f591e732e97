"""The pools that there are, what was read of them lately, and the servers that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.analysis.correlate.places import Places, SessionsOf, server_of, sessions_of
from pg_pool_exporter.analysis.evidence.bounds import PoolReading, pool_reading
from pg_pool_exporter.analysis.evidence.readings import Readings
from pg_pool_exporter.config import DEFAULT_LEAK_AFTER, AppConfig
from pg_pool_exporter.model import PoolId, PoolSample, TargetId
from pg_pool_exporter.polling.store import EXPIRY_INTERVALS, TargetState


@dataclass(slots=True)
class PoolSeen:
    """One pool of one process."""

    target: TargetId
    is_local: bool
    """Whether its process is on this machine."""
    sample: PoolSample
    begun: float
    """When the reading of the sample was begun."""
    expires: float
    """When the sample is too old to tell of the present."""
    leak_after: float
    server: str | None = None
    """The server that it leads to directly, where known."""
    sessions: SessionsOf | None = None
    """By what its sessions are known there."""
    readings: Readings[PoolReading] = field(default_factory=Readings)


Pools = dict[PoolId, PoolSeen]


class PoolsSeen:
    """Follows the pools from state to state. Remembers nothing of a target that is gone.

    A pool that two targets give is taken from one of them: the first, as long as it gives it.
    """

    def __init__(self, apps: Iterable[AppConfig]) -> None:
        self._apps = {app.name: app for app in apps}
        self._places = Places()
        self._by_target: dict[TargetId, Pools] = {}
        self._owners: dict[PoolId, TargetId] = {}
        self._by_app: dict[str, dict[PoolId, TargetId]] = {}
        self._longest: dict[str, float] = {}  # leak threshold by application, of any of its pools
        self._by_server: dict[str, dict[str, Pools]] = {}

    def configure(self, apps: Iterable[AppConfig], places: Places) -> None:
        """Go on with these applications and servers."""
        self._apps = {app.name: app for app in apps}
        self._places = places
        self._by_server = {}
        for pools in self._by_target.values():
            for pool in pools.values():
                self._link(pool)

    @property
    def places(self) -> Places:
        """The servers that pools may lead to."""
        return self._places

    @property
    def apps(self) -> Iterable[AppConfig]:
        """The configured applications."""
        return self._apps.values()

    def on(self, server: str) -> Mapping[str, Pools]:
        """The pools that lead to a server, by application."""
        return self._by_server.get(server, {})

    def all(self) -> Iterator[PoolSeen]:
        """All pools."""
        for pools in self._by_target.values():
            yield from pools.values()

    def targets_of(self, app: str) -> set[TargetId]:
        """The targets that give pools of an application."""
        return set(self._by_app.get(app, {}).values())

    def follow(self, key: TargetId, state: TargetState | None) -> None:
        """Take in the state that a target has now; None when it is gone."""
        former = self._by_target.get(key, {})
        snapshot = state.snapshot if state is not None else None
        present = {pool.key for pool in snapshot.pools} if snapshot is not None else set()
        for pool in former.keys() - present:
            self._forget(pool)
        if state is None:
            self._by_target.pop(key, None)
        elif snapshot is not None and state.health.up:
            for sample in snapshot.pools:
                self._take(sample, state, snapshot.address)

    def _take(self, sample: PoolSample, state: TargetState, address: str | None) -> None:
        owner = self._owners.get(sample.key)
        if owner is not None and owner != state.key:
            if self._by_target[owner][sample.key].expires > state.taken:
                return
            self._forget(sample.key)
        pools = self._by_target.setdefault(state.key, {})
        pool = pools.get(sample.key)
        if pool is None:
            pool = PoolSeen(
                state.key,
                state.is_local,
                sample,
                state.begun,
                state.expires,
                self._leak_after(sample),
            )
            pools[sample.key] = pool
            self._owners[sample.key] = state.key
            self._by_app.setdefault(sample.key.app, {})[sample.key] = state.key
            self._link(pool)
        former, pool.sample = pool.sample, sample
        pool.begun, pool.expires = state.begun, state.expires
        pool.leak_after = self._leak_after(sample)
        app = sample.key.app
        self._longest[app] = max(self._longest.get(app, 0.0), pool.leak_after)
        if former.info != sample.info:
            self._link(pool)
        if sample.idle is not None and sample.active is not None:
            pool.readings.add(
                state.begun,
                state.taken,
                pool_reading(
                    sample.idle,
                    sample.active,
                    leaked=sum(sample.leaked_slots.values()),
                    long_lived=self._long_lived(sample),
                    address=address,
                ),
                keep=self._longest[app],
                most_gap=EXPIRY_INTERVALS * state.interval,
            )

    def _forget(self, key: PoolId) -> None:
        pool = self._by_target[self._owners.pop(key)].pop(key)
        self._unlink(pool)
        of_app = self._by_app[key.app]
        del of_app[key]
        if not of_app:
            del self._by_app[key.app], self._longest[key.app]

    def _link(self, pool: PoolSeen) -> None:
        self._unlink(pool)
        app = self._apps.get(pool.sample.key.app)
        place = server_of(pool.sample, app, self._places, here=pool.is_local)
        if place is not None:
            pool.server = place.name
            pool.sessions = sessions_of(pool.sample, app, place)
            apps = self._by_server.setdefault(place.name, {})
            apps.setdefault(pool.sample.key.app, {})[pool.sample.key] = pool

    def _unlink(self, pool: PoolSeen) -> None:
        key = pool.sample.key
        if pool.server in self._by_server:
            apps = self._by_server[pool.server]
            if key.app in apps:
                apps[key.app].pop(key, None)
                if not apps[key.app]:
                    del apps[key.app]
        pool.server = pool.sessions = None

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
