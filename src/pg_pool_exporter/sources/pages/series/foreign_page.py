"""Where the series of foreign formats go: the tables of `formats`, read backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from math import inf
from typing import NamedTuple

from pg_pool_exporter.formats import (
    ANYTHING,
    FORMATS,
    MILLISECONDS,
    UNLIMITED,
    Format,
    Labels,
    Value,
)
from pg_pool_exporter.metrics.series import TIMES
from pg_pool_exporter.sources.pages.series.foreign_pools import FormatPools
from pg_pool_exporter.sources.pages.series.native_names import PREFIX
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import (
    WHOLE,
    AliasRank,
    FieldTarget,
    NamePattern,
    Table,
    Targets,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.series.text_syntax import any_number
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults


class _Alias(NamedTuple):
    """A series' name as one of the aliases of a value."""

    value: Value
    rank: int
    number: Callable[[bytes], float | None]
    needed: frozenset[int]


def table(formats: Iterable[Format], *, native_alone: bool = False) -> Table:
    """The table of a page that may have any of these formats, and our own names beside them."""
    formats = tuple(formats)
    targets: dict[bytes, Targets] = {}
    patterns: list[NamePattern] = []
    for form in formats:
        pools = FormatPools(form)
        for name, aliases in _aliases(form).items():
            start, any_text, end = name.partition(ANYTHING)
            if any_text:
                of = partial(_named, name) if start else _namespaced
                patterns.append(
                    NamePattern(start.encode(), end.encode(), partial(of, pools, aliases))
                )
            else:
                of_form = _targets(pools, aliases)
                other = targets.get(name.encode())
                targets[name.encode()] = _either(other, of_form) if other else of_form
    # The more a pattern says of a name, the better it fits.
    patterns.sort(key=lambda pattern: -len(pattern.start + pattern.end))
    starts = {pattern.start for pattern in patterns if pattern.start}
    prefixes = {PREFIX.encode(), *_prefixes({*targets, *starts})}
    ends = [pattern.end for pattern in patterns if not pattern.start]
    rare = tuple(dict.fromkeys(ends))
    return Table(
        wanted_lines(prefixes),
        NATIVE.types,
        {**targets, **NATIVE.targets},
        formats,
        native_alone,
        tuple(patterns),
        rare,
        _common_start(min(rare), max(rare)) if rare else b"",
        wanted_lines(prefixes, within=rare) if rare else None,
    )


@cache
def automatic() -> Table:
    """The table of a page that may have any known format, or our own."""
    return table(FORMATS.values(), native_alone=True)


def _aliases(form: Format) -> Mapping[str, list[_Alias]]:
    aliases: dict[str, list[_Alias]] = defaultdict(list)
    rank = 0
    for value in form.values:
        number = _number(value)
        needed = form.needed_parts(value)
        for name in value.series:
            aliases[name].append(_Alias(value, rank, number, needed))
            rank += 1
        # OTLP gives times in milliseconds where the instrument does.
        in_milliseconds = _number(replace(value, scale=value.scale * MILLISECONDS))
        is_count = value.field not in TIMES
        for name in value.series:
            other = name.replace("_seconds", "_milliseconds")
            if other not in (name, *form.names()):
                aliases[other].append(
                    _Alias(value, rank, number if is_count else in_milliseconds, needed)
                )
                rank += 1
    return aliases


def _targets(
    pools: FormatPools, series: list[_Alias], *, namespace: str = "", pattern: str = ""
) -> Targets:
    """Where series of one name, or of a `pattern`, go.

    `namespace` is what precedes the name on the page.
    """

    def targets(labels: Labels, defaults: TargetDefaults) -> tuple[FieldTarget, ...]:
        found = pools.of(labels, defaults)
        if found is None:
            return ()
        pool, info = found
        if namespace:
            pool = pool._replace(target=(("namespace", namespace), *pool.target))
        return tuple(
            [
                FieldTarget(
                    pool,
                    value.field,
                    value.kind or WHOLE,
                    number,
                    AliasRank(value.part, rank, info, needed, value.scale == 0, pattern),
                )
                for value, rank, number, needed in series
                if all(condition.holds(labels) for condition in value.where)
            ]
        )

    return targets


def _either(first: Targets, second: Targets) -> Targets:
    """Where series go whose name is in two formats, which exclude each other by labels."""
    return lambda labels, defaults: first(labels, defaults) + second(labels, defaults)


def _named(pattern: str, pools: FormatPools, series: list[_Alias], _unit: str) -> Targets:
    return _targets(pools, series, pattern=pattern)


def _namespaced(pools: FormatPools, series: list[_Alias], between: str) -> Targets:
    return _targets(pools, series, namespace=between.strip("_:"))


def _number(value: Value) -> Callable[[bytes], float | None]:
    """Reads values of other libraries. An impossible one is unknown: some libraries miscount.

    A maximum that means "unlimited" is infinite. One of 0 means that, too, but only as a whole.
    """
    scale = value.scale
    is_max = value.field == "max"

    def number(text: bytes) -> float | None:
        found = any_number(text)
        if is_max and found >= UNLIMITED:
            return inf
        return found * scale if 0 <= found < inf else None

    return number


def _prefixes(names: Iterable[bytes]) -> tuple[bytes, ...]:
    """As few common starts as possible: each line of a page is compared with all of them."""
    by_word: dict[bytes, list[bytes]] = defaultdict(list)
    for name in names:
        by_word[name.split(b"_")[0]].append(name)
    return tuple(_common_start(min(group), max(group)) for group in by_word.values())


def _common_start(first: bytes, last: bytes) -> bytes:
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]
