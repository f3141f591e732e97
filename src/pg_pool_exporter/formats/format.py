"""The shape of a format: which series of a foreign page hold which value of a pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

MILLISECONDS = 1e-3
MICROSECONDS = 1e-6
NANOSECONDS = 1e-9

Labels = Mapping[str, str]
"""Label values by name. An empty value is the same as no label."""

Aliases = tuple[str, ...]
"""Names for the same thing in different versions; the first that is there counts."""


class Condition(NamedTuple):
    """A label, under one of its names, has a value; or, `negated`, has it not."""

    labels: Aliases
    value: str
    negated: bool = False

    def holds(self, labels: Labels) -> bool:
        """Whether it is so for a series with these labels."""
        return (first_of(self.labels, labels) == self.value) is not self.negated


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a pool: where it goes, and which series have it."""

    field: str
    """The field of `PoolSample`."""
    series: Aliases
    """Names of the series. Of aliases that are on one page only the first counts; several series
    of the same name are added up."""
    where: tuple[Condition, ...] = ()
    scale: float = 1.0
    """What the series is multiplied by to be in our unit: seconds, or a number of things."""
    kind: str = ""
    """For a field that is a mapping (`timeouts`, `leaked_slots`): the key."""
    part: int = 0
    """Of one field, values with other parts are added up."""
    note: str = ""
    """What is approximate in it, or looks odd on the page; a sentence for the documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How one library, or one of its collectors, shows its pools as Prometheus text.

    A page has the format when one of its series has a name of `values`.
    """

    name: str
    """As in the configuration, and in `pg_pool_info{source}`."""
    title: str
    """For people: the library, and by what it is shown."""
    client: str = ""
    """The pool library, for `pg_pool_info{client}`."""
    pool: tuple[Aliases, ...] = ()
    """Labels that together name a pool. Without any of them it is `DEFAULT_POOL`."""
    process: tuple[Aliases, ...] = ()
    """Labels that together tell apart several processes on one page."""
    info: Mapping[str, Aliases] = field(default_factory=lambda: MappingProxyType({}))
    """Labels by the field of `PoolInfo` that they fill."""
    values: tuple[Value, ...]
    """Of several for the same field, kind and part the first that a page has counts."""
    unless: tuple[Condition, ...] = ()
    """What says, each by itself, that a series of such a name is of something else."""
    yields_to: tuple[str, ...] = ()
    """Formats that show the same pools, and more of them: this is left out beside any of them."""
    facts: str = ""
    """Where its names were read or tried."""

    def names(self) -> Iterator[str]:
        """All names of series, some of them several times."""
        for value in self.values:
            yield from value.series


def first_of(aliases: Aliases, labels: Labels) -> str:
    """The value of the first of these labels that has one, else an empty text."""
    for name in aliases:
        if value := labels.get(name):
            return value
    return ""


def value(
    field: str,
    *series: str,
    where: tuple[Condition, ...] = (),
    scale: float = 1.0,
    kind: str = "",
    part: int = 0,
    note: str = "",
) -> Value:
    """A `Value`, spelt so that a table of them reads like one."""
    return Value(field, series, where, scale, kind, part, note)
