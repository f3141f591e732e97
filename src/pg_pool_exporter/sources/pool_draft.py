"""A pool while its page is being read: values by field, then one `PoolSample`."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nsmallest
from itertools import pairwise
from math import inf
from typing import Any

from pg_pool_exporter.catalogue import OTHER
from pg_pool_exporter.model import Histogram, PoolKey, PoolSample
from pg_pool_exporter.series import POOL_HISTOGRAMS, POOL_MAPPINGS, POOL_SCALARS
from pg_pool_exporter.sources.native_page import COUNT, SUM, WHOLE, Member
from pg_pool_exporter.sources.text_syntax import Malformed

_FIELDS = (
    *(scalar.field for scalar in POOL_SCALARS),
    *(field for field, _ in POOL_MAPPINGS),
    *(field for field, _ in POOL_HISTOGRAMS),
    "info",
)


class PoolDraft:
    """The values of one pool: `values[field][member]`, filled by the reader of the page."""

    __slots__ = ("line", "values")

    def __init__(self, line: int) -> None:
        self.line = line
        """Where the pool begins on its page."""
        self.values: dict[str, dict[Member, float]] = {field: {} for field in _FIELDS}

    def sample(self, key: PoolKey, max_sites: int) -> tuple[PoolSample, int]:
        """The pool, and how many of its sites were folded into `other`.

        Raises `Malformed` when a histogram is not whole or there is more than one info.
        """
        values = self.values
        fields: dict[str, Any] = {
            scalar.field: values[scalar.field].get(WHOLE) for scalar in POOL_SCALARS
        }
        folded = 0
        for field, _ in POOL_MAPPINGS:
            named = {str(label): value for label, value in values[field].items()}
            fields[field] = _biggest(named, max_sites)
            folded += len(named.keys() - fields[field].keys())
        for field, metric in POOL_HISTOGRAMS:
            if values[field]:
                histogram = _histogram(metric.bounds, values[field])
                if histogram is None:
                    raise Malformed(
                        f"the pool that begins here has a {metric.name} whose buckets, sum and "
                        "count are not complete or do not agree"
                    )
                fields[field] = histogram
        if len(values["info"]) > 1:
            raise Malformed("the pool that begins here has more than one info")
        fields["info"] = next(iter(values["info"]), None)
        return PoolSample(key=key, **fields), folded


def _biggest(values: Mapping[str, float], most: int) -> dict[str, float]:
    """The `most` biggest keep their names; the rest is added to `other`."""
    if len(values) <= most:
        return dict(values)
    named = (label for label in values if label != OTHER)
    kept = set(nsmallest(most, named, key=lambda label: (-values[label], label)))
    rest = sum(value for label, value in values.items() if label not in kept)
    return {label: value for label, value in values.items() if label in kept} | {OTHER: rest}


def _histogram(bounds: tuple[float, ...], values: Mapping[Member, float]) -> Histogram | None:
    """The histogram; None when a bucket, the sum or the count is missing or they don't agree."""
    expected: tuple[Member, ...] = (*bounds, inf, COUNT, SUM)
    if len(values) != len(expected):
        return None
    *cumulated, count, total = [values[member] for member in expected]
    if count != cumulated[-1] or not all(value.is_integer() for value in cumulated):
        return None
    counts = tuple(int(after - before) for before, after in pairwise((0.0, *cumulated)))
    return Histogram(counts, total) if min(counts) >= 0 else None
