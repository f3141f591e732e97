"""Which series of a page are wanted, and where their values go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.formats import Format, Labels
from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.series.identity import PagePool
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
    needed: frozenset[int] = frozenset()
    """Groups without which the sum is unknown."""
    is_zero: bool = False
    """Whether it adds 0, also without a known value."""
    pattern: str = ""
    """With `ANYTHING` at its end: what the series was found by, if not by its name."""


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


class NamePattern(NamedTuple):
    """Names of series that begin and end so, with any text between."""

    start: bytes
    end: bytes
    targets: Callable[[str], Targets]
    """By the text between."""

    def match(self, name: bytes) -> Targets | None:
        """The targets of the series `name`; None when the name does not fit."""
        if name.endswith(self.end) and name.startswith(self.start):
            between = name[len(self.start) : len(name) - len(self.end)]
            return self.targets(between.decode()) if between else None
        return None


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
    patterns: tuple[NamePattern, ...] = ()
    """For names that are not in `targets`."""
    rare: tuple[bytes, ...] = ()
    """The ends of the names that are found by them."""
    rare_start: bytes = b""
    """Their common start: one search, of some 50 microseconds, instead of one for each."""
    wanted_if_rare: re.Pattern[bytes] | None = None
    """Finds them, too. Slower, so only used on pages with `rare`."""

    def lines(self, page: bytes) -> Iterator[re.Match[bytes]]:
        """The lines of `page` to look at."""
        if self.wanted_if_rare is None or not self.has_rare(page):
            return self.common_lines(page)
        return self.wanted_if_rare.finditer(b"\n" + page)

    def common_lines(self, page: bytes) -> Iterator[re.Match[bytes]]:
        """The same for a page without `rare`."""
        return self.wanted.finditer(b"\n" + page)

    def has_rare(self, page: bytes) -> bool:
        """Whether names may be on the page that are found by their end."""
        return self.rare_start in page and any(end in page for end in self.rare)

    def of(self, name: bytes) -> Targets | None:
        """The targets of the series `name`; None for one that is about something else."""
        if name in self.targets:
            return self.targets[name]
        return next(filter(None, (pattern.match(name) for pattern in self.patterns)), None)


def wanted_lines(prefixes: Iterable[bytes], within: Iterable[bytes] = ()) -> re.Pattern[bytes]:
    """Finds the lines that begin with one of these, and the TYPE lines of such names.

    `within`: also those whose name has one of these in it. Most lines of most pages are about
    something else. One pass from line feed to line feed is three times faster than splitting the
    page.
    """
    starts = _any_of(sorted(prefixes))
    inside = sorted(within)
    anywhere = b"|[a-zA-Z_:][a-zA-Z0-9_:]*?%b" % _any_of(inside) if inside else b""
    return re.compile(rb"\n((?:(?:%b)?%b%b)[^\n]*+)" % (TYPE, starts, anywhere))


def _any_of(texts: list[bytes]) -> bytes:
    """A pattern for any of these that looks at each character of a line once."""
    by_first = {text[:1]: [one[1:] for one in texts if one[:1] == text[:1]] for text in texts}
    if b"" in by_first:
        return b""
    choices = [re.escape(first) + _any_of(rest) for first, rest in by_first.items()]
    return choices[0] if len(choices) == 1 else b"(?:%b)" % b"|".join(choices)
