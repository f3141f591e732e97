"""Leaked connections, estimated by Little's law.

Where a page shows for how long the returned connections were checked out, two figures describe the
same thing: the mean of `active` at the readings of a window, and the time held by the checkouts
that ended in it, divided by the window. A connection that is never returned adds 1 to the first and
0 to the second, in whatever order the pool reuses its connections.

The mean of some readings has an error. If requests come independently of each other, the number of
their connections that are checked out is distributed by Poisson, however long they last. So
the estimate is the least number of leaked connections that makes the rest of the readings' sum no
surprise (Chernoff's bound of Poisson's tail).

Connections that are neither leaked nor returned yet are subtracted if their session works:

- A transaction or a statement that goes on at the end of the window, from its begin on. If its last
  statement is as old as the window, it has not worked in any of it.
- A statement or a transaction of a second or more that has ended since.
- All work beyond what the ended checkouts explain, such as a batch of short transactions in one
  checkout.

Assumptions:

- The polls are not synchronous with the requests. So their times vary randomly (`polling.poller`).
- Requests come independently of each other. Those that come in bursts do not, but their checkouts
  end within the leak threshold. So each part of the window must show the leaked connections too,
  the first one lies before the threshold, and each reading shows at least as many.
- A checkout that lasts longer than the leak threshold works. One that is silent for longer is a
  leak.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from math import inf, log
from typing import NamedTuple

WINDOWS = (1.25, 2, 4)
"""Lengths of the windows, in leak thresholds: more than one, so that they see what was before it.
The longer ones find a leak in a busier pool."""
MIN_READINGS = 8
"""Readings of a pool in a window."""
PARTS = 5
"""Parts of a window, of about equal length; fewer where the polls are seldom."""
READINGS_OF_PART = 2
"""One reading alone shows nothing."""
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
    since: float
    """When the first poll had ended."""
    until: float
    """When the last one began."""

    def union(self, later: WorkReading) -> WorkReading:
        """Both; `later` follows this one."""
        return WorkReading(
            self.number + later.number,
            self.at_work + later.at_work,
            self.for_long + later.for_long,
            self.since,
            later.until,
        )


class Unended(NamedTuple):
    """A transaction, or a statement, that has not ended at the end of a window."""

    began: float
    worked_until: float
    """Until when polls have counted it as work; infinite where they still do."""
    for_long: bool
    """Whether they have counted it among those that work for long."""
    is_silent: bool
    """Whether it has been silent since before the window."""


class Work(NamedTuple):
    """The work of an application's sessions in a window."""

    at_work: float
    """Mean number of sessions at work, without those whose transaction has not ended."""
    for_long: float
    """Of these, the ones that worked for long."""
    in_use_since: tuple[float, ...]
    """When each transaction began that goes on: its connection has been in use since."""


def hold_reading(
    begun: float, ended: float, active: float, held: float, returned: float, waited: float
) -> HoldReading:
    """One reading that took from `begun` to `ended`.

    `held` and `returned` are the page's totals of checkouts that ended, `waited` that of the time
    that requests waited: some libraries check a connection before its checkout is timed.
    """
    total = held + waited + _ROUNDED * returned
    return HoldReading(1, active, active, ended, begun, total, total)


def work_of(polls: WorkReading, unended: Iterable[Unended]) -> Work:
    """What the sessions did in the window of the `polls`, at whose end some have `unended` work.

    Work that was silent in the whole window does not count, although polls counted it at first.
    """
    at_work, for_long = float(polls.at_work), float(polls.for_long)
    in_use_since = []
    for one in unended:
        counted = _between(polls, one.began, one.worked_until)
        at_work -= counted
        for_long -= counted * one.for_long
        if not one.is_silent:
            in_use_since.append(one.began)
    return Work(at_work / polls.number, for_long / polls.number, tuple(in_use_since))


def unfinished_work(work: Work, pools: Iterable[HoldReading]) -> float:
    """Mean number of sessions that work for a checkout that has not ended, beside those whose begin
    is known.

    `pools` are all that may have the sessions.
    """
    beyond = work.at_work - sum(pool.turnover for pool in pools)
    return max(work.for_long, beyond, 0.0)


def unexplained(
    window: HoldReading, parts: Iterable[HoldReading], work: float, in_use_since: Sequence[float]
) -> int:
    """Connections of a pool that neither ended checkouts nor `work` in progress explain, nor those
    that are known to be `in_use_since` some time.
    """
    least = max(window.turnover + work, _LEAST_MEAN)
    tests = [_Test(window, least, in_use_since, _SURPRISE)]
    for one in parts:
        mean = max(least, one.turnover + work)
        tests.append(_Test(one, mean, in_use_since, _SURPRISE_OF_PART))
    count = 0
    while count < int(window.active_min) and all(one.is_surprising(count) for one in tests):
        count += 1
    return count


class _Test:
    """Whether the sum of some readings is a surprise where `mean` is that of one."""

    def __init__(
        self, readings: HoldReading, mean: float, in_use_since: Iterable[float], least: float
    ) -> None:
        self._readings = readings
        self._expected = readings.number * mean
        self._in_use_since = in_use_since
        self._least = least

    def is_surprising(self, leaked: int) -> bool:
        """Also if this many connections were in use at each reading because they are leaked."""
        rest = self._readings.active_sum - leaked * self._readings.number
        return self._is_surprise(rest) and self._is_surprise(rest - self._known)

    @cached_property
    def _known(self) -> float:
        """Upper bound of the connections, added up, that are known to be in use."""
        return sum(_between(self._readings, since, inf) for since in self._in_use_since)

    def _is_surprise(self, total: float) -> bool:
        return _surprise(total, self._expected) > self._least


def _between(readings: HoldReading | WorkReading, start: float, end: float) -> float:
    """Upper bound of the readings between two times, if they are evenly spaced."""
    seconds = readings.until - readings.since
    overlap = min(end, readings.until) - max(start, readings.since)
    if seconds <= 0:
        return readings.number if start <= readings.since and readings.until <= end else 0
    if overlap < 0:
        return 0
    return min(readings.number, overlap / seconds * (readings.number - 1) + 1)


def _surprise(total: float, expected: float) -> float:
    """How unlikely it is that a sum of readings is so high where `expected` is its mean: minus the
    logarithm of an upper bound of the probability.
    """
    return total * log(total / expected) - total + expected if total > expected else 0.0
