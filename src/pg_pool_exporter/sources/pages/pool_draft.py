"""A pool while its page is being read: values by field, then one `PoolSample`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from itertools import pairwise
from math import inf
from typing import Any

from pg_pool_exporter.metrics.catalogue import OTHER, POOL_TIMEOUT_KINDS, POOL_TIMEOUTS
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.metrics.series import POOL_HISTOGRAMS, POOL_MAPPINGS, POOL_SCALARS
from pg_pool_exporter.model import Histogram, PoolId, PoolSample
from pg_pool_exporter.sources.pages.table import COUNT, SUM, WHOLE, Member, Place
from pg_pool_exporter.sources.pages.text_syntax import Malformed

_FIELDS = (
    *(scalar.field for scalar in POOL_SCALARS),
    *(field for field, _ in POOL_MAPPINGS),
    *(field for field, _ in POOL_HISTOGRAMS),
    "info",
)
# These are all that there are: another one never gets a name, so that no counter ever changes
# between its own name and `other`.
_KINDS = frozenset(POOL_TIMEOUT_KINDS)

SiteLimiters = Mapping[str, NameLimiter[str]]


class PoolDraft:
    """The values of one pool on our own page: `values[field][member]`."""

    __slots__ = ("at", "values")

    def __init__(self, at: int) -> None:
        self.at = at
        """Where the pool begins on its page."""
        self.values: dict[str, dict[Member, float]] = {field: {} for field in _FIELDS}

    def put(self, place: Place, value: float) -> None:
        """Add a value of the page. Raises `Malformed` when it was there before."""
        values = self.values[place.field]
        if place.member in values:
            raise Malformed("the same series twice")
        values[place.member] = value

    def sample(self, key: PoolId, sites: SiteLimiters, now: float) -> tuple[PoolSample, int]:
        """The pool, and how many values of labels were folded into `other`.

        Raises `Malformed` when a histogram is not whole or there is more than one info.
        """
        values = self.values
        fields: dict[str, Any] = {
            scalar.field: values[scalar.field].get(WHOLE) for scalar in POOL_SCALARS
        }
        folded = 0
        for field, metric in POOL_MAPPINGS:
            if values[field]:
                by_label = {str(label): value for label, value in values[field].items()}
                own = {label: value for label, value in by_label.items() if label != OTHER}
                named = _KINDS if metric is POOL_TIMEOUTS else sites[field].choose(own, now)
                fields[field] = _with_other(by_label, named)
                folded += len(own.keys() - named)
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


def site_limiters(limit: int) -> SiteLimiters:
    """For one pool: which of its sites have a name of their own, by field."""
    return {
        field: NameLimiter(limit, counters=metric.type == "counter")
        for field, metric in POOL_MAPPINGS
        if metric is not POOL_TIMEOUTS
    }


def _with_other(values: Mapping[str, float], named: Set[str]) -> dict[str, float]:
    """The values that are `named`; the rest is added to `other`."""
    kept = {label: value for label, value in values.items() if label in named}
    if len(kept) < len(values):
        kept[OTHER] = sum(value for label, value in values.items() if label not in named)
    return kept


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
