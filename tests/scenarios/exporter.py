"""Reads the world as the exporter reads a real one, and keeps what Prometheus would scrape.

The store, joining, the findings and the tables of series are the exporter's own. Only the sources,
which would do I/O, are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, chain, count

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.exposition import findings, self_metrics
from pg_pool_exporter.metrics.catalogue import POOL_HOLD
from pg_pool_exporter.metrics.series import (
    Series,
    of_bouncer,
    of_evidence,
    of_health,
    of_pools,
    of_server,
)
from pg_pool_exporter.model import (
    Backend,
    ClientKey,
    DatabaseCounters,
    Histogram,
    OpenTransaction,
    PoolId,
    PoolInfo,
    PoolSample,
    ServerSample,
    ServerSettings,
    SessionGroup,
    SessionKey,
    Snapshot,
    TargetId,
)
from pg_pool_exporter.polling.poller import next_poll
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.sources.postgres.session_groups import SessionGroups
from scenarios.bouncer import Bouncer
from scenarios.console import VirtualSource
from scenarios.world import Lock, Pool, Server, Session, World
from support.agreement import disagreement
from support.sources import process_id

INTERVAL = 5.0
SCRAPE = 15.0
"""Seconds between two scrapes, and between two looks at the findings."""
LEAK_AFTER = 60.0
DATABASE = "shop"


@dataclass(frozen=True, slots=True)
class Page:
    """How a pool is read, and where it says that its sessions lead."""

    native: bool
    host: str = "db.example"
    port: str = "5432"
    loses_slots: bool = True
    """Whether the pool counts connections that are dropped, as psycopg_pool's does."""


Courses = dict[tuple[Cause, Subject], list[tuple[float, Severity | None]]]


class Recorder:
    """Values by series, one a scrape."""

    def __init__(self) -> None:
        self.series: dict[str, list[float | None]] = {}
        self._scrapes = 0

    def add(self, series: Iterable[Series]) -> None:
        """Take in one scrape."""
        for name, value in chain.from_iterable(map(_samples, series)):
            values = self.series.setdefault(name, [])
            values.extend([None] * (self._scrapes - len(values)))
            values.append(value)
        self._scrapes += 1


class Exporter:
    """Polls, and if it is `judged` joins, judges, and is scraped; on the world's clock."""

    def __init__(
        self, world: World, apps: Iterable[AppConfig] = (), *, judged: bool = True
    ) -> None:
        self.store = Store()
        self.recorder = Recorder()
        self.failing: set[str] = set()
        """Names of targets that don't answer now."""
        self.seen: list[tuple[float, Finding]] = []
        """All findings, by when they were there."""
        self.disagreements: list[tuple[float, str]] = []
        """Between what shows them, by when they were there."""
        self.courses: Courses = {}
        """The severities of each finding, by when it got them; None: it was gone."""
        self._judged: object = None
        self._world = world
        self._analyzer = Analyzer(self.store, Config(apps=tuple(apps)), clock=lambda: world.now)
        self._pages: dict[str, TargetId] = {}
        self._shown: dict[TargetId, list[tuple[PoolId, Pool, Page]]] = {}
        self._gone: set[TargetId] = set()
        if judged:
            world.every(SCRAPE, self._scrape, SCRAPE)
            world.every(INTERVAL, self._look, INTERVAL)

    def watch_server(self, name: str, server: Server, locks: list[Lock]) -> None:
        """Poll a server from now on."""
        groups = SessionGroups(100)
        self._poll(
            TargetId("server", name),
            lambda: None if not server.up else _server_snapshot(server, locks, groups),
        )

    def watch_bouncer(self, name: str, bouncer: Bouncer) -> None:
        """Poll a bouncer from now on."""
        self._poll(TargetId("bouncer", name), VirtualSource(name, bouncer).snapshot)

    def watch_pool(self, key: PoolId, pool: Pool, page: Page) -> None:
        """Poll a process's page from now on: its socket, or its own format over the network. It
        may have several pools.
        """
        target = (
            process_id(key.process.replace(":", "-"))
            if page.native
            else TargetId("app", key.process, key.app)
        )
        self._pages[key.process] = target
        read, address = (native, None) if page.native else (foreign, pool.address)
        pools = self._shown.setdefault(target, [])
        pools.append((key, pool, page))
        if len(pools) == 1:
            self._poll(
                target, lambda: Snapshot(pools=tuple(read(*one) for one in pools), address=address)
            )

    def forget(self, process: str) -> None:
        """The process has ended: its socket is gone, or its page is listed no more."""
        target = self._pages.pop(process)
        self._gone.add(target)
        self.store.remove(target)

    def _poll(self, key: TargetId, read: Callable[[], Snapshot | None]) -> None:
        def poll() -> None:
            if key in self._gone:
                return
            snapshot = None if key.name in self.failing else read()
            former = self.store.get(key) or TargetState(
                key=key, interval=INTERVAL, is_local=key.kind == "process"
            )
            health, now = former.health, self._world.now
            if snapshot is None:
                failures = {"timeout": health.failures.get("timeout", 0) + 1}
                health = replace(
                    health, up=False, polls=health.polls + 1, failures=failures, reason="timeout"
                )
                self.store.put(replace(former, health=health))
                return
            health = replace(
                health, up=True, polls=health.polls + 1, reason=None, duration=0.01,
                last_success=now,
            )  # fmt: skip
            self.store.put(
                replace(former, health=health, snapshot=snapshot, begun=now - 0.01, taken=now)
            )

        def on_schedule() -> None:
            poll()
            now = self._world.now
            number = next(numbers)
            self._world.at(next_poll(key.label, INTERVAL, now, now, number), on_schedule)

        numbers = count(1)
        self._world.after(self._world.random.random() * INTERVAL, on_schedule)

    def _look(self) -> None:
        findings = self._analyzer.update().findings
        severities = {(one.cause, one.subject): one.severity for one in findings}
        for key in {*self.courses, *severities}:
            course, severity = self.courses.setdefault(key, []), severities.get(key)
            if not course or course[-1][1] is not severity:
                course.append((self._world.now, severity))

    def _scrape(self) -> None:
        now, analysis = self._world.now, self._analyzer.update()
        parts: list[Iterable[Series]] = [
            self_metrics.series(self._analyzer.exporter),
            of_evidence(analysis.fleet.evidence, analysis.fleet.pools_max),
            findings.series(analysis.findings),
        ]
        for state in self.store.states():
            key, snapshot = state.key, state.fresh(now)
            parts.append(of_health(key.name, key.kind, state.health, 0))
            if snapshot is not None:
                parts.append(of_pools(snapshot.pools))
                if snapshot.server is not None:
                    parts.append(of_server(key.name, snapshot.server))
                if snapshot.bouncer is not None:
                    parts.append(of_bouncer(key.name, snapshot.bouncer))
        self.recorder.add(chain.from_iterable(parts))
        self.seen.extend((now, finding) for finding in analysis.findings)
        judged = (
            [(one.cause, one.severity, one.subject) for one in analysis.findings],
            [(one.name, one.verdict) for one in analysis.checks],
        )
        if judged == self._judged:
            return
        self._judged = judged
        if (difference := disagreement(analysis)) is not None:
            self.disagreements.append((now, difference))


def native(key: PoolId, pool: Pool, page: Page) -> PoolSample:
    """A pool as our client shows it."""
    pool.read()
    now = pool.world.now
    overdue: dict[str, float] = {}
    for one in pool.out:
        if now - one.since >= LEAK_AFTER and not one.long_lived:
            overdue[one.site] = overdue.get(one.site, 0) + 1
    return replace(
        foreign(key, pool, page),
        oldest_idle=max((now - since for since, _ in pool.idle), default=None),
        oldest_active=max((now - one.since for one in pool.out), default=None),
        oldest_waiting=now - pool.queue[0][0] if pool.queue else None,
        active_seconds=pool.active_seconds,
        saturated_seconds=pool.full_seconds,
        requests=pool.counts["requests"],
        queued=pool.counts["queued"],
        rejected=0,
        connects=pool.counts["connects"],
        connect_errors=0,
        lost=0,
        leaked=pool.lost.total() if page.loses_slots else None,
        leak_after=LEAK_AFTER,
        unaccounted=sum(now - since >= LEAK_AFTER for since in pool.missing),
        long_lived=sum(one.long_lived for one in pool.out),
        timeouts={"pool": pool.counts["timeouts"], "connect": 0},
        leaked_slots=dict(pool.lost),
        overdue=overdue,
        reclaimed=dict(pool.reclaimed),
        instances=dict(pool.made),
        acquire=pool.acquire.histogram(),
        hold=pool.hold.histogram(),
        info=PoolInfo(
            client="psycopg_pool", client_version="3.3.3", source="instrumented", pid="1",
            host=page.host, port=page.port, database=DATABASE, user=pool.user,
            application=pool.application,
        ),
    )  # fmt: skip


def foreign(key: PoolId, pool: Pool, page: Page) -> PoolSample:
    """A pool as HikariCP shows it by Micrometer: no lines of code, no ages."""
    return PoolSample(
        key=key,
        idle=len(pool.idle),
        active=pool.active,
        max=pool.most,
        min=pool.least,
        waiting=len(pool.queue),
        acquire_wait=pool.acquire.total,
        acquired=pool.acquire.histogram().count,
        held=pool.hold.total,
        returned=pool.hold.histogram().count,
        timeouts={"pool": pool.counts["timeouts"]},
        info=PoolInfo(
            client="HikariCP", source="micrometer", server="main" if page.port == "5432" else "",
            application=pool.application,
        ),
    )  # fmt: skip


def _server_snapshot(server: Server, locks: list[Lock], groups: SessionGroups) -> Snapshot:
    now = server.world.now
    by_key: dict[ClientKey, dict[str, list[Session]]] = {}
    for session in server.sessions:
        key = SessionKey(DATABASE, session.user, session.application)
        states = by_key.setdefault(ClientKey(key, session.address), {})
        states.setdefault(session.state, []).append(session)
    blockers = server.blockers(locks)
    clients = {
        key: SessionGroup(
            ages={
                state: tuple(sorted((now - one.changed for one in each), reverse=True))
                for state, each in states.items()
            },
            transactions={
                state: tuple(
                    OpenTransaction(now - one.transaction, now - one.changed)
                    for one in each
                    if one.transaction is not None
                )
                for state, each in states.items()
            },
            oldest_backend=max(now - one.began for one in chain.from_iterable(states.values())),
            oldest_transaction=_age(
                now, (one.transaction for one in chain.from_iterable(states.values()))
            ),
            waiting=sum(one.waits is not None for one in chain.from_iterable(states.values())),
            oldest_waiting=_age(now, (one.waits for one in chain.from_iterable(states.values()))),
            blocking=sum(one in blockers for one in chain.from_iterable(states.values())),
        )
        for key, states in by_key.items()
    }
    return Snapshot(
        server=ServerSample(
            host="db.example",
            port="5432",
            address="192.0.2.5",
            used=len(server.sessions) + 1,
            groups=groups.fold(clients, now).groups,
            databases={DATABASE: DatabaseCounters(deadlocks=server.deadlocks)},
            settings=ServerSettings(
                version="16.4", in_recovery=False, max_connections=server.max_connections,
                reserved_connections=3,
                timeouts={"idle_in_transaction_session_timeout": 600.0},
            ),
            sessions=clients,
            backends={one.pid: _backend(one, now) for one in server.sessions},
            clock=1e9 + server.skew + now,
        )
    )  # fmt: skip


def _backend(session: Session, now: float) -> Backend:
    return Backend(
        user=session.user,
        state=session.state,
        age=now - session.changed,
        transaction=_age(now, [session.transaction]),
        application=session.application,
        address=session.address,
    )


def _age(now: float, starts: Iterable[float | None]) -> float | None:
    first = min((one for one in starts if one is not None), default=None)
    return None if first is None else now - first


def _samples(series: Series) -> Iterator[tuple[str, float]]:
    """A series as Prometheus stores it; without the buckets of holds, which no rule reads."""
    metric, labels = series.metric, dict(zip(series.metric.labels, series.labels, strict=True))
    if not isinstance(series.value, Histogram):
        yield _name(metric.name, labels), series.value
    elif metric is not POOL_HOLD:
        cumulated = accumulate(series.value.counts)
        for bound, value in zip((*map(str, metric.bounds), "+Inf"), cumulated, strict=True):
            yield _name(f"{metric.name}_bucket", {**labels, "le": bound}), value


def _name(metric: str, labels: dict[str, str]) -> str:
    shown = {**labels, "job": "pg-pools", "instance": "exporter:10432"}
    return f"{metric}{{{','.join(f'{name}={json.dumps(text)}' for name, text in shown.items())}}}"
