"""How long applications waited in the last minutes: for locks, or at a bouncer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from pg_pool_exporter.model import BouncerSample

# Rates are over a few minutes: a burst of seconds must not count, a change must soon.
RATE_MINUTES = 5
# They reach back to a reading that is up to a minute, and a poll, older. Explanations are
# remembered for at least as long.
REMEMBERED_MINUTES = RATE_MINUTES + 2


class Waits:
    """The longest wait of each application in each of the last `minutes`, and the present one."""

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self._by_minute: deque[tuple[float, dict[str, float]]] = deque(maxlen=minutes + 1)

    def add(self, minute: float, waits: Iterable[tuple[str, float]]) -> None:
        """Take in those of a reading, in seconds, in the minute with that number."""
        while self._by_minute and minute - self._by_minute[0][0] > self._minutes:
            self._by_minute.popleft()
        if not self._by_minute or self._by_minute[-1][0] != minute:
            self._by_minute.append((minute, {}))
        longest = self._by_minute[-1][1]
        for name, seconds in waits:
            longest[name] = max(longest.get(name, 0.0), seconds)

    def longest(self, names: Iterable[str]) -> float:
        """Of the applications with these names."""
        waits = (by_name.get(name, 0.0) for name in names for _, by_name in self._by_minute)
        return max(waits, default=0.0)


def client_waits(bouncer: BouncerSample) -> Iterator[tuple[str, float]]:
    """The longest wait for a connection now of each application's clients, by where they are."""
    for pool in bouncer.pools.values():
        for origin, group in pool.origins.items():
            if group.oldest_waiting is not None:
                yield origin.application, group.oldest_waiting
