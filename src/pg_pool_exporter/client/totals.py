"""Adding up a pool's events. No clock and no lock: whoever owns a `Totals` guards it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS, OTHER
from pg_pool_exporter.model import Histogram

# Lines of code that may have a name of their own; the rest is counted as `other`.
MOST_SITES = 30


# When; whether it is a return; the seconds that were waited for it, or that it was held; and which
# checkout, as a number that no two of those that are open share. So of two at the same time the
# checkout comes first. A plain tuple: a named one takes longer to make than the rest of recording.
Event = tuple[float, bool, float, int]


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
        self._out: set[int] = set()  # the checkouts that are neither returned nor dropped
        self._saturated = 0.0
        self._saturated_since: float | None = None
        self._saturated_until = 0.0
        self._most_active_seconds = 0.0
        self._most_saturated_seconds = 0.0

    def add(self, events: list[Event], limit: float) -> None:
        """Add events of a pool that can have `limit` active connections.

        Takes each from the list as it is added: an exception that a signal handler raises here
        loses one event at most. Threads append theirs a moment after they took the time, so they
        are put in order first. One that comes too late for that is counted, but ends and begins
        no saturated time before what was counted already.
        """
        events.sort(reverse=True)
        out, acquire, hold = self._out, self.acquire, self.hold
        room = limit - self.leaked
        saturated = self._saturated_since is not None
        while events:
            time, returned, seconds, checkout = events.pop()
            if returned:
                hold.add(seconds)
                out.discard(checkout)
            else:
                acquire.add(seconds)
                out.add(checkout)
            if (len(out) >= room) is not saturated:
                self._turn(time)
                saturated = not saturated

    def settle(self, out: set[int], limit: float, now: float) -> None:
        """Say which checkouts are open `now`: an event may have been lost."""
        self._out = out
        saturated = self._saturated_since is not None
        if (len(out) + self.leaked >= limit) is not saturated:
            self._turn(now)

    def leak(self, checkout: int, since: float, site: str) -> None:
        """A connection that was checked out at `since` is gone; its slot stays active for ever."""
        self._out.discard(checkout)
        self.leaked += 1
        self._leaked_since += since
        known = site in self.leaked_slots or len(self.leaked_slots) < MOST_SITES
        self.leaked_slots[site if known else OTHER] += 1

    def drop(self, checkout: int, seconds: float) -> None:
        """A connection that was checked out for so long is gone, and has cost no slot."""
        self._out.discard(checkout)
        self._dropped += seconds

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

    def _turn(self, time: float) -> None:
        """The last free connection is taken, or the first is free again."""
        # Comparisons, as `max` costs more than all the rest, and a full pool turns at each event.
        since, until = self._saturated_since, self._saturated_until
        if since is None:
            self._saturated_since = max(until, time)
        else:
            if time > since:
                self._saturated += time - since
                self._saturated_until = time
            self._saturated_since = None
