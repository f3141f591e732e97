"""A clock that counts only the time in which the process could run."""

from __future__ import annotations

from collections.abc import Callable

MOST_SECONDS = 10.0
"""Between two ticks no more is counted: the rest was a suspended or stopped process."""


class AwakeClock:
    """Seconds on `clock`, which never goes back, from one `tick` to the next.

    Neither a wall clock that is set nor a process that was stopped (SIGSTOP, a container's freezer,
    a suspended machine) makes it jump. It stands still where nobody ticks.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ticked = clock()
        self._seconds = 0.0

    def tick(self) -> None:
        """Count the time since the last tick."""
        now = self._clock()
        self._seconds += min(now - self._ticked, MOST_SECONDS)
        self._ticked = now

    @property
    def now(self) -> float:
        """The seconds until the last tick."""
        return self._seconds
