"""Readings over time, in bounded memory: the least and the most in a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from math import inf
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

# A window is kept in about this many parts: readings closer together share one.
_PARTS = 16

R = TypeVar("R", bound="Reading")


class Reading(Protocol):
    """Bounds of values that were read together: a named tuple of numbers and texts."""

    def __iter__(self) -> Iterator[Any]: ...

    def union(self: R, other: R) -> R:
        """Bounds that hold for both."""
        ...


# A part, which is consecutive readings: the begin of the first one, the end of the last one, their
# number, and the fields of their union. A plain tuple of numbers and texts is nothing that the
# garbage collector keeps visiting, as it would 100 named tuples a pool.
_Part = tuple[Any, ...]
_BEGUN, _ENDED, _NUMBER, _FIELDS = 0, 1, 2, slice(3, None)


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
    goes back.
    """

    __slots__ = ("_kind", "_parts")

    def __init__(self) -> None:
        self._kind: Callable[..., R]  # known from the first reading on
        self._parts: deque[_Part] = deque()

    def add(self, begun: float, ended: float, reading: R, *, keep: float, max_gap: float) -> None:
        """Add one. A break of more than `max_gap` seconds discards the earlier ones."""
        self._kind = type(reading)
        parts = self._parts
        if parts and begun - parts[-1][_ENDED] > max_gap:
            parts.clear()
        if parts and ended - parts[-1][_BEGUN] <= keep / _PARTS:
            last = parts.pop()
            both = self._reading(last).union(reading)
            parts.append((last[_BEGUN], ended, last[_NUMBER] + 1, *both))
        else:
            parts.append((begun, ended, 1, *reading))
        # A part that began before the window may reach into it.
        while parts[0][_ENDED] < begun - keep - keep / _PARTS - max_gap:
            parts.popleft()

    def last(self, since: float = -inf) -> R | None:
        """The latest part's; None when it ended before `since`."""
        last = self._parts[-1] if self._parts else None
        return self._reading(last) if last is not None and last[_ENDED] >= since else None

    def within(self, start: float, end: float) -> Window[R] | None:
        """The readings from `start` to `end`; None without any.

        A part that is not wholly in it counts too: more readings make the bounds weaker, never
        wrong.
        """
        whole = bool(self._parts) and self._parts[0][_BEGUN] <= start
        number = 0
        reading: R | None = None
        for part in reversed(self._parts):
            if part[_ENDED] < start:
                break
            if part[_BEGUN] <= end:
                its = self._reading(part)
                reading = its if reading is None else its.union(reading)
                if part[_BEGUN] >= start and part[_ENDED] <= end:
                    number += part[_NUMBER]
        return None if reading is None else Window(whole, number, reading)

    def groups(self, start: float, end: float, number: int) -> list[R]:
        """The readings from `start` to `end` in up to `number` groups that follow each other, each
        reading in one of them. The first ones are the smaller ones.

        As in `within`, a part that reaches into the stretch counts as a whole.
        """
        parts = [
            self._reading(one) for one in self._parts if one[_ENDED] >= start and one[_BEGUN] <= end
        ]
        number = min(number, len(parts))
        bounds = [len(parts) * at // number for at in range(number + 1)] if number else []
        return [reduce(_union, parts[first:last]) for first, last in pairwise(bounds)]

    def _reading(self, part: _Part) -> R:
        return self._kind(*part[_FIELDS])


def _union(earlier: R, later: R) -> R:
    return earlier.union(later)
