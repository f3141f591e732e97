"""Names the pools of one target's pages, no two alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from pg_pool_exporter.formats import Format
from pg_pool_exporter.model import PoolId
from pg_pool_exporter.sources.pages.reading.combine import Parts
from pg_pool_exporter.sources.pages.reading.pool_builder import PoolSampleBuilder
from pg_pool_exporter.sources.pages.series.identity import PagePool, Pairs, with_text
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults


class PoolNames:
    """A pool keeps its name, whatever comes beside it.

    While it is not on the page another pool can take its name over. At most `limit` pools that are
    not there are remembered.
    """

    def __init__(self, formats: Sequence[Format], defaults: TargetDefaults, limit: int) -> None:
        self._order = {form.name: at for at, form in enumerate(formats)}
        self._defaults = defaults
        self._limit = limit
        self._parts: Mapping[PoolId, tuple[PagePool, ...]] = {}

    def choose(self, pools: Mapping[PagePool, Parts]) -> dict[PagePool, PoolId]:
        """The names of all pools of a page."""
        parts = {pool: _pools_of(builders) for pool, builders in pools.items()}
        before = {part: name for name, some in self._parts.items() for part in some}
        # Of pools that come together those of the better format get the plain names.
        in_order = sorted(pools, key=lambda pool: (self._order.get(pool.format, -1), pool))
        owners: dict[PoolId, PagePool] = {}
        for pool in in_order:
            names = (before[part] for part in parts[pool] if part in before)
            name = next((one for one in names if one not in owners), None)
            if name is not None:
                owners[name] = pool
        named = {*owners.values()}
        more: dict[tuple[PoolId, Pairs], Iterator[PoolId]] = {}
        for pool in in_order:
            if pool not in named:
                owners[self._free_name(pool, owners, more)] = pool
        # Replaced as a whole: a reading that was given up may still run in its thread.
        gone = [item for item in self._parts.items() if item[0] not in owners]
        self._parts = {
            **dict(gone[-self._limit :]),
            **{name: parts[pool] for name, pool in owners.items()},
        }
        return {pool: name for name, pool in owners.items()}

    def _free_name(
        self,
        pool: PagePool,
        owners: Mapping[PoolId, PagePool],
        more: dict[tuple[PoolId, Pairs], Iterator[PoolId]],
    ) -> PoolId:
        key = pool.key(self._defaults)
        if key in owners and owners[key].format != pool.format:
            # Two libraries of one process can call their pools alike.
            key = with_text(key, pool.format)
        if key not in owners:
            return key
        # Of hundreds that are called alike, none tries again what another has tried.
        names = more.setdefault((key, pool.distinguishing), pool.others(key))
        return next(name for name in names if name not in owners)

    def keys(self, names: Set[PoolId]) -> Counter[PoolId]:
        """The keys of the remembered pools that have these names, each with how many have it."""
        return Counter(
            key
            for name, parts in self._parts.items()
            if name in names
            for key in {part.key(self._defaults) for part in parts}
        )

    def parts(self, name: PoolId) -> Sequence[PagePool]:
        """What the pool of this name is made of, a library's before ours."""
        return self._parts.get(name, ())


def _pools_of(builders: Iterable[PoolSampleBuilder]) -> tuple[PagePool, ...]:
    return tuple(pool for builder in builders for pool in builder.pools)
