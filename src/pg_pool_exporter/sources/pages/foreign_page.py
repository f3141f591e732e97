"""Where the series of foreign formats go: the tables of `formats`, read backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from math import inf
from typing import NamedTuple

from pg_pool_exporter.formats import (
    DEFAULT_POOL,
    FORMATS,
    UNLIMITED,
    Aliases,
    Format,
    Labels,
    Value,
    first_of,
)
from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.native_page import NATIVE, PREFIX
from pg_pool_exporter.sources.pages.pool_names import safe_pool_name
from pg_pool_exporter.sources.pages.table import (
    WHOLE,
    AliasRank,
    FieldTarget,
    FormatPool,
    Table,
    Targets,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_syntax import any_number


class _Alias(NamedTuple):
    """A series' name as one of the aliases of a value."""

    value: Value
    rank: int
    number: Callable[[bytes], float | None]


def table(formats: Iterable[Format]) -> Table:
    """The table of a page that may have any of these formats."""
    formats = tuple(formats)
    targets: dict[bytes, Targets] = {}
    for form in formats:
        for name, aliases in _aliases(form).items():
            targets[name.encode()] = _targets(form, aliases)
    return Table(wanted_lines(_prefixes(targets), types=False), {}, targets, formats)


@cache
def automatic() -> Table:
    """The table of a page that may have any known format, or our own."""
    foreign = table(FORMATS.values())
    return Table(
        wanted_lines({PREFIX, *_prefixes(foreign.targets)}, types=True),
        NATIVE.types,
        {**foreign.targets, **NATIVE.targets},
        foreign.formats,
    )


def _aliases(form: Format) -> Mapping[str, list[_Alias]]:
    aliases: dict[str, list[_Alias]] = defaultdict(list)
    rank = 0
    for value in form.values:
        number = _number(value)
        for name in value.series:
            aliases[name].append(_Alias(value, rank, number))
            rank += 1
    return aliases


def _targets(form: Format, series: list[_Alias]) -> Targets:
    def targets(labels: Labels, defaults: TargetDefaults) -> tuple[FieldTarget, ...]:
        if any(condition.holds(labels) for condition in form.unless):
            return ()
        named = safe_pool_name("/".join(filter(None, (first_of(a, labels) for a in form.pool))))
        own = filter(None, (_shown(aliases, labels) for aliases in form.process))
        process = ":".join((defaults.process, *own))
        pool = FormatPool(form.name, defaults.key("", named.name or DEFAULT_POOL, process))
        info = _info(form, labels, named.info, defaults)
        return tuple(
            FieldTarget(
                pool,
                value.field,
                value.kind or WHOLE,
                number,
                AliasRank(value.part, rank, info),
            )
            for value, rank, number in series
            if all(condition.holds(labels) for condition in value.where)
        )

    return targets


def _info(form: Format, labels: Labels, named: PoolInfo, defaults: TargetDefaults) -> PoolInfo:
    # Nothing here comes from a session, so the configured application_name fills the gap.
    named = replace(named, application=named.application or defaults.application)
    labelled = {field: _shown(aliases, labels) for field, aliases in form.info.items()}
    labelled = {field: text for field, text in labelled.items() if text}
    return replace(named, client=form.client, source=form.name, **labelled)


def _shown(aliases: Aliases, labels: Labels) -> str:
    """The first of these labels that is present, without what can be a password."""
    return safe_pool_name(first_of(aliases, labels)).name


def _number(value: Value) -> Callable[[bytes], float | None]:
    """Reads values of other libraries. An impossible one is unknown: some libraries miscount.

    A maximum that means "unlimited" is infinite.
    """
    scale = value.scale
    is_max = value.field == "max"

    def number(text: bytes) -> float | None:
        found = any_number(text)
        if is_max and (found == 0 or found >= UNLIMITED):
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
