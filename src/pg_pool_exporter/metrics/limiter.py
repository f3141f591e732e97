"""Chooses the names that get series of their own. Standard library only: the client uses it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from heapq import nsmallest
from typing import Generic, TypeVar

KEEP_SECONDS = 600.0
"""How long a name keeps its place below the cut, or while it is absent and its place is not needed.
"""
PATIENT_SECONDS = 20.0
"""How long a name is there without a place before it counts as one that stays."""

Name = TypeVar("Name", bound=Hashable)


class NameLimiter(Generic[Name]):
    """Places for at most `limit` names at any time, taken by the biggest.

    - A name that is present keeps its place until it has not been among the `limit` biggest for
      `KEEP_SECONDS`, so that a series at the cut does not flicker.
    - An absent name loses its place as soon as one that is present needs it.
    - In each `KEEP_SECONDS` at most twice `limit` names lose theirs that way, so names that change
      all the time cannot make series without bound. Names that have just come get half of that, big
      ones up to three quarters. The rest is for names that have waited for `PATIENT_SECONDS`: one
      that stays is not kept out by short-lived ones, whatever their size and number.
    - `counters`: the values of names without a place are added up under one name. Then a name that
      is present never changes from one to the other: either series would jump. As none can wait,
      nothing is set aside.

    A name that must never be folded is not asked for.
    """

    def __init__(self, limit: int, *, counters: bool = False) -> None:
        self._limit = limit
        self._counters = counters
        self._places: dict[Name, float] = {}  # when each was last among the biggest
        self._folded: Set[Name] = frozenset()  # of the last reading
        self._waiting: Mapping[Name, float] = {}  # since when names of that have had no place
        self._taken_over: tuple[float, ...] = ()  # when absent names lost their places

    @property
    def names(self) -> Set[Name]:
        """Those that have a place, present or not."""
        return self._places.keys()

    def choose(self, sizes: Mapping[Name, float], now: float) -> Set[Name]:
        """The names that have a place from now on, present or not.

        `sizes` are all names of one reading, taken at `now` (seconds on any clock that never goes
        back). Of equal size those come first that have a place, then those that have waited
        longest, then the first ones by name.
        """
        former, since = self._places, self._waiting
        if not since and not self._folded and sizes.keys() == former.keys():
            # As nearly always: all that are present keep their places.
            self._places = dict.fromkeys(former, now)
            return self._places.keys()
        biggest = nsmallest(
            self._limit,
            sizes.keys() - self._folded if self._counters else sizes,
            key=lambda name: (-sizes[name], name not in former, since.get(name, now), name),
        )
        places = {name: now for name in biggest if name in former}
        for name, last in former.items():
            if name not in places and (
                now - last < KEEP_SECONDS or (self._counters and name in sizes)
            ):
                places[name] = last
        waiting = {name: since.get(name, now) for name in sizes if name not in places}
        recent = [time for time in self._taken_over if now - time < KEEP_SECONDS]
        gone = sorted(
            (name for name in places if name not in sizes), key=lambda name: -places[name]
        )
        for name in self._in_turn(biggest, sizes, waiting, now):
            if len(places) >= self._limit:
                most = self._most_taken_over(sizes[name], now - waiting[name])
                if not gone or len(recent) >= most:
                    continue
                del places[gone.pop()]
                recent.append(now)
            places[name] = now
            del waiting[name]
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._taken_over = tuple(recent)
        self._folded = sizes.keys() - places.keys()
        self._waiting = waiting
        self._places = places
        return places.keys()

    def _in_turn(
        self,
        biggest: Sequence[Name],
        sizes: Mapping[Name, float],
        waiting: Mapping[Name, float],
        now: float,
    ) -> Sequence[Name]:
        """The names that get a place if there is one, the first ones first.

        Those that stay come before others as big. Below the cut they come last, but before absent
        names.
        """
        patient = nsmallest(
            self._limit,
            (
                name
                for name, since in waiting.items()
                if now - since >= PATIENT_SECONDS and not (self._counters and name in self._folded)
            ),
            key=lambda name: (waiting[name], -sizes[name], name),
        )
        among = {name for name in biggest if name in waiting}
        first = [name for name in patient if name in among]
        return [
            *first,
            *(name for name in biggest if name in among.difference(first)),
            *(name for name in patient if name not in among),
        ]

    def _most_taken_over(self, size: float, waited: float) -> float:
        """How many places may have been taken over recently when this name takes over another."""
        if waited >= PATIENT_SECONDS:
            return self._limit * 2
        most = 2.0 if self._counters else 1.5
        return self._limit * (most - (most - 1) / max(1.0, size))
