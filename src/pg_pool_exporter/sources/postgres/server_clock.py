"""Ages of sessions on a server whose clock is set."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import inf

from pg_pool_exporter.model import ClockAhead

_MOST_SETTINGS = 8
"""How many times that a clock was set are remembered: older sessions are rare."""


@dataclass(frozen=True, slots=True)
class _Period:
    """Between two times that the clock was set."""

    begin: float
    """Lower bound of what the clock showed then, in seconds since the epoch."""
    end: float
    """Upper bound, likewise."""
    set_by: float
    """Seconds by which the clock was set at its beginning; negative: back."""


class ServerClock:
    """Takes the time that a clock was set by out of the ages that a server reports.

    PostgreSQL subtracts times of the wall clock: one that is set an hour ahead makes each session
    an hour older, one that is set back makes ages negative.
    """

    def __init__(self) -> None:
        self._ahead: ClockAhead | None = None
        self._now = 0.0
        self._periods: deque[_Period] = deque(maxlen=_MOST_SETTINGS)
        """The former ones and the present one; empty until the clock is set."""

    def follow(self, clock: float, begun: float, ended: float) -> float | None:
        """Take in what the clock showed between `begun` and `ended` (monotonic, in seconds).

        Returns by how many seconds it was set since the last time; None where it was not.
        """
        ahead, before, last = ClockAhead.of(clock, begun, ended), self._ahead, self._now
        self._ahead, self._now = ahead, clock
        if before is None or not ahead.was_set_since(before):
            return None
        set_by = ahead.middle - before.middle
        error = ahead.width + before.width
        former = self._periods.pop() if self._periods else _Period(-inf, inf, 0.0)
        # When in between the clock was set is unknown.
        self._periods.append(replace(former, end=clock - set_by + error))
        self._periods.append(_Period(last + set_by - error, inf, set_by))
        return set_by

    def age(self, seconds: float | None) -> float:
        """The age that the server reports, without the time by which its clock was set meanwhile.

        A lower bound: times before and after the clock was set can look alike. Never negative.
        """
        reported = seconds or 0.0
        if not self._periods:
            return max(0.0, reported)
        since, set_by, ages = self._now - reported, 0.0, []
        for period in reversed(self._periods):
            if period.begin <= since <= period.end:
                ages.append(reported - set_by)
            set_by += period.set_by
        return max(0.0, min(ages, default=0.0))
