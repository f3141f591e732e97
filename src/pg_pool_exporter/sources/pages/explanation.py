"""Explains a page: its pools, the series that they come from, and those that are not used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from pg_pool_exporter.formats import NATIVE_NAME
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.nearest import pool_like_names
from pg_pool_exporter.sources.pages.reading.text_reader import MAX_SERIES, PageReader
from pg_pool_exporter.sources.pages.series.identity import PagePool
from pg_pool_exporter.sources.pages.series.table import TYPE, Table
from pg_pool_exporter.sources.pages.series.text_syntax import Malformed, metric_name, series_line
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

_NO_FORMAT = "no format has this name"
_OTHER_LABELS = "its labels say that it is about something else"
_FAILED = "the page fails as a whole"


class Unused(NamedTuple):
    """A series that looks like a pool's, and why it is of none."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExplainedPool:
    """A pool of the page, and where its values come from."""

    sample: PoolSample
    formats: tuple[str, ...]
    """Our own last, where it adds to a library's."""
    series: tuple[str, ...]
    """Names, each once, in the order of the page."""
    uneven: tuple[str, ...]
    """Labels that some of its series seem to have and others lack: so they are two pools."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The pools and unused series of a page."""

    pools: tuple[ExplainedPool, ...]
    unused: tuple[Unused, ...]
    error: str
    """Why the page fails as a whole, and which formats come nearest; empty where it does not."""
    folded: int
    """Pools and sites over the limits."""


def explain(page: bytes, table: Table, defaults: TargetDefaults) -> Explanation:
    """The explanation of the page by `table`. Never raises: faults of the page are in `error`."""
    snapshot = Snapshot()
    error = ""
    reader = PageReader(table, defaults)
    try:
        snapshot = reader.read(page)
    except PollError as failure:
        error = str(failure)
    names, unused = _sorted_out(page, table, defaults)
    parts = {sample.key: reader.parts(sample.key) for sample in snapshot.pools}
    explained = tuple(
        _explained(sample, names, parts[sample.key], _uneven(sample, snapshot.pools, parts))
        for sample in snapshot.pools
    )
    shown = {name for pool in explained for name in pool.series}
    formats = {form for pool in explained for form in pool.formats}
    unused |= {
        name: _FAILED if error else _left_out(pool, formats, table)
        for pool, some in names.items()
        for name in some
        if name not in shown
    }
    found = pool_like_names(page)
    unused |= {name: _NO_FORMAT for name in found if name not in shown and name not in unused}
    return Explanation(
        explained,
        tuple(Unused(*item) for item in unused.items()),
        error,
        snapshot.folded,
    )


def _sorted_out(
    page: bytes, table: Table, defaults: TargetDefaults
) -> tuple[Mapping[PagePool, dict[str, None]], dict[str, str]]:
    """The names of each pool's series, and why those of known names are of no pool."""
    names: dict[PagePool, dict[str, None]] = {}
    unused: dict[str, str] = {}
    for name, labels, value in _series(page, table):
        targets = table.of(name)
        if targets is None:
            continue
        text = name.decode()
        try:
            found = targets(labels, defaults)
            for target in found:
                target.number(value)
        except Malformed as error:
            unused[text] = str(error)
            continue
        if not found:
            unused.setdefault(text, _OTHER_LABELS)
        for target in found:
            names.setdefault(target.pool, {})[text] = None
    used = {name for some in names.values() for name in some}
    return names, {
        name: f"{reason}, of some of its series" if name in used else reason
        for name, reason in unused.items()
    }


def _series(page: bytes, table: Table) -> Iterator[tuple[bytes, Mapping[str, str], bytes]]:
    for number, match in enumerate(table.lines(page)):
        if number == MAX_SERIES:
            return
        line = match[1]
        name = metric_name(line)
        if line.startswith(TYPE) or not name:
            continue
        try:
            _, labels, value = series_line(line, name)
        except Malformed:
            continue
        yield name, labels, value


def _explained(
    sample: PoolSample,
    names: Mapping[PagePool, Iterable[str]],
    parts: Sequence[PagePool],
    uneven: Iterable[str],
) -> ExplainedPool:
    formats = dict.fromkeys(part.format for part in parts)
    series = dict.fromkeys(name for pool in names if pool in parts for name in names[pool])
    return ExplainedPool(sample, tuple(formats), tuple(series), tuple(sorted(uneven)))


def _uneven(
    sample: PoolSample, pools: Iterable[PoolSample], parts: Mapping[PoolId, Sequence[PagePool]]
) -> set[str]:
    """The labels by which pools of the same name with other values differ from this one."""
    return {
        label
        for other in pools
        if _known(sample).isdisjoint(_known(other))
        for part in parts[sample.key]
        for their in parts[other.key]
        if (part.format, part.name) == (their.format, their.name)
        and part.all_labels.items() < their.all_labels.items()
        for label in their.all_labels.keys() - part.all_labels.keys()
    }


def _known(sample: PoolSample) -> set[str]:
    values = {field.name: getattr(sample, field.name) for field in fields(PoolSample)}
    return {name for name, value in values.items() if value not in (None, {})} - {"key", "info"}


def _left_out(pool: PagePool, formats: Collection[str], table: Table) -> str:
    if pool.format == NATIVE_NAME:
        return "the format that is looked for has no pool of this name"
    yields_to = next((one.yields_to for one in table.formats if one.name == pool.format), ())
    better = [form for form in (*yields_to, NATIVE_NAME) if form in formats]
    if better:
        return f"format {pool.format} is left out beside {better[0]}, which shows the same pools"
    return f"of a pool of format {pool.format} that is closed, or over the limit of pools"
