"""Where the series of our own format go: the tables of `metrics.series`, read backwards."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from pg_pool_exporter.formats import NATIVE_NAME, Labels
from pg_pool_exporter.metrics.catalogue import METRICS, POOL_INFO, Metric
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.model import PoolId, PoolInfo
from pg_pool_exporter.sources.pages.table import (
    COUNT,
    SUM,
    WHOLE,
    FieldPart,
    FieldTarget,
    FormatPool,
    Table,
    Targets,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_syntax import Malformed, number

_KEY_LABELS = PoolId._fields

# From the values of a metric's own labels, those after the pool's, to a field and its part.
_Part = Callable[[tuple[str, ...]], tuple[str, FieldPart]]


def _targets(labels_of_metric: tuple[str, ...], part: _Part) -> Targets:
    own = labels_of_metric[len(_KEY_LABELS) :]
    known = frozenset(labels_of_metric)

    def targets(labels: Labels, defaults: TargetDefaults) -> tuple[FieldTarget, ...]:
        key = defaults.key(*[labels.get(name, "") for name in _KEY_LABELS])
        if not all(key):
            raise Malformed("app, pool or process is missing")
        values = tuple([labels.get(name, "") for name in own])
        if not labels.keys() <= known:
            raise Malformed("a label that the metric does not have")
        return (FieldTarget(FormatPool(NATIVE_NAME, key), *part(values), number),)

    return targets


def _scalar(metric: Metric) -> _Part:
    fields = {scalar.more: scalar.field for scalar in POOL.scalars if scalar.metric is metric}

    def part(values: tuple[str, ...]) -> tuple[str, FieldPart]:
        if values not in fields:
            raise Malformed(f"{metric.name} does not have this value of {metric.labels[-1]}")
        return fields[values], WHOLE

    return part


def _mapping(field: str, metric: Metric) -> _Part:
    def part(values: tuple[str, ...]) -> tuple[str, FieldPart]:
        if not values[0]:
            raise Malformed(f"{metric.labels[-1]} is missing")
        return field, values[0]

    return part


def _bucket(field: str, metric: Metric) -> _Part:
    bounds = {*metric.bounds, inf}

    def part(values: tuple[str, ...]) -> tuple[str, FieldPart]:
        try:
            bound = float(values[0])
        except ValueError:
            bound = -inf
        if bound not in bounds:
            raise Malformed(f"{metric.name} does not have this bucket")
        return field, bound

    return part


def _info(values: tuple[str, ...]) -> tuple[str, FieldPart]:
    return "info", PoolInfo(**dict(zip(POOL_INFO.own, values, strict=True)))


def _constant(field: str, part: FieldPart) -> _Part:
    return lambda _values: (field, part)


def _native_parts() -> dict[str, tuple[tuple[str, ...], _Part]]:
    parts: dict[str, tuple[tuple[str, ...], _Part]] = {
        scalar.metric.name: (scalar.metric.labels, _scalar(scalar.metric))
        for scalar in POOL.scalars
    }
    for field, metric in POOL.mappings:
        parts[metric.name] = metric.labels, _mapping(field, metric)
    for field, metric in POOL.histograms:
        parts[f"{metric.name}_bucket"] = (*metric.labels, "le"), _bucket(field, metric)
        parts[f"{metric.name}_sum"] = metric.labels, _constant(field, SUM)
        parts[f"{metric.name}_count"] = metric.labels, _constant(field, COUNT)
    parts[POOL_INFO.name] = POOL_INFO.labels, _info
    return parts


def _native_types() -> dict[bytes, bytes]:
    types = {}
    for metric in METRICS:
        if metric.section == "pool":
            types[metric.name.encode()] = metric.type.encode()
            # OpenMetrics names a counter's family without its suffix.
            types[metric.name.removesuffix("_total").encode()] = metric.type.encode()
    return types


PREFIX = b"pg_pool_"
NATIVE = Table(
    wanted=wanted_lines([PREFIX], types=True),
    types=_native_types(),
    targets={
        name.encode(): _targets(labels, part) for name, (labels, part) in _native_parts().items()
    },
)
