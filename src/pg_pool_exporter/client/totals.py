"""Sums of a pool's events. No clock and no lock: the owner of a `Totals` guards it.

A signal handler may raise after any call of ours. So each event is counted by statements without a
call between them, and removed from its queue by the last of them: all of it is counted, or none,
and then the next reading counts it.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from math import isfinite
from typing import Any

from pg_pool_exporter.client.demand import TOP, Demand
from pg_pool_exporter.client.sites import Site, describe
from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS, OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import Histogram

# Lines of code that get a name of their own; the others are counted as `other`.
MAX_SITES = 30

# Time; whether it is a return; seconds waited, or held; key of the checkout, unique among the open
# ones, or `NO_CHECKOUT`. Sorted, a checkout comes before a return at the same time. A plain tuple:
# a named one takes longer to make than all the rest of recording.
Event = tuple[float, bool, float, int]
NO_CHECKOUT = -1
"""The key of a request that waited and got no connection."""


class Checkout(weakref.ref[object]):
    """Weak reference to a connection that is checked out, with the facts of its checkout.

    It lives until the return, or until the connection is collected and its callback has run.
    """

    __slots__ = ("ended", "holder", "long_lived", "lost", "since", "site")

    since: float
    site: Site
    holder: weakref.ref[Any] | None
    """What the application holds, where that is not the connection itself."""
    ended: float | None
    long_lived: bool
    lost: bool
    """Set only when the connection was dropped: whether that has cost its slot."""


class Observations:
    """A histogram that is being filled."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation; a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def histogram(self) -> Histogram:
        """The observations so far."""
        return Histogram(tuple(self.counts), self.total)


class SiteCounts:
    """Counts by line of code; those of lines beyond `MAX_SITES` are added up as `other`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._limiter = NameLimiter[str](MAX_SITES, counters=True)

    def name(self, site: Site, now: float) -> str:
        """The name under which a site is counted: its own, or `other`."""
        name = describe(site)
        if name in self.counts:
            return name
        sizes = {**self.counts, name: 1}
        sizes.pop(OTHER, None)
        return name if name in self._limiter.choose(sizes, now) else OTHER


class Totals:
    """Sums of one pool, from `begun` on."""

    def __init__(self, begun: float = 0.0) -> None:
        self.demand = Demand(begun)
        self.acquire = Observations(ACQUIRE_BOUNDS)
        self.hold = Observations(HOLD_BOUNDS)
        self.noted: Counter[str] = Counter()
        self.leaked = 0
        self.leaked_slots = SiteCounts()
        self.reclaimed = SiteCounts()
        self._leaked_since = 0.0  # sum of the checkout times of leaked connections
        self._dropped_seconds = 0.0  # held by dropped connections whose slot was not lost
        self._out: set[int] = set()  # keys of open checkouts
        self._saturated = 0.0
        self._saturated_since: float | None = None
        self._saturated_until = 0.0
        self._max_active_seconds = 0.0
        self._max_saturated_seconds = 0.0

    def add(self, events: list[Event], limit: float) -> None:
        """Add events of a pool that can have `limit` active connections; empties the list.

        Threads append an event a moment after they took its time, so events are sorted first. One
        that comes too late for that is counted, but changes no saturated time counted before.
        """
        events.sort(reverse=True)
        out, acquire, hold, demand = self._out, self.acquire, self.hold, self.demand
        levels, leaked, until = demand.levels, self.leaked, demand.until
        room = limit - leaked
        saturated = self._saturated_since is not None
        level = len(out) + leaked
        while events:
            time, returned, seconds, checkout = events[-1]
            passed = time - until
            if passed > 0:
                # Not `min`, which would cost more than the rest.
                levels[level if level < TOP else TOP] += passed  # noqa: FURB136
                demand.until = until = time
            if returned:
                observed = hold
                out.discard(checkout)
            else:
                if saturated or time - seconds < self._saturated_until:
                    demand.waited(time - seconds, time, limit)
                if checkout == NO_CHECKOUT:
                    del events[-1]
                    continue
                observed = acquire
                out.add(checkout)
            level = len(out)
            # `_turn`, without its call: a full pool turns at each event.
            if level >= room:
                if not saturated:
                    saturated = True
                    last = self._saturated_until
                    self._saturated_since = time if time > last else last  # noqa: FURB136
            elif (since := self._saturated_since) is not None:
                saturated = False
                if time > since:
                    self._saturated += time - since
                    self._saturated_until = time
                self._saturated_since = None
            level += leaked
            # The last call, which most waits need not: they are 0. `Observations.add` would be one
            # more.
            bounds = observed.bounds
            bucket = bisect_left(bounds, seconds) if seconds > bounds[0] else 0
            observed.counts[bucket] += 1
            observed.total += seconds
            del events[-1]

    def note(self, notes: deque[str], count: int) -> None:
        """Count the first `count` notes and remove them."""
        for _ in range(count):
            self.noted[notes[0]] += 1
            del notes[0]

    def drop(
        self, dropped: deque[weakref.ref[object]], count: int, limit: float, now: float
    ) -> None:
        """Count the first `count` dropped connections, and remove them.

        In a pool with a limit each is a leak: its slot stays active forever. `now` ends the
        others' checkouts.
        """
        for _ in range(count):
            checkout = dropped[0]
            assert isinstance(checkout, Checkout)
            if checkout.ended is None:
                self._out.discard(id(checkout))
                if isfinite(limit):
                    name = self.leaked_slots.name(checkout.site, now)
                    slots = self.leaked_slots.counts[name] + 1
                    checkout.ended = now
                    checkout.lost = True
                    self.leaked += 1
                    self._leaked_since += checkout.since
                    self.leaked_slots.counts[name] = slots
                else:
                    checkout.ended = now
                    checkout.lost = False
                    self._dropped_seconds += now - checkout.since
            del dropped[0]

    def reclaim(self, reclaimed: deque[Site], count: int, now: float) -> None:
        """Count the first `count` returns by the garbage collector, by site, and remove them."""
        for _ in range(count):
            self.reclaimed.counts[self.reclaimed.name(reclaimed[0], now)] += 1
            del reclaimed[0]

    def settle(self, out: set[int], limit: float, now: float) -> None:
        """Set which checkouts are open `now`."""
        demand, level = self.demand, len(self._out) + self.leaked
        if now > demand.until:
            demand.levels[min(level, TOP)] += now - demand.until
            demand.until = now
        self._out = out
        saturated = self._saturated_since is not None
        if (len(out) + self.leaked >= limit) is not saturated:
            self._turn(now)

    def active_seconds(self, open_since: Iterable[float], now: float) -> float:
        """Integral of active connections until `now`; `open_since` are the open checkouts' times.

        Ended checkouts add what they were held, open and leaked ones their age. It never falls: a
        return that is being recorded at this moment is in neither sum until the next reading.
        """
        running = sum(now - since for since in open_since)
        lost = self.leaked * now - self._leaked_since
        total = self.hold.total + self._dropped_seconds + running + lost
        self._max_active_seconds = max(self._max_active_seconds, total)
        return self._max_active_seconds

    def saturated_seconds(self, now: float) -> float:
        """Seconds until `now` during which every connection was checked out; never falls."""
        running = 0.0
        if self._saturated_since is not None:
            running = max(0.0, now - self._saturated_since)
        self._max_saturated_seconds = max(self._max_saturated_seconds, self._saturated + running)
        return self._max_saturated_seconds

    def _turn(self, time: float) -> None:
        """The last free connection is taken, or the first is free again."""
        since = self._saturated_since
        if since is None:
            self._saturated_since = max(self._saturated_until, time)
        else:
            if time > since:
                self._saturated += time - since
                self._saturated_until = time
            self._saturated_since = None
