"""The last hour of a pool by the minute, on a real time axis, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import nan
from operator import add
from typing import NamedTuple

MINUTE = 60.0
MINUTES = 60
# Of each minute: connections checked out on average, and at least; requests waiting on average.
_ACTIVE, _ACTIVE_MIN, _WAITING = range(3)
_VALUES = 3
_UNKNOWN = array("f", [nan] * _VALUES)


class LastHour(NamedTuple):
    """Whole minutes from the first reading on, the latest last. NaN: without a reading."""

    active: Sequence[float]
    """Mean of the connections checked out."""
    active_min: Sequence[float]
    """The least checked out at any reading."""
    waiting: Sequence[float]
    """Mean of the requests waiting."""


class Minutes:
    """Collects readings. Times are seconds on one clock that never goes back."""

    __slots__ = ("_last", "_minute", "_sums", "_values")

    def __init__(self) -> None:
        self._values = array("f")
        self._minute = 0
        """The one that is being read; those before it are in `_values`."""
        self._sums = (0, 0.0, 0.0, 0.0)  # readings; active: sum, least; waiting: sum
        self._last = 0.0

    def add(self, now: float, active: float, waiting: float | None, max_gap: float) -> None:
        """Take in a reading. It holds until the next one, unless that is more than `max_gap`
        seconds later.
        """
        minute = int(now // MINUTE)
        readings, total, least, waited = self._sums
        if readings and minute != self._minute:
            missed = min(minute - self._minute - 1, MINUTES)
            row = self._row()
            self._values.extend(row)
            self._values.extend((row if now - self._last <= max_gap else _UNKNOWN) * missed)
            del self._values[: -MINUTES * _VALUES]
            readings, total, least, waited = 0, 0.0, 0.0, 0.0
        self._minute, self._last = minute, now
        self._sums = (
            readings + 1,
            total + active,
            min(least, active) if readings else active,
            waited + (nan if waiting is None else waiting),
        )

    def until(self, now: float) -> LastHour:
        """The hour before the minute of `now`."""
        values = self._values[:]
        over = int(now // MINUTE) - self._minute
        if self._sums[0] and over > 0:
            values.extend(self._row())
            values.extend(_UNKNOWN * min(over - 1, MINUTES))
            del values[: -MINUTES * _VALUES]
        return LastHour(*(values[at::_VALUES] for at in range(_VALUES)))

    def _row(self) -> array[float]:
        readings, total, least, waited = self._sums
        return array("f", (total / readings, least, waited / readings))


def total(hours: Iterable[Sequence[float]]) -> Sequence[float]:
    """The sums of several pools' values by the minute, as long as the longest; NaN where one of
    them is unknown. Those that are shorter began later.
    """
    longest, *others = sorted(hours, key=len, reverse=True) or [()]
    sums = list(longest)
    for one in others:
        start = len(sums) - len(one)
        sums[start:] = map(add, sums[start:], one)
    return sums
