"""Where the series of other libraries' pages go: the tables of `formats`, walked backwards."""

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
from pg_pool_exporter.sources.pages.origin import Origin
from pg_pool_exporter.sources.pages.pool_names import safe_pool_name
from pg_pool_exporter.sources.pages.table import (
    WHOLE,
    DraftKey,
    Place,
    Slot,
    Table,
    wanted_lines,
)
from pg_pool_exporter.sources.pages.text_syntax import any_number


class _Use(NamedTuple):
    """A series' name as one of the aliases of a value."""

    value: Value
    rank: int
    number: Callable[[bytes], float | None]


def table(formats: Iterable[Format]) -> Table:
    """The table of a page that may have any of these formats."""
    formats = tuple(formats)
    places: dict[bytes, Callable[[Labels, Origin], tuple[Place, ...]]] = {}
    for form in formats:
        for name, uses in _uses(form).items():
            places[name.encode()] = _resolver(form, uses)
    return Table(wanted_lines(_prefixes(places), types=False), {}, places, formats)


@cache
def automatic() -> Table:
    """The table of a page that may have any known format, or our own."""
    foreign = table(FORMATS.values())
    return Table(
        wanted_lines({PREFIX, *_prefixes(foreign.places)}, types=True),
        NATIVE.types,
        {**foreign.places, **NATIVE.places},
        foreign.formats,
    )


def _uses(form: Format) -> Mapping[str, list[_Use]]:
    uses: dict[str, list[_Use]] = defaultdict(list)
    rank = 0
    for value in form.values:
        number = _number(value)
        for name in value.series:
            uses[name].append(_Use(value, rank, number))
            rank += 1
    return uses


def _resolver(form: Format, uses: list[_Use]) -> Callable[[Labels, Origin], tuple[Place, ...]]:
    def places(labels: Labels, origin: Origin) -> tuple[Place, ...]:
        if any(condition.holds(labels) for condition in form.unless):
            return ()
        named = safe_pool_name("/".join(filter(None, (first_of(a, labels) for a in form.pool))))
        own = filter(None, (_shown(aliases, labels) for aliases in form.process))
        process = ":".join((origin.process, *own))
        key = DraftKey(form.name, origin.key("", named.name or DEFAULT_POOL, process))
        info = _info(form, labels, named.info, origin)
        return tuple(
            Place(
                key,
                value.field,
                value.kind or WHOLE,
                number,
                Slot(value.part, rank, info),
            )
            for value, rank, number in uses
            if all(condition.holds(labels) for condition in value.where)
        )

    return places


def _info(form: Format, labels: Labels, named: PoolInfo, origin: Origin) -> PoolInfo:
    # A place that is told by a name has asked no session what it is called on the server.
    named = replace(named, application=named.application or origin.application)
    told = {field: _shown(aliases, labels) for field, aliases in form.info.items()}
    told = {field: text for field, text in told.items() if text}
    return replace(named, client=form.client, source=form.name, **told)


def _shown(aliases: Aliases, labels: Labels) -> str:
    """What may be shown of the first of these labels."""
    return safe_pool_name(first_of(aliases, labels)).name


def _number(value: Value) -> Callable[[bytes], float | None]:
    """Reads values of other libraries: one that can't be is not known, because some miscount.

    A maximum that stands for none is infinite.
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
    """As few as will do, because each line of a page is compared with all of them."""
    by_word: dict[bytes, list[bytes]] = defaultdict(list)
    for name in names:
        by_word[name.split(b"_")[0]].append(name)
    return tuple(_common_start(min(group), max(group)) for group in by_word.values())


def _common_start(first: bytes, last: bytes) -> bytes:
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]
