"""A bound for the lines of one kind of event, so that a flood of them fills no disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

_REPORT_SECONDS = 60.0


class LogLimit:
    """Allows `burst` lines at once, and another one every `seconds_per_line`.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self, burst: int, seconds_per_line: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._seconds_per_line = seconds_per_line
        self._clock = clock
        self._lines = float(burst)
        self._counted = clock()
        self._left_out = 0
        self._reported = -inf

    def allows(self) -> bool:
        """Whether one more line may be written; one that may not is counted."""
        now = self._clock()
        gained = (now - self._counted) / self._seconds_per_line
        self._lines, self._counted = min(self._burst, self._lines + gained), now
        if self._lines < 1:
            self._left_out += 1
            return False
        self._lines -= 1
        return True

    def left_out(self) -> int:
        """The lines left out since this was last reported, at most once a minute; else 0."""
        now = self._clock()
        if not self._left_out or now - self._reported < _REPORT_SECONDS:
            return 0
        count, self._left_out, self._reported = self._left_out, 0, now
        return count
