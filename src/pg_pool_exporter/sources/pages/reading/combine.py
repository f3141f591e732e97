"""Combines the parts of a pool that a page shows in several places, in several formats, and in
ours.

An application can add some of our series to those of its library: then ours count, and the
library's fill the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.formats import NATIVE_NAME, Format
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.model import PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.reading.pool_builder import TOTALS, PoolSampleBuilder
from pg_pool_exporter.sources.pages.series.identity import PagePool, agree

Parts = tuple[PoolSampleBuilder, ...]
"""The parts of one pool: a foreign format's first, then ours."""

_STATE = ("idle", "active")
_HISTOGRAMS = {field for field, _ in POOL.histograms}

_MAX_COMPARED = 20
"""Pools of one name that another part is compared with: they can be hundreds."""


def combined(
    found: Mapping[PagePool, PoolSampleBuilder],
    formats: Sequence[Format],
    *,
    native_alone: bool,
) -> dict[PagePool, Parts]:
    """The pools that are `found` on a page, each once, in the order of the page.

    `native_alone`: our series may be all that the page has of a pool.
    """
    whole = _whole(found)
    ours = {pool: builder for pool, builder in whole.items() if pool.format == NATIVE_NAME}
    theirs = _best({pool: builder for pool, builder in whole.items() if pool not in ours}, formats)
    pairs = _pairs(ours, theirs)
    alone = {
        pool: builder
        for pool, builder in ours.items()
        if pool not in pairs and not (len(whole) > len(ours) and _is_history(pool, builder))
    }
    # Processes whose pools our client measures: the foreign ones may be the same, otherwise named.
    measured = _Processes(pool for pool, builder in alone.items() if builder.has_any(_STATE))
    theirs = {
        pool: builder
        for pool, builder in theirs.items()
        if pool in pairs.values() or not measured.has(pool, [NATIVE_NAME])
    }
    added = {their: our for our, their in pairs.items()}
    pools: dict[PagePool, Parts] = {
        _named_by_both(added[pool], pool) if pool in added else pool: (
            (builder, ours[added[pool]]) if pool in added else (builder,)
        )
        for pool, builder in theirs.items()
    }
    if native_alone or theirs:
        pools |= {pool: (builder,) for pool, builder in alone.items()}
    return dict(sorted(pools.items(), key=lambda item: min(part.at for part in item[1])))


def _whole(found: Mapping[PagePool, PoolSampleBuilder]) -> dict[PagePool, PoolSampleBuilder]:
    """Pools whose series differ in quiet labels only are one where no value is in both."""
    groups = grouped((pool._replace(quiet=()), pool) for pool in found)
    whole: dict[PagePool, PoolSampleBuilder] = {}
    for group in groups.values():
        joined: dict[PagePool, PoolSampleBuilder] = {}
        for pool in sorted(group, key=lambda one: one.quiet):
            builder = found[pool]
            fitting = next(
                (
                    one
                    for one, other in [*joined.items()][-_MAX_COMPARED:]
                    if (pool.format == NATIVE_NAME or agree(one.quiet, pool.quiet))
                    and other.complements(builder)
                ),
                None,
            )
            if fitting is None:
                joined[pool] = builder
            else:
                together = joined.pop(fitting)
                together.add(builder)
                quiet = tuple(sorted({*fitting.quiet, *pool.quiet}))
                joined[fitting._replace(quiet=quiet)] = together
        whole |= joined
    return whole


def _best(
    pools: Mapping[PagePool, PoolSampleBuilder], formats: Sequence[Format]
) -> dict[PagePool, PoolSampleBuilder]:
    """Without closed pools, and those that another format of the page shows better.

    No format yields to one that is left out itself.
    """
    present = grouped((pool.format, pool) for pool in pools)
    yields_to = {form.name: form.yields_to for form in formats if form.name in present}
    by_name = {form.name: form for form in formats}
    kept: list[PagePool] = []
    for name in _in_order(tuple(yields_to.items())):
        better = _Processes(kept)
        kept += [
            pool
            for pool in present.get(name, ())
            if not better.has(pool, yields_to[name])
            and not _is_closed(by_name[name], pool, pools[pool])
        ]
    return {pool: pools[pool] for pool in kept}


# A page has the same formats at each poll, and sorting takes longer than all the rest.
@lru_cache(maxsize=64)
def _in_order(yields_to: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    """Names of formats, each after those that it yields to."""
    return tuple(TopologicalSorter(dict(yields_to)).static_order())


class _Processes:
    """Which formats the processes of a page have."""

    def __init__(self, pools: Iterable[PagePool]) -> None:
        self._found = {(pool.format, pool.target) for pool in pools}
        self._formats = {form for form, _ in self._found}

    def has(self, pool: PagePool, formats: Iterable[str]) -> bool:
        """Whether the process of `pool` has one of these formats, as far as its labels show."""
        return any(
            (form, pool.target) in self._found
            or (form, ()) in self._found
            or (not pool.target and form in self._formats)
            for form in formats
        )


def _is_closed(form: Format, pool: PagePool, builder: PoolSampleBuilder) -> bool:
    return (
        bool(form.gauges)
        and all(condition.holds(pool.all_labels) for condition in form.gauges_where)
        and not builder.has_any(form.gauges)
    )


def _is_history(pool: PagePool, builder: PoolSampleBuilder) -> bool:
    """Whether only histograms are left of a pool of ours, which exporters keep after its end."""
    return not pool.is_of_our_client and builder.fields <= _HISTOGRAMS


def _pairs(ours: Iterable[PagePool], theirs: Iterable[PagePool]) -> dict[PagePool, PagePool]:
    """The foreign pool of each of ours: the only one of its name whose labels agree."""
    ours, theirs = [*ours], [*theirs]
    pairs: dict[PagePool, PagePool] = {}
    for fits in (_same_labels, _agreeing, _unnamed):
        left = [pool for pool in ours if pool not in pairs]
        free = [pool for pool in theirs if pool not in pairs.values()]
        choices = {our: [their for their in free if fits(our, their)] for our in left}
        wanted = [their for some in choices.values() for their in some]
        pairs |= {
            our: some[0]
            for our, some in choices.items()
            if len(some) == 1 and wanted.count(some[0]) == 1
        }
        if fits is _agreeing and (len(ours) > 1 or len(theirs) > 1):
            break
    return pairs


def _same_labels(our: PagePool, their: PagePool) -> bool:
    return _same_name(our, their) and (our.labels, our.target) == (their.labels, their.target)


def _agreeing(our: PagePool, their: PagePool) -> bool:
    return (
        _same_name(our, their)
        and agree(our.target, their.target)
        and agree(our.labels, their.labels)
    )


def _same_name(our: PagePool, their: PagePool) -> bool:
    """Whether ours has the name of the library, or that which we show."""
    return our.name == their.name or our.raw in (their.raw, their.shown)


def _unnamed(our: PagePool, their: PagePool) -> bool:
    """The only pool of a library that gives it no name is the only one of ours."""
    return not their.name and agree(our.target, their.target)


def _named_by_both(our: PagePool, their: PagePool) -> PagePool:
    return their._replace(
        app=our.app,
        name=their.name or our.name,
        process=our.process,
        labels=tuple(dict([*their.labels, *our.labels]).items()),
        target=tuple(dict([*their.target, *our.target]).items()),
    )


def overlaid(samples: Sequence[PoolSample]) -> PoolSample:
    """The samples of one pool as one: of a field that several have, the last one's value."""
    if len(samples) == 1:
        return samples[0]
    together: dict[str, Any] = {}
    for sample in samples:
        known = {field.name: getattr(sample, field.name) for field in fields(PoolSample)}
        known = {name: value for name, value in known.items() if value is not None}
        for histogram, totals in TOTALS.items():
            if histogram in known:
                # The same checkouts, counted by another format.
                together |= dict.fromkeys(totals)
        together |= {name: _both(together.get(name), value) for name, value in known.items()}
    return PoolSample(**together)


def _both(before: Any, value: Any) -> Any:
    """A field of two samples: the second's, completed by the first's."""
    if isinstance(value, Mapping):
        return {**(before or {}), **value}
    if isinstance(value, PoolInfo) and before is not None:
        return value.over(before)
    return value
