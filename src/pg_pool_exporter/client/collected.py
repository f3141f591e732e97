"""Totals of former pools: counters go on where an application makes its pools again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import add
from typing import Any

from pg_pool_exporter.client.totals import MAX_SITES
from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample
from pg_pool_exporter.model.pools import CLOSED

# Names of pools that keep their totals; those of the others are added up as `other`.
_MAX_NAMES = 20

_SCALARS = [scalar.field for scalar in POOL.scalars if scalar.metric.type == "counter"]
_MAPPINGS = [field for field, metric in POOL.mappings if metric.type == "counter"]
_HISTOGRAMS = [field for field, _ in POOL.histograms]


class Collected:
    """Totals by application and name of the pool. No lock: the owner guards it."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str], PoolSample] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each application and name."""
        return iter(self._totals)

    def add(self, last: PoolSample) -> None:
        """Add the last counters of a pool that is closed or collected."""
        key = last.key.app, last.key.pool
        if key not in self._totals and len(self._totals) >= _MAX_NAMES:
            key = last.key.app, OTHER
        former = self._totals.get(key)
        self._totals[key] = last if former is None else with_counters(last, former)

    def of(self, key: PoolId) -> PoolSample | None:
        """The totals under a name, of a pool without connections."""
        totals = self._totals.get((key.app, key.pool))
        if totals is None:
            return None
        info = replace(totals.info or PoolInfo(), source=CLOSED)
        return replace(totals, key=key, idle=0, active=0, info=info)


def with_counters(sample: PoolSample, more: PoolSample) -> PoolSample:
    """The sample, with the counters of another one added to its own."""
    changed: dict[str, Any] = {}
    for field in _SCALARS:
        known = [value for one in (sample, more) if (value := getattr(one, field)) is not None]
        changed[field] = sum(known) if known else None
    for field in _MAPPINGS:
        changed[field] = _by_label(getattr(sample, field), getattr(more, field))
    for field in _HISTOGRAMS:
        changed[field] = _histogram(getattr(sample, field), getattr(more, field))
    return replace(sample, **changed)


def _by_label(first: Mapping[str, float], second: Mapping[str, float]) -> Mapping[str, float]:
    totals = dict(first)
    for label, value in second.items():
        name = label if label in totals or len(totals) < MAX_SITES else OTHER
        totals[name] = totals.get(name, 0) + value
    return totals


def _histogram(first: Histogram | None, second: Histogram | None) -> Histogram | None:
    if first is None or second is None:
        return first or second
    return Histogram(tuple(map(add, first.counts, second.counts)), first.total + second.total)
