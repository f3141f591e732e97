"""Which series of a page are wanted, and where their values go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.formats import Format, Labels
from pg_pool_exporter.model import PoolInfo, PoolKey
from pg_pool_exporter.sources.origin import Origin

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
    pool: PoolKey


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


@dataclass(frozen=True, slots=True)
class Table:
    """Which series of a page are wanted, and where their values go."""

    prefixes: tuple[bytes, ...]
    """How every wanted name begins: what begins otherwise is not looked at."""
    types: Mapping[bytes, bytes]
    """The type of each family whose TYPE line must be right."""
    places: Mapping[bytes, Callable[[Labels, Origin], tuple[Place, ...]]]
    """By name; none for a series that is not wanted because of its labels. Raises `Malformed` for
    labels that do not fit the name."""
    formats: tuple[Format, ...] = ()
    """The foreign ones among them. A page with none of these, and not our own, is an error."""
