"""Builds the sample of one pool from the values on a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Set
from itertools import pairwise
from math import inf
from typing import Any

from pg_pool_exporter.formats import NATIVE_NAME
from pg_pool_exporter.metrics.catalogue import OTHER, POOL_TIMEOUT_KINDS, POOL_TIMEOUTS
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.series.identity import PagePool
from pg_pool_exporter.sources.pages.series.table import COUNT, SUM, WHOLE, FieldPart, FieldTarget
from pg_pool_exporter.sources.pages.series.text_syntax import Malformed

# The only kinds with a name of their own: so no counter moves between its name and `other`.
_KINDS = frozenset(POOL_TIMEOUT_KINDS)

TOTALS = {"acquire": ("acquire_wait", "acquired"), "hold": ("held", "returned")}
"""By histogram: the fields with its sum and its count, where there are such fields."""

SiteLimiters = Mapping[str, NameLimiter[str]]


class PoolSampleBuilder:
    """Collects the values of one pool as one format shows it.

    Each value appears once. `info` is what the labels of foreign series say. Histograms of a
    client of ours are whole.
    """

    __slots__ = ("_info", "_needed", "_unknown", "_values", "at", "pools")

    def __init__(self, at: int, pool: PagePool, info: PoolInfo | None) -> None:
        self.at = at
        """Where the pool begins on its page."""
        self.pools: tuple[PagePool, ...] = (pool,)
        """The pools of the page whose values it has; all are of one format."""
        self._info = info
        # By field, part and group: the rank of the best alias so far, and its value.
        self._values: dict[tuple[str, FieldPart, int], tuple[int, float]] = {}
        # Those that are on the page and no number.
        self._unknown: set[tuple[str, FieldPart, int]] = set()
        # By field and part: the groups without which their sum is unknown.
        self._needed: dict[tuple[str, FieldPart], frozenset[int]] = {}

    def put(self, target: FieldTarget, value: float | None) -> None:
        """Add a value of the page; None for one that is no number.

        Raises `Malformed` when it appears twice, or two names fit one pattern.
        """
        _, field, part, _, (group, rank, _, needed, is_zero, pattern) = target
        key = field, part, group
        if value is None:
            if not is_zero:
                self._unknown.add(key)
            return
        if needed:
            self._needed[field, part] = needed
        ranked = rank, value
        former = self._values.setdefault(key, ranked)
        if former is ranked:
            return
        if former[0] > rank:
            self._values[key] = ranked
        elif former[0] == rank:
            if pattern:
                raise Malformed(
                    f"another series fits `{pattern}` of the format, too: name it in full"
                )
            raise Malformed("the same series twice")

    def complements(self, other: PoolSampleBuilder) -> bool:
        """Whether no value is in both."""
        return self._values.keys().isdisjoint(other._values)

    def add(self, other: PoolSampleBuilder) -> None:
        """Add the values of another, which complements this one."""
        self.pools += other.pools
        self._values |= other._values
        self._unknown |= other._unknown
        self._needed |= other._needed
        if self._info is not None and other._info is not None:
            self._info = other._info.over(self._info)

    @property
    def fields(self) -> set[str]:
        """The fields of `PoolSample` that are known."""
        return {field for field, _, _ in self._values}

    def has_any(self, fields: Collection[str]) -> bool:
        """Whether one of these fields of `PoolSample` is known."""
        return any(field in fields for field, _, _ in self._values)

    @property
    def has_values(self) -> bool:
        """Whether anything but the info is known."""
        return any(field != "info" for field, _, _ in self._values)

    def sample(self, key: PoolId, sites: SiteLimiters, now: float) -> tuple[PoolSample, int]:
        """The pool, and how many label values were folded into `other`.

        Raises `Malformed` when a histogram is incomplete or there is more than one info.
        """
        parts = self._parts()
        info, folded = self._info, 0
        if infos := parts.pop("info", None):
            if len(infos) > 1:
                raise Malformed("the pool that begins here has more than one info")
            info = next(part for part in infos if isinstance(part, PoolInfo))
        fields: dict[str, Any] = {}
        for field, metric in POOL.mappings:
            if values := parts.pop(field, None):
                by_label = {str(label): value for label, value in values.items()}
                own = {label: value for label, value in by_label.items() if label != OTHER}
                named = _KINDS if metric is POOL_TIMEOUTS else sites[field].choose(own, now)
                fields[field] = _with_other(by_label, named)
                folded += len(own.keys() - named)
        for field, metric in POOL.histograms:
            if values := parts.pop(field, None):
                fields[field] = _histogram(metric.bounds, values)
                if fields[field] is not None:
                    continue
                if self.pools[0].is_of_our_client:
                    raise Malformed(
                        f"the pool that begins here has a {metric.name} whose buckets, sum and "
                        "count are incomplete or disagree"
                    )
                for total, part in zip(TOTALS.get(field, ()), (SUM, COUNT), strict=False):
                    if part in values:
                        parts.setdefault(total, {WHOLE: values[part]})
        fields.update({field: values[WHOLE] for field, values in parts.items()})
        ours = self.pools[0].client_key
        renamed = ours is not None and ours != key and ours.app == key.app
        sample = PoolSample(key=key, client_key=ours if renamed else None, info=info, **fields)
        return sample, folded

    def _parts(self) -> dict[str, dict[FieldPart, float]]:
        """The known values by field and part.

        Infinite ones are unknown: a maximum that is none, as one of 0 means to other libraries. So
        are those below 0, of a part that is taken off and was counted a moment later, and sums that
        lack a part.
        """
        parts: dict[str, dict[FieldPart, float]] = defaultdict(dict)
        for (field, part, _), (_, value) in self._values.items():
            summed = parts[field]
            summed[part] = summed.get(part, 0.0) + value
        unknown = {
            (field, part)
            for field, summed in parts.items()
            for part, value in summed.items()
            if not 0 <= value < inf
        }
        unknown |= {(field, part) for field, part, _ in self._unknown - self._values.keys()}
        unknown |= {
            (field, part)
            for (field, part), groups in self._needed.items()
            if any((field, part, group) not in self._values for group in groups)
        }
        if parts.get("max") == {WHOLE: 0.0} and self.pools[0].format != NATIVE_NAME:
            unknown.add(("max", WHOLE))
        for field, part in unknown:
            parts[field].pop(part, None)
            if not parts[field]:
                del parts[field]
        return parts


def site_limiters(limit: int) -> SiteLimiters:
    """For one pool: which of its sites have a name of their own, by field."""
    return {
        field: NameLimiter(limit, counters=metric.type == "counter")
        for field, metric in POOL.mappings
        if metric is not POOL_TIMEOUTS
    }


def _with_other(values: Mapping[str, float], named: Set[str]) -> dict[str, float]:
    """The values of `named`; the others are added up in `other`."""
    kept = {label: value for label, value in values.items() if label in named}
    if len(kept) < len(values):
        kept[OTHER] = sum(value for label, value in values.items() if label not in named)
    return kept


def _histogram(bounds: tuple[float, ...], values: Mapping[FieldPart, float]) -> Histogram | None:
    """The histogram; None when a bucket, the sum or the count is missing, or they disagree."""
    expected: tuple[FieldPart, ...] = (*bounds, inf, COUNT, SUM)
    if values.keys() != {*expected}:
        return None
    *cumulated, count, total = [values[part] for part in expected]
    if count != cumulated[-1] or not all(value.is_integer() for value in cumulated):
        return None
    counts = tuple(int(after - before) for before, after in pairwise((0.0, *cumulated)))
    return Histogram(counts, total) if min(counts) >= 0 else None
