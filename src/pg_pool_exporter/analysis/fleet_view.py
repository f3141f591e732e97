"""What is known at one moment, put together for judging: frozen values, nothing is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pg_pool_exporter.analysis.bouncer_view import BouncersPool, bouncers_pools
from pg_pool_exporter.analysis.correlate.app_sides import longest_threshold
from pg_pool_exporter.analysis.correlate.joiner import Joiner
from pg_pool_exporter.analysis.correlate.pools_seen import PoolSeen
from pg_pool_exporter.analysis.correlate.sessions import AppSessions
from pg_pool_exporter.analysis.finding import Subject
from pg_pool_exporter.analysis.history import Recent, Trend, Trends, total
from pg_pool_exporter.model import AppOnServer, PoolSample, ServerSample
from pg_pool_exporter.polling.store import Store, TargetState

IDLE_IN_TRANSACTION_TIMEOUT = "idle_in_transaction_session_timeout"
"""The setting that ends forgotten transactions, where it is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process's pool at its last reading, and in the last minutes."""

    sample: PoolSample
    recent: Recent | None
    trend: Trend

    @property
    def use(self) -> float | None:
        """Share of the maximum that is checked out; None without a maximum."""
        sample = self.sample
        return sample.active / sample.max if sample.max and sample.active is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application's sessions on one server, and what both sides tell together of them.

    None: can't be told now.
    """

    server: str
    app: str
    leak_after: float
    lately: tuple[AppSessions, ...]
    """Its sessions when its pools were read, and since; the latest last. Empty: not known now."""
    unreturned: float | None
    held_at: Mapping[str, float]
    """Of `unreturned`, by the address that their sessions come from; empty where nobody knows."""
    suspects: float | None
    missing: float | None
    gone: float
    """Connections that its pools count, that were not dropped, and that have no session: at least
    so many, during the whole threshold."""
    out: float
    """Connections of its pools that are checked out, those lost by dropping not counted."""
    without_session: float
    """Connections that its pools count now and that had no session at any poll lately."""
    disturbed: bool
    """Whether its server did not answer, now or in the last minutes: then requests had to wait."""
    locked: bool
    """Whether a session of it has waited for a lock in the last minutes."""
    pools: int
    """How many pools, of whatever process, lead there."""

    @property
    def has_no_session(self) -> bool:
        """Whether connections of its pools are out, and the server has no session by its name."""
        sessions = self.sessions
        return bool(self.out and sessions is not None and not sessions.sessions)

    @property
    def sessions(self) -> AppSessions | None:
        """At the server's last poll; None when that is too old."""
        return self.lately[-1] if self.lately else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool of an application: those of all its processes that have the same name and lead to the
    same server."""

    app: str
    pool: str
    processes: tuple[Process, ...]
    on: App | None
    """Its application on the server that it leads to, where known."""
    leak_after: float

    @property
    def subject(self) -> Subject:
        """What findings about it are about."""
        server = self.on.server if self.on is not None else ""
        return Subject(app=self.app, pool=self.pool, server=server)

    @property
    def wider_subjects(self) -> Iterator[Subject]:
        """What findings about all of its application on its server are about: its sessions may
        have other names than it has.
        """
        infos = (each.sample.info for each in self.processes)
        names = {self.app, *(info.application for info in infos if info and info.application)}
        return (Subject(app=name, server=self.subject.server) for name in sorted(names))

    def sum(self, field: str) -> float:
        """A field of all processes added up; those that don't tell it count as 0."""
        return sum(getattr(each.sample, field) or 0.0 for each in self.processes)

    def by_site(self, field: str) -> dict[str, float]:
        """A field by site, of all processes added up; the most first."""
        sites: dict[str, float] = {}
        for site, count in chain(*(getattr(one.sample, field).items() for one in self.processes)):
            sites[site] = sites.get(site, 0.0) + count
        return dict(sorted(sites.items(), key=lambda item: -item[1]))

    def at_all_sites(self, field: str) -> float:
        """A field by site, added up over the sites and the processes."""
        return sum(sum(getattr(one.sample, field).values()) for one in self.processes)

    @property
    def recents(self) -> list[Recent]:
        """What its processes did in the last minutes, as far as they have been watched."""
        return [one.recent for one in self.processes if one.recent is not None]

    @property
    def most(self) -> float | None:
        """The sum of the maxima; None when one of them is not told, or has none."""
        maxima = [each.sample.max for each in self.processes]
        return None if None in maxima else sum(filter(None, maxima))

    @property
    def fullest(self) -> Process:
        """The process whose pool is used most; of those without a maximum, the most active."""
        return max(self.processes, key=lambda each: (each.use or 0.0, each.sample.active or 0.0))

    @property
    def client(self) -> str:
        """The pool library, where it is told."""
        return next((each.sample.info.client for each in self.processes if each.sample.info), "")

    def active_by_minute(self) -> Sequence[float]:
        """Checked out in the last hour, of all processes together, the latest minute last."""
        return total(each.trend.active for each in self.processes)

    def seconds_to_saturation(self) -> float | None:
        """Until the first process's pool is checked out as a whole, by the trend; 0 when it is."""
        if (self.fullest.use or 0.0) >= 1:
            return 0.0
        times = [
            seconds
            for each in self.processes
            if each.sample.max and (seconds := each.trend.seconds_to(each.sample.max)) is not None
        ]
        return min(times, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server at its last poll."""

    name: str
    sample: ServerSample
    demand: float | None
    deadlocks: Mapping[str, float]

    @property
    def available(self) -> int:
        """Slots that an ordinary role can have."""
        settings = self.sample.settings
        return settings.max_connections - settings.reserved_connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known at a moment. What is too old to tell of the present is left out."""

    now: float
    targets: tuple[TargetState, ...]
    servers: tuple[Server, ...]
    pools: tuple[Pool, ...]
    bouncers_pools: tuple[BouncersPool, ...]
    """Of all bouncers, the worst first."""


def situation(store: Store, joiner: Joiner, trends: Trends, now: float) -> Situation:
    """What is known `now`, by the clock that the states' times are on."""
    states = store.states()
    servers = [
        Server(
            name=state.key.name,
            sample=state.snapshot.server,
            demand=joiner.joined.demand.get(state.key.name),
            deadlocks=trends.deadlocks(state.key.name),
        )
        for state in states
        if state.snapshot is not None and state.snapshot.server is not None and now < state.expires
    ]
    by_name: dict[tuple[str, str], list[PoolSeen]] = {}
    for one in joiner.pools.all():
        if now < one.expires:
            by_name.setdefault(one.sample.key[:2], []).append(one)
    apps = _Apps(joiner, trends)
    return Situation(
        now=now,
        targets=states,
        servers=tuple(servers),
        pools=tuple(
            _pool(seen, server, trends, apps)
            for _, those in sorted(by_name.items())
            for server, seen in _by_server(those).items()
        ),
        bouncers_pools=bouncers_pools(states, now),
    )


def _by_server(pools: Iterable[PoolSeen]) -> Mapping[str | None, list[PoolSeen]]:
    """One whose server isn't known yet, because it has asked no session, is with the others."""
    pools = list(pools)
    first = min((pool.server for pool in pools if pool.server is not None), default=None)
    by_server: dict[str | None, list[PoolSeen]] = {}
    for pool in pools:
        by_server.setdefault(pool.server or first, []).append(pool)
    return by_server


class _Apps:
    """Each application on each server, put together once."""

    def __init__(self, joiner: Joiner, trends: Trends) -> None:
        self._joiner = joiner
        self._trends = trends
        self._made: dict[AppOnServer, App] = {}

    def of(self, server: str, app: str) -> App:
        key = AppOnServer(server, app)
        if key not in self._made:
            joined = self._joiner.joined
            pools = self._joiner.pools.on(server).get(app, {})
            samples = [one.sample for one in pools.values()]
            missing = joined.missing.get(key)
            dropped = sum(sum(one.leaked_slots.values()) for one in samples)
            out = sum(one.active or 0.0 for one in samples) - dropped
            lately = self._joiner.sessions(app, server)
            most = max((one.sessions for one in lately), default=0)
            connections = out + sum(one.idle or 0.0 for one in samples)
            self._made[key] = App(
                server=server,
                app=app,
                leak_after=longest_threshold(pools.values()),
                lately=lately,
                unreturned=joined.unreturned.get(key),
                held_at=joined.held_at.get(key, {}),
                suspects=joined.suspects.get(key),
                missing=missing,
                gone=max(0.0, (missing or 0.0) - dropped),
                out=out,
                without_session=max(0.0, connections - most) if len(lately) > 1 else 0.0,
                disturbed=not lately or self._trends.was_away(server),
                locked=not self._trends.waited(server).isdisjoint(
                    pool.sessions.application for pool in pools.values() if pool.sessions
                ),
                pools=len({pool.pool for pool in pools}),
            )
        return self._made[key]


def _pool(seen: list[PoolSeen], server: str | None, trends: Trends, apps: _Apps) -> Pool:
    key = seen[0].sample.key
    return Pool(
        app=key.app,
        pool=key.pool,
        processes=tuple(_process(one, trends.of(one.target, one.sample.key)) for one in seen),
        on=None if server is None else apps.of(server, key.app),
        leak_after=longest_threshold(seen),
    )


def _process(seen: PoolSeen, trend: Trend) -> Process:
    return Process(sample=seen.sample, recent=trend.recent(), trend=trend)
