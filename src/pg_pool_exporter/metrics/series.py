"""The series of each value of the model.

The tables serve writing, and the reader of our own pages in the other direction. The standard
library only, because the client imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.model import (
    AppOnServer,
    BouncerSample,
    Health,
    Histogram,
    LeakEvidence,
    LogCounts,
    PoolInfo,
    PoolSample,
    ServerSample,
)


class Series(NamedTuple):
    """A metric, its label values in the order of `metric.labels`, and its value."""

    metric: c.Metric
    labels: tuple[str, ...]
    value: float | Histogram


class Scalar(NamedTuple):
    """A field of `PoolSample` that is one series, with its label values beyond the pool's."""

    field: str
    metric: c.Metric
    more: tuple[str, ...] = ()


POOL_SCALARS = (
    Scalar("idle", c.POOL_CONNECTIONS, ("idle",)),
    Scalar("active", c.POOL_CONNECTIONS, ("active",)),
    Scalar("max", c.POOL_MAX),
    Scalar("min", c.POOL_MIN),
    Scalar("waiting", c.POOL_WAITING),
    Scalar("oldest_idle", c.POOL_OLDEST_IDLE),
    Scalar("oldest_active", c.POOL_OLDEST_ACTIVE),
    Scalar("oldest_waiting", c.POOL_OLDEST_WAITING),
    Scalar("active_seconds", c.POOL_ACTIVE_SECONDS),
    Scalar("saturated_seconds", c.POOL_SATURATED_SECONDS),
    Scalar("requests", c.POOL_REQUESTS),
    Scalar("queued", c.POOL_QUEUED),
    Scalar("rejected", c.POOL_REJECTED),
    Scalar("acquire_wait", c.POOL_ACQUIRE_WAIT),
    Scalar("acquired", c.POOL_ACQUIRED),
    Scalar("held", c.POOL_HELD),
    Scalar("returned", c.POOL_RETURNED),
    Scalar("connects", c.POOL_CONNECTS),
    Scalar("connect_errors", c.POOL_CONNECT_ERRORS),
    Scalar("lost", c.POOL_LOST),
    Scalar("leaked", c.POOL_LEAKED),
    Scalar("leak_after", c.POOL_LEAK_THRESHOLD),
    Scalar("long_lived", c.POOL_LONG_LIVED),
)
# Fields that map the value of the metric's last label to a number.
POOL_MAPPINGS = (
    ("timeouts", c.POOL_TIMEOUTS),
    ("leaked_slots", c.POOL_LEAKED_SLOTS),
    ("overdue", c.POOL_OVERDUE),
)
POOL_HISTOGRAMS = (("acquire", c.POOL_ACQUIRE), ("hold", c.POOL_HOLD))
# The fields of `PoolInfo` carry the names of the labels.
POOL_INFO_FIELDS = c.POOL_INFO.labels[3:]


def of_pool(sample: PoolSample, *, pid: bool = True) -> Iterator[Series]:
    """Series of one pool; without `pid` the label of that name is empty.

    It has another value after each restart, which would be a new series each time.
    """
    key = tuple(sample.key)
    for name, metric, more in POOL_SCALARS:
        value = getattr(sample, name)
        if value is not None:
            yield Series(metric, key + more, value)
    for name, metric in POOL_MAPPINGS:
        for label, value in getattr(sample, name).items():
            yield Series(metric, (*key, label), value)
    for name, metric in POOL_HISTOGRAMS:
        histogram = getattr(sample, name)
        if histogram is not None:
            yield Series(metric, key, histogram)
    if sample.info is not None:
        info = sample.info if pid else replace(sample.info, pid="")
        yield Series(c.POOL_INFO, key + _info_labels(info), 1)


def _info_labels(info: PoolInfo) -> tuple[str, ...]:
    return tuple(getattr(info, name) for name in POOL_INFO_FIELDS)


def of_server(name: str, sample: ServerSample) -> Iterator[Series]:
    """Series of one server, named `name` in the configuration; without `pg_server_up`."""
    settings = sample.settings
    recovery = "true" if settings.in_recovery else "false"
    yield Series(c.SERVER_INFO, (name, settings.version, recovery, sample.host, sample.port), 1)
    yield Series(c.SERVER_MAX, (name,), settings.max_connections)
    yield Series(c.SERVER_RESERVED, (name,), settings.reserved_connections)
    yield Series(c.SERVER_USED, (name,), sample.used)
    if sample.last_login is not None:
        yield Series(c.SERVER_LAST_LOGIN, (name,), sample.last_login)
    yield from _of_groups(name, sample)
    for database, limit in settings.database_limits.items():
        yield Series(c.SERVER_DATABASE_LIMIT, (name, database), limit)
    for role, limit in settings.role_limits.items():
        yield Series(c.SERVER_ROLE_LIMIT, (name, role), limit)
    for setting, seconds in settings.timeouts.items():
        yield Series(c.SERVER_TIMEOUT_SETTING, (name, setting), seconds)
    for override, seconds in settings.overrides.items():
        yield Series(c.SERVER_TIMEOUT_OVERRIDE, (name, *override), seconds)
    for database, counters in sample.databases.items():
        yield Series(c.SERVER_DEADLOCKS, (name, database), counters.deadlocks)
        if counters.sessions is not None:
            yield Series(c.SERVER_SESSIONS, (name, database), counters.sessions)
        for reason, count in counters.ended.items():
            yield Series(c.SERVER_SESSIONS_ENDED, (name, database, reason), count)


def _of_groups(name: str, sample: ServerSample) -> Iterator[Series]:
    for key, group in sample.groups.items():
        labels = (name, *key)
        for state, (count, oldest) in group.states.items():
            yield Series(c.SERVER_CONNECTIONS, (*labels, state), count)
            if oldest is not None:
                yield Series(c.SERVER_OLDEST_STATE, (*labels, state), oldest)
        for metric, value in (
            (c.SERVER_WAITING, group.waiting),
            (c.SERVER_BLOCKING, group.blocking),
            (c.SERVER_OLDEST_BACKEND, group.oldest_backend),
            (c.SERVER_OLDEST_TRANSACTION, group.oldest_transaction),
            (c.SERVER_OLDEST_WAITING, group.oldest_waiting),
        ):
            if value is not None:
                yield Series(metric, labels, value)


def of_log(name: str, counts: LogCounts) -> Iterator[Series]:
    """Series of the log of the server named `name`."""
    for database, by_kind in counts.timeouts.items():
        for kind, count in by_kind.items():
            yield Series(c.SERVER_TIMEOUTS, (name, database, kind), count)
    for metric, by_database in ((c.SERVER_OPENED, counts.opened), (c.SERVER_CLOSED, counts.closed)):
        for database, count in (by_database or {}).items():
            yield Series(metric, (name, database), count)
    for reason, count in counts.refused.items():
        yield Series(c.SERVER_REFUSED, (name, reason), count)
    yield Series(c.LOG_BYTES, (name, "log"), counts.read)
    yield Series(c.LOG_LAG, (name, "log"), counts.lag)
    if counts.unparsed is not None:
        yield Series(c.LOG_UNPARSED, (name, "log"), counts.unparsed)
    if counts.state_saved is not None:
        yield Series(c.LOG_STATE_SAVED, (name, "log"), float(counts.state_saved))


# Fields of `BouncerPool` and `BouncerDatabase` that are one series.
_BOUNCER_POOL = (
    ("oldest_waiting", c.BOUNCER_OLDEST_WAITING),
    ("oldest_idle", c.BOUNCER_OLDEST_IDLE),
    ("size", c.BOUNCER_POOL_SIZE),
    ("reserve_size", c.BOUNCER_RESERVE_POOL_SIZE),
    ("min_size", c.BOUNCER_MIN_POOL_SIZE),
)
_BOUNCER_DATABASE = (
    ("transactions", c.BOUNCER_TRANSACTIONS),
    ("queries", c.BOUNCER_QUERIES),
    ("wait", c.BOUNCER_WAIT),
    ("connections", c.BOUNCER_DATABASE_CONNECTIONS),
    ("max_connections", c.BOUNCER_DATABASE_MAX),
)


def of_bouncer(name: str, sample: BouncerSample) -> Iterator[Series]:
    """Series of one bouncer, named `name` in the configuration; without `pg_bouncer_up`."""
    yield Series(c.BOUNCER_INFO, (name, sample.version), 1)
    for key, pool in sample.pools.items():
        labels = (name, *key)
        for state, count in pool.connections.items():
            yield Series(c.BOUNCER_CONNECTIONS, (*labels, state), count)
        for state, count in pool.clients.items():
            yield Series(c.BOUNCER_CLIENTS, (*labels, state), count)
        yield from _fields(_BOUNCER_POOL, pool, labels)
    for database, counters in sample.databases.items():
        yield from _fields(_BOUNCER_DATABASE, counters, (name, database))
    if sample.max_clients is not None:
        yield Series(c.BOUNCER_MAX_CLIENTS, (name,), sample.max_clients)
    if sample.clients is not None:
        yield Series(c.BOUNCER_CLIENT_CONNECTIONS, (name,), sample.clients)


def _fields(
    table: Iterable[tuple[str, c.Metric]], values: object, labels: tuple[str, ...]
) -> Iterator[Series]:
    for field, metric in table:
        value = getattr(values, field)
        if value is not None:
            yield Series(metric, labels, value)


def of_evidence(
    evidence: Mapping[AppOnServer, LeakEvidence], pools_max: Mapping[str, float]
) -> Iterator[Series]:
    """Series of both sides together; `pools_max` is by server."""
    for key, one in evidence.items():
        for metric, value in (
            (c.UNRETURNED, one.unreturned),
            (c.UNRETURNED_SUSPECTS, one.suspected),
            (c.MISSING_SESSIONS, one.missing),
        ):
            if value is not None:
                yield Series(metric, tuple(key), value)
    for server, value in pools_max.items():
        yield Series(c.SERVER_POOL_DEMAND, (server,), value)


def of_analyses(failures: Mapping[str, int]) -> Iterator[Series]:
    """Failures by analysis."""
    for analysis, count in failures.items():
        yield Series(c.ANALYSIS_FAILURES, (analysis,), count)


# Of some kinds of targets, whether they are up has a metric of its own besides.
_UP = {"server": c.SERVER_UP, "bouncer": c.BOUNCER_UP}


def of_health(target: str, kind: str, health: Health, folded: int) -> Iterator[Series]:
    """Series about the polls of one target; `folded` is its last snapshot's."""
    labels = (target, kind)
    yield Series(c.TARGET_UP, labels, int(health.up))
    yield Series(c.POLLS, labels, health.polls)
    for reason in c.POLL_FAILURE_REASONS:
        yield Series(c.POLL_FAILURES, (*labels, reason), health.failures.get(reason, 0))
    if health.duration is not None:
        yield Series(c.POLL_DURATION, labels, health.duration)
    if health.last_success is not None:
        yield Series(c.LAST_SUCCESS, labels, health.last_success)
    yield Series(c.SERIES_FOLDED, labels, folded)
    if kind in _UP:
        yield Series(_UP[kind], (target,), int(health.up))


def of_pools(samples: Iterable[PoolSample], *, pid: bool = True) -> Iterator[Series]:
    """Series of several pools, see `of_pool`."""
    for sample in samples:
        yield from of_pool(sample, pid=pid)
