"""Aggregates of values, some of which are unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Number = TypeVar("Number", int, float)


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


def added(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Counts by state, summed."""
    added: dict[str, float] = {}
    for by_state in counts:
        for state, count in by_state.items():
            added[state] = added.get(state, 0.0) + count
    return added
