"""Adding up a pool's events. No clock and no lock: whoever owns a `Totals` guards it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from pg_pool_exporter.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS, OTHER
from pg_pool_exporter.model import Histogram

# Lines of code that may have a name of their own; the rest is counted as `other`.
MOST_SITES = 30


# When; 1 for a checkout and -1 for a return; seconds that were waited for it, or that it was held.
# A plain tuple: a named one takes longer to make than the rest of recording an event.
Event = tuple[float, int, float]


class Observations:
    """A histogram that is being filled."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation; a bound belongs to the bucket below it."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def histogram(self) -> Histogram:
        """What has been observed so far."""
        return Histogram(tuple(self._counts), self.total)


class Totals:
    """What has been added up of one pool."""

    def __init__(self) -> None:
        self.acquire = Observations(ACQUIRE_BOUNDS)
        self.hold = Observations(HOLD_BOUNDS)
        self.noted: Counter[str] = Counter()
        self.leaked = 0
        self.leaked_slots: Counter[str] = Counter()
        self._leaked_since = 0.0  # sum of the times at which the leaked ones were checked out
        self._dropped = 0.0  # sum of the seconds for which the dropped ones were checked out
        self._active = 0
        self._saturated = 0.0
        self._saturated_since: float | None = None
        self._most_active_seconds = 0.0
        self._most_saturated_seconds = 0.0

    def add(self, events: Iterable[Event], limit: float) -> None:
        """Add a batch of events of a pool that can have `limit` active connections.

        Threads append their events a moment after they took the time, so a batch is put in order
        first; what is late from batch to batch is a matter of microseconds and counts as no time.
        """
        for time, step, seconds in sorted(events):
            (self.acquire if step > 0 else self.hold).add(seconds)
            self._active += step
            if self._active >= limit:
                if self._saturated_since is None:
                    self._saturated_since = time
            elif self._saturated_since is not None:
                self._saturated += max(0.0, time - self._saturated_since)
                self._saturated_since = None

    def leak(self, since: float, site: str) -> None:
        """A connection that was checked out at `since` is gone; its slot stays active for ever."""
        self.leaked += 1
        self._leaked_since += since
        known = site in self.leaked_slots or len(self.leaked_slots) < MOST_SITES
        self.leaked_slots[site if known else OTHER] += 1

    def drop(self, seconds: float) -> None:
        """A connection that was checked out for so long is gone, and has cost no slot."""
        self._dropped += seconds
        self._active -= 1

    def active_seconds(self, open_since: Iterable[float], now: float) -> float:
        """Integral of active connections until `now`, given when the open ones were checked out.

        Ended checkouts add what they were held, open and leaked ones their age. It never falls: a
        return that is being recorded at this moment is in neither sum until the next reading.
        """
        running = sum(now - since for since in open_since)
        lost = self.leaked * now - self._leaked_since
        total = self.hold.total + self._dropped + running + lost
        self._most_active_seconds = max(self._most_active_seconds, total)
        return self._most_active_seconds

    def saturated_seconds(self, now: float) -> float:
        """Time until `now` during which every connection was checked out; never falls."""
        running = 0.0
        if self._saturated_since is not None:
            running = max(0.0, now - self._saturated_since)
        self._most_saturated_seconds = max(self._most_saturated_seconds, self._saturated + running)
        return self._most_saturated_seconds
