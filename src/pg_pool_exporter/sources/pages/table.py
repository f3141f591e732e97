"""Which series of a page are wanted, and where their values go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.formats import Format, Labels
from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.identity import PagePool
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

FieldPart = str | float | PoolInfo
"""Which part of a field a value is.

Of a mapping its key; of a histogram a bucket's upper bound in seconds, `SUM` or `COUNT`; of the
info the info itself; of a field with one value `WHOLE`.
"""
WHOLE = ""
SUM = "sum"
COUNT = "count"


class AliasRank(NamedTuple):
    """How a series ranks among those that fill the same part of a field."""

    group: int
    """Within a group the series replace one another; groups are added up."""
    rank: int
    """The lowest wins."""
    info: PoolInfo | None = None
    """What the labels of a foreign series say of the pool."""


class FieldTarget(NamedTuple):
    """Where the value of a series goes: a field of one pool's `PoolSample`."""

    pool: PagePool
    field: str
    part: FieldPart
    number: Callable[[bytes], float | None]
    """Reads the value; None for an unknown one. Raises `Malformed`."""
    alias: AliasRank


Targets = Callable[[Labels, TargetDefaults], tuple[FieldTarget, ...]]

TYPE = b"# TYPE "


@dataclass(frozen=True, slots=True)
class Table:
    """Which series of a page are wanted, and where their values go."""

    wanted: re.Pattern[bytes]
    """Finds the lines to look at, each with the line feed before it; see `wanted_lines`."""
    types: Mapping[bytes, bytes]
    """The type of each family whose TYPE line must be right."""
    targets: Mapping[bytes, Targets]
    """By name of the series; no target when its labels say that it is not about a pool. Raises
    `Malformed` for labels that do not fit the name."""
    formats: tuple[Format, ...] = ()
    """The foreign ones among them. A page with none of these, and not our own, is an error."""
    native_alone: bool = True
    """Whether our own names may be without a foreign format beside them."""


def wanted_lines(prefixes: Iterable[bytes], *, types: bool) -> re.Pattern[bytes]:
    """Finds the lines that begin with one of these, and with `types` the TYPE lines of such names.

    Most lines of most pages are about something else. One pass from line feed to line feed is three
    times faster than splitting the page.
    """
    starts = b"|".join(re.escape(prefix) for prefix in sorted(prefixes))
    type_line = b"(?:%b)?" % TYPE if types else b""
    return re.compile(rb"\n(%b(?:%b)[^\n]*+)" % (type_line, starts))
