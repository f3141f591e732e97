"""A pool of a fixed size on a virtual clock, measured as the client and the exporter do."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, pi, sin
from random import Random

from pg_pool_exporter.analysis.history.demand import DemandDay, DemandLog, ProcessDemand
from pg_pool_exporter.client.totals import Event, Totals
from pg_pool_exporter.model import PoolId, PoolSample

HOUR = 3600.0
_READ_SECONDS = 5.0

Draw = Callable[[Random], float]
Arrivals = Callable[[Random, float], Iterator[float]]
"""The times at which requests come, until a given one."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests, and how long each holds its connection."""

    name: str
    arrivals: Arrivals
    hold: Draw
    size: int
    """Of the pool that is measured."""
    hours: int = 1
    stall: tuple[float, float] = (0.0, 0.0)
    """The seconds from and until which nothing that is checked out comes back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pool's requests met with."""

    day: DemandDay
    saturated: float
    """Share of the time, in the busiest hour, without a free connection."""
    waited: float
    """Share of the requests."""
    late: float
    """Share of the requests that waited for longer than `wait`."""


def run(work: Workload, size: int, seed: int, wait: float = 0.1) -> Outcome:
    """The workload with a pool of this size."""
    totals, process, log = Totals(), ProcessDemand(), DemandLog(0.0)
    until = work.hours * HOUR
    events = _Steps(work, size, Random(seed), until, wait)
    now = 0.0
    while now < until:
        now += _READ_SECONDS
        batch = events.until(now)
        # As in the client, where a batch is small.
        for first in range(0, len(batch), 128):
            totals.add(batch[first : first + 128], size)
        totals.settle(set(events.out), size, now)
        taken = process.take(now, _sample(totals, events.waited, size, now), 3 * _READ_SECONDS)
        if taken is not None:
            log.add(now, taken)
    day = log.day(now)
    return Outcome(
        day,
        day.busiest.saturated_seconds / day.busiest.seconds,
        events.waited / max(1, events.asked),
        events.late / max(1, events.asked),
    )


class _Steps:
    """The events of a queue that is served in its order."""

    def __init__(self, work: Workload, size: int, random: Random, until: float, wait: float):
        self.out: set[int] = set()
        self.asked = self.waited = self.late = 0
        self._wait = wait
        self._free = [0.0] * size
        self._arrivals = work.arrivals(random, until)
        self._hold, self._stall, self._random = work.hold, work.stall, random
        self._planned: list[Event] = []
        self._next = next(self._arrivals, inf)

    def until(self, now: float) -> list[Event]:
        """Those up to `now`, in their order."""
        while self._next <= now:
            asked, self._next = self._next, next(self._arrivals, inf)
            self.asked += 1
            free = heapq.heappop(self._free)
            start, held = max(asked, free), self._hold(self._random)
            if self._stall[0] <= start < self._stall[1]:
                held += self._stall[1] - start
            self.waited += free > asked
            self.late += start - asked > self._wait
            heapq.heappush(self._free, start + held)
            heapq.heappush(self._planned, (start, False, start - asked, self.asked))
            heapq.heappush(self._planned, (start + held, True, held, self.asked))
        events = []
        while self._planned and self._planned[0][0] <= now:
            event = heapq.heappop(self._planned)
            events.append(event)
            (self.out.discard if event[1] else self.out.add)(event[3])
        return events


def _sample(totals: Totals, queued: int, size: int, now: float) -> PoolSample:
    acquire, hold = totals.acquire.histogram(), totals.hold.histogram()
    active = totals.hold.total
    return PoolSample(
        key=PoolId("orders", "main", "web:0"),
        max=size,
        active_seconds=active,
        saturated_seconds=totals.saturated_seconds(now),
        acquired=acquire.count,
        queued=queued,
        acquire_wait=acquire.total,
        held=hold.total,
        returned=hold.count,
        hold=hold,
        demand=totals.demand.histogram(),
    )


def poisson(rate: float) -> Arrivals:
    """Requests at random, at this rate a second."""

    def arrivals(random: Random, until: float) -> Iterator[float]:
        now = random.expovariate(rate)
        while now < until:
            yield now
            now += random.expovariate(rate)

    return arrivals


def bursts(rate: float, mean: float) -> Arrivals:
    """Bursts of requests at once, with a random number of them."""

    def arrivals(random: Random, until: float) -> Iterator[float]:
        for now in poisson(rate / mean)(random, until):
            count = 1
            while random.random() > 1 / mean:
                count += 1
            yield from [now] * count

    return arrivals


def daily(rate: float, quiet: float) -> Arrivals:
    """Between a quiet rate and a high one, once a day."""

    def arrivals(random: Random, until: float) -> Iterator[float]:
        for now in poisson(rate)(random, until):
            share = 0.5 - 0.5 * sin(2 * pi * now / (24 * HOUR) + pi / 2)
            if random.random() < (quiet + (rate - quiet) * share) / rate:
                yield now

    return arrivals


def about(mean: float) -> Draw:
    """Exponential holds."""
    return lambda random: random.expovariate(1 / mean)


def heavy(mean: float) -> Draw:
    """Holds of which a few are very long: lognormal, with a deviation of 3.4 means."""
    sigma = 1.6
    return lambda random: mean * random.lognormvariate(-sigma * sigma / 2, sigma)


WORKLOADS = (
    Workload("Poisson, roomy", poisson(10), about(0.4), 12),
    Workload("Poisson, tight", poisson(10), about(0.4), 6),
    Workload("bursts, roomy", bursts(10, 4), about(0.3), 25),
    Workload("bursts, tight", bursts(10, 4), about(0.3), 6),
    Workload("daily pattern, roomy", daily(2, 0.2), about(2.5), 15, hours=24),
    Workload("daily pattern, tight", daily(2, 0.2), about(2.5), 7, hours=24),
    Workload("long holds, roomy", poisson(2), about(3.0), 18),
    Workload("long holds, tight", poisson(2), about(3.0), 8),
    Workload("heavy-tailed holds, roomy", poisson(10), heavy(0.5), 15),
    Workload("heavy-tailed holds, tight", poisson(10), heavy(0.5), 7),
)
