"""Which series of a page are wanted, and where their values go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.formats import Format, Labels
from pg_pool_exporter.model import PoolId, PoolInfo
from pg_pool_exporter.sources.pages.origin import Origin

Member = str | float | PoolInfo
"""Which part of a field a value is.

Of a mapping the key; of a histogram a bucket's upper bound in seconds, `SUM` or `COUNT`; of the
info the info itself; of a field with one value `WHOLE`.
"""
WHOLE = ""
SUM = "sum"
COUNT = "count"


class DraftKey(NamedTuple):
    """A pool as one format of its page shows it."""

    format: str
    pool: PoolId


class Slot(NamedTuple):
    """Where a value of a foreign page stands among those that fill the same field."""

    part: int
    """Values of the same part replace one another, those of others are added."""
    rank: int
    """The lowest wins; equal ones are added."""
    info: PoolInfo
    """What the series' labels tell of the pool."""


class Place(NamedTuple):
    """Where the value of a series goes: a field of one pool's `PoolSample`."""

    draft: DraftKey
    field: str
    member: Member
    number: Callable[[bytes], float | None]
    """Reads the value; None for "not known". Raises `Malformed`."""
    slot: Slot | None = None
    """None on our own page, where each value stands once."""


TYPE = b"# TYPE "


@dataclass(frozen=True, slots=True)
class Table:
    """Which series of a page are wanted, and where their values go."""

    wanted: re.Pattern[bytes]
    """Finds the lines that are looked at, each with the line feed before it; see `wanted_lines`."""
    types: Mapping[bytes, bytes]
    """The type of each family whose TYPE line must be right."""
    places: Mapping[bytes, Callable[[Labels, Origin], tuple[Place, ...]]]
    """By name; none for a series that is not wanted because of its labels. Raises `Malformed` for
    labels that do not fit the name."""
    formats: tuple[Format, ...] = ()
    """The foreign ones among them. A page with none of these, and not our own, is an error."""


def wanted_lines(prefixes: Iterable[bytes], *, types: bool) -> re.Pattern[bytes]:
    """Finds the lines that begin with one of these, and the TYPE lines of such names.

    Most lines of most pages are somebody else's. One pass that begins at each line feed is the
    fastest way past them: three times faster than to split the page.
    """
    starts = b"|".join(re.escape(prefix) for prefix in sorted(prefixes))
    type_line = b"(?:%b)?" % TYPE if types else b""
    return re.compile(rb"\n(%b(?:%b)[^\n]*+)" % (type_line, starts))
