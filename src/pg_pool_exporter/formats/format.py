"""Describes a format: which series of a foreign page contain which value of a pool."""

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
"""Names for the same thing in different versions; the first one present counts."""


ANYTHING = "*"
"""At the end of a condition's value, or at either end of the name of a series: any text."""


class Condition(NamedTuple):
    """A label, under one of its names, has a value; `negated`: does not have it."""

    labels: Aliases
    value: str
    """With `ANYTHING` at its end: the value begins so, and is not empty."""
    negated: bool = False

    def holds(self, labels: Labels) -> bool:
        """Whether a series with these labels fulfils it."""
        return self._fits(first_of(self.labels, labels)) is not self.negated

    def _fits(self, text: str) -> bool:
        if self.value.endswith(ANYTHING):
            return text.startswith(self.value.removesuffix(ANYTHING)) and bool(text)
        return text == self.value


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a pool: its field, and the series that contain it."""

    field: str
    """The field of `PoolSample`."""
    series: Aliases
    """Names of the series; of aliases that are on one page only the first counts. A name can begin
    or end with `ANYTHING`, for namespaces: what is in front distinguishes processes."""
    where: tuple[Condition, ...] = ()
    scale: float = 1.0
    """Factor from the unit of the series to ours: seconds, or a count. Below 0: it is taken off."""
    kind: str = ""
    """For a field that is a mapping (`timeouts`, `leaked_slots`): the key."""
    part: int = 0
    """Values of different parts of one field are added up."""
    note: str = ""
    """What is approximate or unusual: a sentence for the documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How one library, or one of its collectors, shows its pools as Prometheus text.

    A page has the format when one of its series has a name of `values`.
    """

    name: str
    """The name in the configuration, and in `pg_pool_info{source}`."""
    title: str
    """The library and its collector, for people."""
    client: str = ""
    """The pool library, for `pg_pool_info{client}`."""
    clients: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The pool library by `otel_scope_name`, where the format is that of several."""
    pool: tuple[Aliases, ...] = ()
    """Labels that together name a pool; without any of them it is `DEFAULT_POOL`."""
    process: tuple[Aliases, ...] = ()
    """Labels that together distinguish several processes on one page."""
    info: Mapping[str, Aliases] = field(default_factory=lambda: MappingProxyType({}))
    """Labels by field of `PoolInfo`."""
    values: tuple[Value, ...]
    """Of several for one field, kind and part, the first one on the page counts."""
    quiet: Aliases = ()
    """Labels that the pool's name does without, because its own labels always distinguish it."""
    unless: tuple[Condition, ...] = ()
    """Conditions, each of which excludes a series: it is about something else."""
    only: tuple[Condition, ...] = ()
    """Conditions that every series fulfils: others of its name are about something else."""
    gauges: tuple[str, ...] = ()
    """Fields that a pool loses when it is closed, while its counters stay: one without any of them
    is gone."""
    gauges_where: tuple[Condition, ...] = ()
    """Which pools that holds for."""
    lags: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By `client`, how many connections are shown as active after they were returned, until the
    next one moves."""
    yields_to: tuple[str, ...] = ()
    """Formats that show more of the same pools: beside one of them, this one is left out."""
    facts: str = ""
    """The source of its names."""
    run: str = ""
    """The versions of the real library whose page is read in the tests; without any, its names are
    from source or documents."""

    def names(self) -> Iterator[str]:
        """All names of series, with repetitions."""
        for value in self.values:
            yield from value.series

    def needed_parts(self, value: Value) -> frozenset[int]:
        """The parts without which the sum of a value is wrong: of a difference, and of a maximum.

        What other sums lack is 0 where there is no series of it.
        """
        added = [one for one in self.values if (one.field, one.kind) == (value.field, value.kind)]
        if value.field == "max" or any(one.scale < 0 for one in added):
            return frozenset(one.part for one in added)
        return frozenset()


def first_of(aliases: Aliases, labels: Labels) -> str:
    """The value of the first of these labels with a value; else empty."""
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
    """A `Value`, written as a row of a table."""
    return Value(field, series, where, scale, kind, part, note)
