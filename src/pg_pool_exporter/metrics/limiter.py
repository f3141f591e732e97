"""Which of many names get a series of their own. The standard library only: the client uses it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from heapq import nsmallest
from typing import Generic, TypeVar

KEEP_SECONDS = 600.0
"""How long a name keeps its place below the cut, or while it is gone and nobody needs the place."""

Name = TypeVar("Name", bound=Hashable)


class NameLimiter(Generic[Name]):
    """Places for at most `limit` names at any time, taken by the biggest.

    - A name that is present keeps its place until it has not been among the `limit` biggest for
      `KEEP_SECONDS`, so that a series at the cut does not flicker.
    - A name that is gone loses its place as soon as one that is present needs it.
    - In each `KEEP_SECONDS` at most `limit` names lose theirs that way, so names that change all
      the time cannot make series without bound.
    - `counters`: the values of names without a place are added up under one name. Then a name that
      is present never changes from one to the other: either series would jump.

    A name that must never be folded is not asked for.
    """

    def __init__(self, limit: int, *, counters: bool = False) -> None:
        self._limit = limit
        self._counters = counters
        self._places: dict[Name, float] = {}  # when each was last among the biggest
        self._folded: Set[Name] = frozenset()  # of the last reading
        self._taken_over: tuple[float, ...] = ()  # when names that were gone lost their places

    @property
    def names(self) -> Set[Name]:
        """Those that have a place, present or not."""
        return self._places.keys()

    def choose(self, sizes: Mapping[Name, float], now: float) -> Set[Name]:
        """The names that have a place from now on, present or not.

        `sizes` are all names of one reading, taken at `now` (seconds on any clock that never goes
        back). Of equal size those come first that have a place, then the first ones by name.
        """
        former = self._places
        biggest = nsmallest(
            self._limit,
            sizes.keys() - self._folded if self._counters else sizes,
            key=lambda name: (-sizes[name], name not in former, name),
        )
        places = {name: now for name in biggest if name in former}
        for name, last in former.items():
            if name not in places and (
                now - last < KEEP_SECONDS or (self._counters and name in sizes)
            ):
                places[name] = last
        newcomers = [name for name in biggest if name not in places]
        recent = [time for time in self._taken_over if now - time < KEEP_SECONDS]
        needed = len(places) + len(newcomers) - self._limit
        gone = sorted((name for name in places if name not in sizes), key=lambda name: places[name])
        lost = gone[: max(0, min(needed, self._limit - len(recent)))]
        for name in lost:
            del places[name]
        places.update(dict.fromkeys(newcomers[: self._limit - len(places)], now))
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._taken_over = (*recent, *(now for _ in lost))
        self._folded = sizes.keys() - places.keys()
        self._places = places
        return places.keys()
