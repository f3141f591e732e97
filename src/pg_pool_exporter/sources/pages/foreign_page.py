"""Where the series of foreign formats go: the tables of `formats`, read backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from functools import cache
from math import inf
from typing import NamedTuple

from pg_pool_exporter.formats import (
    FORMATS,
    UNLIMITED,
    Aliases,
    Format,
    Labels,
    Value,
    first_of,
)
from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.identity import PagePool, split
from pg_pool_exporter.sources.pages.native_names import PREFIX
from pg_pool_exporter.sources.pages.native_page import NATIVE
from pg_pool_exporter.sources.pages.pool_names import PoolName, safe_pool_name
from pg_pool_exporter.sources.pages.table import (
    WHOLE,
    AliasRank,
    FieldTarget,
    Table,
    Targets,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_syntax import any_number

_SCOPE = "otel_scope_name"


class _Alias(NamedTuple):
    """A series' name as one of the aliases of a value."""

    value: Value
    rank: int
    number: Callable[[bytes], float | None]


def table(formats: Iterable[Format], *, native_alone: bool = False) -> Table:
    """The table of a page that may have any of these formats, and our own names beside them."""
    formats = tuple(formats)
    targets: dict[bytes, Targets] = {}
    for form in formats:
        for name, aliases in _aliases(form).items():
            targets[name.encode()] = _targets(form, aliases)
    return Table(
        wanted_lines({PREFIX.encode(), *_prefixes(targets)}, types=True),
        NATIVE.types,
        {**targets, **NATIVE.targets},
        formats,
        native_alone,
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
        for name in value.series:
            aliases[name].append(_Alias(value, rank, number))
            rank += 1
    return aliases


def _targets(form: Format, series: list[_Alias]) -> Targets:
    where = {label for value in form.values for one in value.where for label in one.labels}
    meant = {label for label in where if label != _SCOPE}
    quiet = {*form.quiet, *(label for one in (*form.unless, *form.only) for label in one.labels)}
    quiet -= meant

    def targets(labels: Labels, defaults: TargetDefaults) -> tuple[FieldTarget, ...]:
        if any(condition.holds(labels) for condition in form.unless):
            return ()
        if not all(condition.holds(labels) for condition in form.only):
            return ()
        raw, used = _raw_name(form, labels)
        named = safe_pool_name(raw)
        if named.is_unpooled:
            return ()
        pool = _page_pool(form, labels, raw, named, used | meant, quiet)
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


def _raw_name(form: Format, labels: Labels) -> tuple[str, set[str]]:
    """The pool's name as the page has it, and the labels that it is made of."""
    used = [label for aliases in form.pool if (label := _first_label(aliases, labels))]
    return "/".join(labels[label] for label in used), {*used}


def _first_label(aliases: Aliases, labels: Labels) -> str:
    """The first of these labels with a value; else empty."""
    return next((name for name in aliases if labels.get(name)), "")


def _page_pool(
    form: Format, labels: Labels, raw: str, named: PoolName, meant: Set[str], quiet: Set[str]
) -> PagePool:
    process = [label for aliases in form.process if (label := _first_label(aliases, labels))]
    # What the name tells anyway need not follow it.
    told = {
        label
        for aliases in form.info.values()
        if (label := _first_label(aliases, labels)) and labels[label] in named.name
    }
    extra, target, silent = split(labels, {*meant, *process}, quiet | told)
    if named.name != raw:
        # Never shown; two connection strings can look alike without their passwords.
        silent = (("", raw), *silent)
    return PagePool(
        form.name,
        name=named.name,
        labels=(*named.rest, *extra),
        target=(*((label, labels[label]) for label in process), *target),
        quiet=silent,
    )


def _info(form: Format, labels: Labels, named: PoolInfo, defaults: TargetDefaults) -> PoolInfo:
    # Nothing here comes from a session, so the configured application_name fills the gap.
    named = replace(named, application=named.application or defaults.application)
    labelled = {field: _shown(aliases, labels) for field, aliases in form.info.items()}
    labelled = {field: text for field, text in labelled.items() if text}
    client = form.clients.get(labels.get(_SCOPE, ""), form.client)
    return replace(named, client=client, source=form.name, **labelled)


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
