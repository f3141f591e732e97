"""Aggregates of values, some of which are unknown. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Number = TypeVar("Number", int, float)
Key = TypeVar("Key")
Value = TypeVar("Value")


def oldest(ages: Iterable[Number | None]) -> Number | None:
    """The largest known age; None when all are unknown."""
    return max((age for age in ages if age is not None), default=None)


def total(counts: Iterable[Number | None]) -> Number | None:
    """Their sum: unknown when one of them is, 0 when there are none."""
    known = []
    for count in counts:
        if count is None:
            return None
        known.append(count)
    return sum(known)


def summed(counts: Iterable[tuple[Key, Number]]) -> dict[Key, Number]:
    """The sum of the counts of each key, in the order in which the keys come first."""
    sums: dict[Key, Number] = {}
    for key, count in counts:
        sums[key] = sums[key] + count if key in sums else count
    return sums


def added(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Counts by state, summed."""
    return summed(pair for by_state in counts for pair in by_state.items())


def grouped(values: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """The values of each key, in the order in which they come."""
    groups: dict[Key, list[Value]] = {}
    for key, value in values:
        groups.setdefault(key, []).append(value)
    return groups
