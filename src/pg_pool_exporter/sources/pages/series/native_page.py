"""Where the series of our own format go: the tables of `metrics.series`, read backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, isnan, nan
from typing import NamedTuple

from pg_pool_exporter.formats import NATIVE_NAME, Labels
from pg_pool_exporter.metrics.catalogue import METRICS, POOL_INFO, Metric
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.model import PoolId, PoolInfo
from pg_pool_exporter.sources.pages.series.identity import PagePool, split
from pg_pool_exporter.sources.pages.series.native_names import PREFIX, spellings
from pg_pool_exporter.sources.pages.series.table import (
    COUNT,
    SUM,
    WHOLE,
    AliasRank,
    FieldPart,
    FieldTarget,
    Table,
    Targets,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.series.text_syntax import Malformed, number
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

_KEY_LABELS = PoolId._fields

# From the values of a metric's own labels, those after the pool's, to a field and its part.
_Part = Callable[[tuple[str, ...]], tuple[str, FieldPart]]
_BUCKET = "_bucket"
_COUNT = "_count"


def _targets(row: _Row, rank: int, *, milliseconds: bool) -> Targets:
    own = row.labels[len(_KEY_LABELS) :]
    known = frozenset(row.labels)
    bounds = {*row.metric.bounds, inf} if row.suffix == _BUCKET else frozenset()
    alias = AliasRank(0, rank)
    is_time = milliseconds and row.suffix not in (_BUCKET, _COUNT)
    read = _in_milliseconds if is_time else number
    part_of = row.part

    def targets(labels: Labels, defaults: TargetDefaults) -> tuple[FieldTarget, ...]:
        app, pool, process = [labels.get(name, "") for name in _KEY_LABELS]
        is_of_our_client = app and process
        if not (pool and (app or defaults.app) and (process or defaults.process)):
            raise Malformed("app, pool or process is missing")
        field, part = part_of(tuple([labels.get(name, "") for name in own]))
        if bounds:
            if milliseconds and isinstance(part, float):
                part /= 1000
            if is_of_our_client and part not in bounds:
                raise Malformed(f"{row.metric.name} does not have this bucket")
        if labels.keys() <= known:
            page_pool = PagePool(NATIVE_NAME, app, pool, process)
        else:
            page_pool = PagePool(NATIVE_NAME, app, pool, process, *split(labels, known))
        if not is_of_our_client:
            page_pool = page_pool.with_safe_name()
        return (FieldTarget(page_pool, field, part, read, alias),)

    return targets


def _in_milliseconds(text: bytes) -> float | None:
    found = number(text)
    return None if found is None else found / 1000


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
    def part(values: tuple[str, ...]) -> tuple[str, FieldPart]:
        try:
            bound = float(values[0])
        except ValueError:
            bound = nan
        if isnan(bound):
            raise Malformed(f"{metric.name} has a bucket without a bound")
        return field, bound

    return part


def _info(values: tuple[str, ...]) -> tuple[str, FieldPart]:
    return "info", PoolInfo(**dict(zip(POOL_INFO.own, values, strict=True)))


def _constant(field: str, part: FieldPart) -> _Part:
    return lambda _values: (field, part)


class _Row(NamedTuple):
    """A series of a metric: the suffix of its name, its labels, and where its value goes."""

    metric: Metric
    suffix: str
    labels: tuple[str, ...]
    part: _Part


def _rows() -> Iterator[_Row]:
    for metric in dict.fromkeys(scalar.metric for scalar in POOL.scalars):
        yield _Row(metric, "", metric.labels, _scalar(metric))
    for field, metric in POOL.mappings:
        yield _Row(metric, "", metric.labels, _mapping(field, metric))
    for field, metric in POOL.histograms:
        yield _Row(metric, _BUCKET, (*metric.labels, "le"), _bucket(field, metric))
        yield _Row(metric, "_sum", metric.labels, _constant(field, SUM))
        yield _Row(metric, _COUNT, metric.labels, _constant(field, COUNT))
    yield _Row(POOL_INFO, "", POOL_INFO.labels, _info)


def _native_targets() -> dict[bytes, Targets]:
    return {
        spelling.name.encode(): _targets(row, rank, milliseconds=spelling.milliseconds)
        for row in _rows()
        for rank, spelling in enumerate(spellings(row.metric.name, row.suffix))
    }


def _native_types() -> dict[bytes, bytes]:
    types = {}
    for metric in METRICS:
        if metric.section == "pool":
            types[metric.name.encode()] = metric.type.encode()
            # OpenMetrics names a counter's family without its suffix.
            types[metric.name.removesuffix("_total").encode()] = metric.type.encode()
    return types


NATIVE = Table(
    wanted=wanted_lines([PREFIX.encode()]),
    types=_native_types(),
    targets=_native_targets(),
)
