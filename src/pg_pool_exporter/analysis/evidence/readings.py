"""Readings over time, in bounded memory: the least and the most in a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from math import inf
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

# A window is kept in about this many parts: readings closer together share one.
_PARTS = 16

R = TypeVar("R", bound="Reading")


class Reading(Protocol):
    """Bounds of values that were read together: a named tuple of numbers and texts."""

    def __iter__(self) -> Iterator[Any]: ...

    def union(self: R, other: R) -> R:
        """Bounds that hold for both."""
        ...


# Consecutive readings: begin of the first, end of the last, number, and the fields of their union.
# The garbage collector stops visiting a plain tuple of numbers and texts: there are 100 a pool.
_Part: TypeAlias = tuple[float, float, int, *tuple[Any, ...]]


class Window(NamedTuple, Generic[R]):
    """The readings in a stretch of time."""

    whole: bool
    """Whether they reach back to its beginning without a long break."""
    number: int
    """Readings that are certainly in it."""
    reading: R
    """Bounds that hold for each reading in it."""


class Readings(Generic[R]):
    """The readings of the last `keep` seconds, as at most some 20 parts.

    Each was taken between its begin and its end. All times are seconds on one clock that never
    goes back. `kind` makes a reading of its fields.
    """

    __slots__ = ("_kind", "_parts")

    def __init__(self, kind: Callable[..., R]) -> None:
        self._kind = kind
        self._parts: deque[_Part] = deque()

    def add(self, begun: float, ended: float, reading: R, *, keep: float, max_gap: float) -> None:
        """Add one. A break of more than `max_gap` seconds discards the earlier ones."""
        parts = self._parts
        start, number = begun, 1
        if parts:
            first_begun, last_ended, count, *fields = parts[-1]
            if begun - last_ended > max_gap:
                parts.clear()
            elif ended - first_begun <= keep / _PARTS:
                parts.pop()
                start, number = first_begun, count + 1
                reading = self._kind(*fields).union(reading)
        parts.append((start, ended, number, *reading))
        # A part that began before the window may reach into it.
        oldest = begun - keep - keep / _PARTS - max_gap
        while _ended(parts[0]) < oldest:
            parts.popleft()

    def last(self, since: float = -inf) -> R | None:
        """The latest part's; None when it ended before `since`."""
        if not self._parts or _ended(self._parts[-1]) < since:
            return None
        _, _, _, *fields = self._parts[-1]
        return self._kind(*fields)

    def within(self, start: float, end: float) -> Window[R] | None:
        """The readings from `start` to `end`; None without any.

        A part that is not wholly in it counts too: more readings make the bounds weaker, never
        wrong.
        """
        number = 0
        reading: R | None = None
        for begun, ended, count, *fields in reversed(self._parts):
            if ended < start:
                break
            if begun <= end:
                its = self._kind(*fields)
                reading = its if reading is None else its.union(reading)
                if begun >= start and ended <= end:
                    number += count
        if reading is None:
            return None
        first_begun, *_ = self._parts[0]
        return Window(first_begun <= start, number, reading)

    def groups(self, start: float, end: float, number: int) -> list[R]:
        """The readings from `start` to `end` in up to `number` groups that follow each other, each
        reading in one of them. The first ones are the smaller ones.

        As in `within`, a part that reaches into the stretch counts as a whole.
        """
        parts = [
            self._kind(*fields)
            for begun, ended, _, *fields in self._parts
            if ended >= start and begun <= end
        ]
        number = min(number, len(parts))
        bounds = [len(parts) * at // number for at in range(number + 1)] if number else []
        return [reduce(_union, parts[first:last]) for first, last in pairwise(bounds)]


def _ended(part: _Part) -> float:
    _, ended, *_ = part
    return ended


def _union(earlier: R, later: R) -> R:
    return earlier.union(later)
