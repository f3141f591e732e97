"""The series of each value of the model.

The catalogue names the fields that they are made of. Its tables serve writing, and the reader of
our own pages in the other direction. The standard library only, because the client imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.model import (
    AppOnServer,
    BouncerDatabase,
    BouncerPool,
    BouncerSample,
    BouncerUser,
    ClientGroup,
    DatabaseCounters,
    Health,
    Histogram,
    LeakEvidence,
    LogCounts,
    PoolSample,
    ServerFacts,
    ServerSample,
    ServerSettings,
    SessionGroup,
    StateSample,
)


class Series(NamedTuple):
    """A metric, its label values in the order of `metric.labels`, and its value."""

    metric: c.Metric
    labels: tuple[str, ...]
    value: float | Histogram


class Scalar(NamedTuple):
    """A field that is one series, with its label values beyond the record's."""

    field: str
    metric: c.Metric
    more: tuple[str, ...] = ()


class Table(NamedTuple):
    """The fields of a class of the model that are series."""

    scalars: tuple[Scalar, ...]
    mappings: tuple[tuple[str, c.Metric], ...]
    """Fields that map values of the metric's own labels to numbers."""
    histograms: tuple[tuple[str, c.Metric], ...] = ()


def _table(record: type, section: c.Section) -> Table:
    scalars: list[Scalar] = []
    mappings: list[tuple[str, c.Metric]] = []
    histograms: list[tuple[str, c.Metric]] = []
    for metric in c.METRICS:
        if metric.record is record and metric.section == section:
            for field in metric.fields:
                if metric.bounds:
                    histograms.append((field, metric))
                elif metric.own and len(metric.fields) == 1:
                    mappings.append((field, metric))
                else:
                    scalars.append(Scalar(field, metric, (field,) if metric.own else ()))
    return Table(tuple(scalars), tuple(mappings), tuple(histograms))


POOL = _table(PoolSample, "pool")
TIMES = frozenset(scalar.field for scalar in POOL.scalars if "_seconds" in scalar.metric.name)
"""Fields of a pool that are in seconds."""
_SERVER = _table(ServerSample, "server")
_SETTINGS = _table(ServerSettings, "server")
_GROUP = _table(SessionGroup, "server")
_STATE = _table(StateSample, "server")
_DATABASE = _table(DatabaseCounters, "server")
_FACTS = _table(ServerFacts, "server")
_LOG = _table(LogCounts, "server")
_LOG_TARGET = _table(LogCounts, "exporter")
_BOUNCER = _table(BouncerSample, "bouncer")
_BOUNCER_POOL = _table(BouncerPool, "bouncer")
_BOUNCER_DATABASE = _table(BouncerDatabase, "bouncer")
_BOUNCER_CLIENTS = _table(ClientGroup, "bouncer")
_BOUNCER_USER = _table(BouncerUser, "bouncer")
_EVIDENCE = _table(LeakEvidence, "joined")
_HEALTH = _table(Health, "exporter")


def _of(table: Table, record: object, labels: tuple[str, ...]) -> Iterator[Series]:
    """Series of the fields of one record; unknown ones have none."""
    for field, metric, more in table.scalars:
        value = getattr(record, field)
        if value is not None:
            yield Series(metric, labels + more, value)
    for field, metric in table.mappings:
        values = getattr(record, field)
        if values:
            yield from _of_mapping(metric, values, labels)
    for field, metric in table.histograms:
        value = getattr(record, field)
        if value is not None:
            yield Series(metric, labels, value)


def _of_mapping(
    metric: c.Metric, values: Mapping[Any, Any], labels: tuple[str, ...]
) -> Iterator[Series]:
    """Series by one more label, by several (a tuple), or by one after another (a mapping)."""
    for key, value in values.items():
        all_labels = labels + key if isinstance(key, tuple) else (*labels, key)
        if isinstance(value, float | int):
            yield Series(metric, all_labels, value)
        else:
            yield from _of_mapping(metric, value, all_labels)


def of_pools(samples: Iterable[PoolSample], *, pid: bool = True) -> Iterator[Series]:
    """Series of pools; without `pid` the label of that name is empty.

    It has another value after each restart, which would be a new series each time.
    """
    for sample in samples:
        key = tuple(sample.key)
        yield from _of(POOL, sample, key)
        if sample.info is not None:
            # Its fields have the names of the labels.
            labels = [
                getattr(sample.info, name) if pid or name != "pid" else ""
                for name in c.POOL_INFO.own
            ]
            yield Series(c.POOL_INFO, (*key, *labels), 1)


def of_server(name: str, sample: ServerSample) -> Iterator[Series]:
    """Series of one server, named `name` in the configuration; without `pg_server_up`."""
    settings = sample.settings
    recovery = "true" if settings.in_recovery else "false"
    yield Series(c.SERVER_INFO, (name, settings.version, recovery, sample.host, sample.port), 1)
    yield from _of(_SETTINGS, settings, (name,))
    yield from _of(_SERVER, sample, (name,))
    for key, group in sample.groups.items():
        yield from _of(_GROUP, group, (name, *key))
        for state, sessions in group.states.items():
            yield from _of(_STATE, sessions, (name, *key, state))
    for database, counters in sample.databases.items():
        yield from _of(_DATABASE, counters, (name, database))
    if sample.facts is not None:
        yield from _of(_FACTS, sample.facts, (name,))


def of_log(name: str, counts: LogCounts) -> Iterator[Series]:
    """Series of the log of the server named `name`."""
    yield from _of(_LOG, counts, (name,))
    yield from _of(_LOG_TARGET, counts, (name, "log"))


def of_bouncer(name: str, sample: BouncerSample) -> Iterator[Series]:
    """Series of one bouncer, named `name` in the configuration; without `pg_bouncer_up`."""
    yield Series(c.BOUNCER_INFO, (name, sample.version), 1)
    yield from _of(_BOUNCER, sample, (name,))
    for key, pool in sample.pools.items():
        yield from _of(_BOUNCER_POOL, pool, (name, *key))
        for application, group in pool.applications.items():
            yield from _of(_BOUNCER_CLIENTS, group, (name, *key, application))
    for database, counters in sample.databases.items():
        yield from _of(_BOUNCER_DATABASE, counters, (name, database))
    for user, counts in sample.users.items():
        yield from _of(_BOUNCER_USER, counts, (name, user))


def of_evidence(
    evidence: Mapping[AppOnServer, LeakEvidence], pools_max: Mapping[str, float]
) -> Iterator[Series]:
    """Series of both sides together; `pools_max` is by server."""
    for key, one in evidence.items():
        yield from _of(_EVIDENCE, one, (key.server, key.app, key.bouncer))
    for server, value in pools_max.items():
        yield Series(c.SERVER_POOLS_MAX, (server,), value)


def of_analyses(failures: Mapping[str, int]) -> Iterator[Series]:
    """Failures by analysis."""
    for analysis, count in failures.items():
        yield Series(c.ANALYSIS_FAILURES, (analysis,), count)


# Of some kinds of targets, whether they are up has a metric of its own besides.
_UP = {"server": c.SERVER_UP, "bouncer": c.BOUNCER_UP}


def of_health(target: str, kind: str, health: Health, folded: int) -> Iterator[Series]:
    """Series about the polls of one target; `folded` is its last snapshot's."""
    labels = (target, kind)
    yield from _of(_HEALTH, health, labels)
    for reason in c.POLL_FAILURE_REASONS:
        yield Series(c.POLL_FAILURES, (*labels, reason), health.failures.get(reason, 0))
    yield Series(c.SERIES_FOLDED, labels, folded)
    if kind in _UP:
        yield Series(_UP[kind], (target,), int(health.up))
