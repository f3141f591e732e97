"""How long the demand for a pool's connections was at each level: a histogram weighted by time.

Demand: connections checked out plus waiting requests. The connections that are checked out are
known at each moment. What waits becomes known when its wait ends: requests are served in the order
in which they asked, so that at least `k` of them waited from when one asked until the one `k - 1`
places before it was served. The time of that is counted at the bounds alone, whatever the queue's
length.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate, pairwise
from math import isfinite

from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS
from pg_pool_exporter.model import Histogram

TOP = int(DEMAND_BOUNDS[-1]) + 1
"""The highest level; what is above it counts as this."""


class Demand:
    """The time at each level, from `begun` on. No clock and no lock, as `Totals`, which adds the
    time of what is checked out inline: one more call would cost as much as all the rest.
    """

    def __init__(self, begun: float) -> None:
        self.levels = [0.0] * (TOP + 1)
        """Seconds by the number of connections checked out."""
        self.until = begun
        """The time up to which they are counted."""
        self._begun = begun
        self._queued = [0.0] * len(DEMAND_BOUNDS)
        """Seconds with a demand over each bound, by waiting requests."""
        self._ends: deque[float] = deque(maxlen=TOP)  # of the latest waits, in their order
        self._connection_seconds = 0.0  # of waits
        self._most = [0.0] * (len(DEMAND_BOUNDS) + 1)
        self._most_sum = 0.0

    def waited(self, asked: float, until: float, limit: float) -> None:
        """Add the wait of a request for one of `limit` connections, all of which were in use.

        Adding a request twice counts it once.
        """
        ends = self._ends
        if not isfinite(limit) or (ends and until <= ends[-1]):
            return
        queued = self._queued.copy()
        for place in range(bisect_left(DEMAND_BOUNDS, limit), len(DEMAND_BOUNDS)):
            before = int(DEMAND_BOUNDS[place] - limit)  # waits that are to end before this one
            if before > len(ends) or (end := ends[-before] if before else until) <= asked:
                break
            begin = max(asked, ends[-before - 1]) if before < len(ends) else asked
            queued[place] += end - begin
        # A signal handler may raise after any call: the only one of these is the last.
        self._queued = queued
        self._connection_seconds += until - asked
        ends.append(until)

    def histogram(self) -> Histogram:
        """Whole seconds by level; its total is in connections times seconds.

        No count falls: a wait moves the time that it took to a higher level only when it has ended.
        """
        at_most = list(accumulate(self.levels))
        known = [
            at_most[int(bound)] - queued
            for bound, queued in zip(DEMAND_BOUNDS, self._queued, strict=True)
        ]
        total = sum(level * seconds for level, seconds in enumerate(self.levels))
        # A wait may be longer than the pool was full, as where a thread gets no CPU time: then the
        # time at a bound is at least that at the one below it.
        self._most = list(accumulate(map(max, self._most, [*known, at_most[-1]]), max))
        self._most_sum = max(self._most_sum, total + self._connection_seconds)
        whole = [0, *map(int, self._most)]
        counts = tuple(after - before for before, after in pairwise(whole))
        return Histogram(counts, self._most_sum)
