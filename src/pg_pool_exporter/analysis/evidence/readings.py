"""Readings over time, in bounded memory: what was least and what was most in a window."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Generic, NamedTuple, Protocol, TypeVar

# A window is kept in about so many parts: readings that are nearer together share one.
_PARTS = 16

R = TypeVar("R", bound="Reading")


class Reading(Protocol):
    """Values that were read together."""

    def widened(self: R, other: R) -> R:
        """What holds for this and for the other one: of each value the least, or the most."""
        ...


class _Part(NamedTuple, Generic[R]):
    """Readings that follow on each other."""

    begun: float
    ended: float
    number: int
    reading: R


class Window(NamedTuple, Generic[R]):
    """What was read in a stretch of time."""

    whole: bool
    """Whether readings reach back to its beginning, without a long break."""
    number: int
    """Of readings that are certainly in it."""
    reading: R
    """What holds for each reading in it."""


class Readings(Generic[R]):
    """The readings of the last `keep` seconds, as at most some 20 parts.

    Each comes with the times at which it was begun and ended: it was taken in between. All times
    are seconds on one clock that never goes back.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: deque[_Part[R]] = deque()

    def add(self, begun: float, ended: float, reading: R, *, keep: float, most_gap: float) -> None:
        """Add one. After a break of more than `most_gap` seconds, what was before is forgotten."""
        if self._parts and begun - self._parts[-1].ended > most_gap:
            self._parts.clear()
        last = self._parts[-1] if self._parts else None
        if last is not None and ended - last.begun <= keep / _PARTS:
            self._parts[-1] = _Part(
                last.begun, ended, last.number + 1, last.reading.widened(reading)
            )
        else:
            self._parts.append(_Part(begun, ended, 1, reading))
        # A part that began before the window may reach into it.
        while self._parts[0].ended < begun - keep - keep / _PARTS - most_gap:
            self._parts.popleft()

    def last(self, since: float = -inf) -> R | None:
        """The latest part's; None when it had ended before `since`."""
        last = self._parts[-1] if self._parts else None
        return last.reading if last is not None and last.ended >= since else None

    def within(self, start: float, end: float) -> Window[R] | None:
        """What was read from `start` to `end`; None when nothing was.

        A part that is not wholly in it is taken too: to look at more readings than asked for makes
        what holds for all of them weaker, never wrong.
        """
        whole = bool(self._parts) and self._parts[0].begun <= start
        number = 0
        reading: R | None = None
        for part in self._parts:
            if part.ended >= start and part.begun <= end:
                reading = part.reading if reading is None else reading.widened(part.reading)
                if part.begun >= start and part.ended <= end:
                    number += part.number
        return None if reading is None else Window(whole, number, reading)
