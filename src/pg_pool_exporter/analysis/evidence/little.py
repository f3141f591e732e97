"""Connections that are checked out and not coming back, estimated by Little's law.

Where a page shows for how long the returned connections were checked out, two figures describe the
same thing: the mean of `active` at the readings of a window, and the time held by the checkouts
that ended in it, divided by the window. A connection that never comes back adds 1 to the first and
nothing to the second, in whatever order the pool hands out its connections.

The mean of some readings has an error. If requests come independently of each other, the number of
their connections that are checked out is distributed by Poisson, however long they last. So
leaked connections are estimated to be as many as it takes for the rest of the readings' sum to be
no surprise (Chernoff's bound of Poisson's tail).

What is neither leaked nor ended yet is subtracted, as far as its session works:

- A statement or a transaction of a second or more. A transaction whose last statement is as old as
  the window does not work.
- All work beyond what the ended checkouts explain, such as a batch of short transactions in one
  checkout.

Assumptions:

- The polls are not in step with the requests. So their times stray (`polling.poller`).
- Requests come independently of each other. Those that come in bursts are not, and end: so each
  part of the window must show the leaked connections too, and each reading at least as many.
- A checkout that lasts longer than the window works. One that is silent for longer is what is
  sought.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from typing import NamedTuple

WINDOWS = (1, 2, 4)
"""Lengths of the windows, in leak thresholds. The longer one finds a leak in a busier pool."""
MIN_READINGS = 8
"""Readings of a pool in a window."""
PARTS = 4
"""Equal parts of a window."""
LONG_WORK = 1.0
"""Seconds after which a statement or a transaction is not one of a short checkout."""

# Poisson's tail is below e**-20, twice in a billion windows; and below e**-5 in each part.
_SURPRISE = 20.0
_SURPRISE_OF_PART = 5.0
# Durations are rounded down to milliseconds by some libraries.
_ROUNDED = 0.001
# Mean of a pool that seems never to be used: nothing is measured more exactly.
_LEAST_MEAN = 0.01


class HoldReading(NamedTuple):
    """What one process's pool showed at a reading, or at several in a row."""

    number: int
    active_sum: float
    active_min: float
    since: float
    """When the first reading had ended."""
    until: float
    """When the last one began."""
    ended_first: float
    """Upper bound of the time held by checkouts that had ended by the first reading, in seconds."""
    ended_last: float
    """The same by the last one."""

    def union(self, later: HoldReading) -> HoldReading:
        """Both; `later` follows this one."""
        return HoldReading(
            self.number + later.number,
            self.active_sum + later.active_sum,
            min(self.active_min, later.active_min),
            self.since,
            later.until,
            self.ended_first,
            later.ended_last,
        )

    @property
    def turnover(self) -> float:
        """Upper bound of the connections in use on average by checkouts that ended."""
        seconds = self.until - self.since
        return (self.ended_last - self.ended_first) / seconds if seconds > 0 else self.active_sum


class WorkReading(NamedTuple):
    """Working sessions of an application at a poll of its server, or at several in a row."""

    number: int
    at_work: int
    """Sum over the polls of the sessions in a statement, or in a transaction that goes on."""
    for_long: int
    """Of these, the ones whose statement or transaction had lasted for `LONG_WORK`."""

    def union(self, later: WorkReading) -> WorkReading:
        """Both."""
        return WorkReading(
            self.number + later.number,
            self.at_work + later.at_work,
            self.for_long + later.for_long,
        )


def hold_reading(
    begun: float, ended: float, active: float, held: float, returned: float, waited: float
) -> HoldReading:
    """One reading that took from `begun` to `ended`.

    `held` and `returned` are the page's totals of checkouts that ended, `waited` that of the time
    that requests waited: some libraries check a connection before its checkout is timed.
    """
    total = held + waited + _ROUNDED * returned
    return HoldReading(1, active, active, ended, begun, total, total)


def unfinished_work(work: WorkReading, pools: Iterable[HoldReading]) -> float:
    """Mean number of sessions that work for a checkout that has not ended.

    `pools` are all that may have the sessions.
    """
    beyond = work.at_work / work.number - sum(pool.turnover for pool in pools)
    return max(work.for_long / work.number, beyond, 0.0)


def unexplained(window: HoldReading, parts: Iterable[HoldReading], work: float) -> int:
    """Connections of a pool that neither ended checkouts nor `work` in progress explain."""
    least = max(window.turnover + work, _LEAST_MEAN)
    tests = [(window, least, _SURPRISE)]
    tests += [(one, max(least, one.turnover + work), _SURPRISE_OF_PART) for one in parts]
    count = 0
    while count < int(window.active_min) and all(
        _surprise(one.active_sum - count * one.number, one.number * mean) > least_surprise
        for one, mean, least_surprise in tests
    ):
        count += 1
    return count


def _surprise(total: float, expected: float) -> float:
    """How unlikely it is that a sum of readings is so high where `expected` is its mean: minus the
    logarithm of an upper bound of the probability.
    """
    return total * log(total / expected) - total + expected if total > expected else 0.0
