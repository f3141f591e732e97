"""Readings over time, in bounded memory: the least and the most in a window."""

from __future__ import annotations

from collections import deque
from functools import reduce
from itertools import pairwise
from math import inf
from typing import Generic, NamedTuple, Protocol, TypeVar

# A window is kept in about this many parts: readings closer together share one.
_PARTS = 16

R = TypeVar("R", bound="Reading")


class Reading(Protocol):
    """Bounds of values that were read together."""

    def union(self: R, other: R) -> R:
        """Bounds that hold for both."""
        ...


class _Part(NamedTuple, Generic[R]):
    """Consecutive readings."""

    begun: float
    ended: float
    number: int
    reading: R


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

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: deque[_Part[R]] = deque()

    def add(self, begun: float, ended: float, reading: R, *, keep: float, max_gap: float) -> None:
        """Add one. A break of more than `max_gap` seconds discards the earlier ones."""
        if self._parts and begun - self._parts[-1].ended > max_gap:
            self._parts.clear()
        last = self._parts[-1] if self._parts else None
        if last is not None and ended - last.begun <= keep / _PARTS:
            self._parts[-1] = _Part(last.begun, ended, last.number + 1, last.reading.union(reading))
        else:
            self._parts.append(_Part(begun, ended, 1, reading))
        # A part that began before the window may reach into it.
        while self._parts[0].ended < begun - keep - keep / _PARTS - max_gap:
            self._parts.popleft()

    def last(self, since: float = -inf) -> R | None:
        """The latest part's; None when it ended before `since`."""
        last = self._parts[-1] if self._parts else None
        return last.reading if last is not None and last.ended >= since else None

    def within(self, start: float, end: float) -> Window[R] | None:
        """The readings from `start` to `end`; None without any.

        A part that is not wholly in it counts too: more readings make the bounds weaker, never
        wrong.
        """
        whole = bool(self._parts) and self._parts[0].begun <= start
        number = 0
        reading: R | None = None
        for part in reversed(self._parts):
            if part.ended < start:
                break
            if part.begun <= end:
                reading = part.reading if reading is None else part.reading.union(reading)
                if part.begun >= start and part.ended <= end:
                    number += part.number
        return None if reading is None else Window(whole, number, reading)

    def groups(self, start: float, end: float, number: int) -> list[R]:
        """The readings from `start` to `end` in up to `number` groups that follow each other, each
        reading in one of them. The first ones are the smaller ones.

        As in `within`, a part that reaches into the stretch counts as a whole.
        """
        parts = [one.reading for one in self._parts if one.ended >= start and one.begun <= end]
        number = min(number, len(parts))
        bounds = [len(parts) * at // number for at in range(number + 1)] if number else []
        return [reduce(_union, parts[first:last]) for first, last in pairwise(bounds)]


def _union(earlier: R, later: R) -> R:
    return earlier.union(later)
