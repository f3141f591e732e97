"""Which of many names get a series of their own: a bounded number, over time too."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from heapq import nsmallest
from typing import Generic, TypeVar

KEEP_SECONDS = 600.0
"""How long a name keeps its place after its last claim to it."""

Name = TypeVar("Name", bound=Hashable)


class StickyChoice(Generic[Name]):
    """Places for at most `limit` names at any time.

    A name keeps its place until it has not claimed it for `KEEP_SECONDS`. So names that come and
    go all the time cannot make more series than `limit` in each such time, and a series does not
    flicker when its name is at the cut.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last_claims: dict[Name, float] = {}

    @property
    def names(self) -> Set[Name]:
        """Those that have a place, present or not."""
        return self._last_claims.keys()

    def choose(self, claims: Iterable[Name], now: float) -> Set[Name]:
        """The names that have a place from now on, present or not.

        `claims` are the names of one reading that ask for a place, the first ones first, taken at
        `now` (seconds on any clock that never goes back). Those that have a place keep it.
        """
        claiming = dict.fromkeys(claims, now)
        places = {
            name: claiming.get(name, last)
            for name, last in self._last_claims.items()
            if name in claiming or now - last < KEEP_SECONDS
        }
        newcomers = [name for name in claiming if name not in places]
        places.update(dict.fromkeys(newcomers[: self._limit - len(places)], now))
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._last_claims = places
        return places.keys()

    def choose_biggest(self, sizes: Mapping[Name, float], now: float) -> Set[Name]:
        """The same, when the biggest of one reading ask for a place: as many as there are."""
        # Equal sizes are ordered by name, so that the cut does not move without a reason.
        biggest = nsmallest(self._limit, sizes, key=lambda name: (-sizes[name], name))
        return self.choose(biggest, now)
