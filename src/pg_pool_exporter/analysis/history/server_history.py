"""One server in the last minutes: its deadlocks, its absences, and who waited for locks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from math import inf

from pg_pool_exporter.analysis.history.minutes import MINUTE
from pg_pool_exporter.analysis.history.waits import REMEMBERED_MINUTES, Waits
from pg_pool_exporter.model import ServerSample

_DEADLOCK_MINUTES = 15


class ServerHistory:
    """One server: its counters of deadlocks, and which applications waited for locks."""

    def __init__(self) -> None:
        self._deadlocks: deque[tuple[float, dict[str, float]]] = deque(maxlen=_DEADLOCK_MINUTES + 2)
        self._lock_waits = Waits(REMEMBERED_MINUTES)
        self._waiting: set[str] = set()  # at the last reading
        self._last: float | None = None
        self._back = -inf  # since when it answers again

    def add(self, now: float, sample: ServerSample, max_gap: float) -> None:
        """Take in a reading. After a break of more than `max_gap` seconds it counts as having been
        unreachable."""
        if self._last is not None and now - self._last > max_gap:
            self._back = now
        self._last = now
        kept = self._deadlocks
        if len(kept) > 1 and now - kept[-2][0] < MINUTE:
            kept.pop()  # the latest takes its place until a minute is over
        counts = {
            name: float(one.deadlocks)
            for name, one in sample.databases.items()
            if one.deadlocks is not None
        }
        kept.append((now, counts))
        while now - kept[0][0] > (_DEADLOCK_MINUTES + 1) * MINUTE:
            kept.popleft()
        self._lock_waits.add(now // MINUTE, self._waits(sample))
        self._waiting = {key.application for key, group in sample.groups.items() if group.waiting}

    def _waits(self, sample: ServerSample) -> Iterator[tuple[str, float]]:
        for key, group in sample.groups.items():
            if not group.waiting:
                continue
            age = group.oldest_waiting
            if age is None:
                # Long when a session waited at the last reading, too; else for a moment.
                age = inf if key.application in self._waiting else 0.0
            yield key.application, age

    def deadlocks(self) -> dict[str, float]:
        """Deadlocks in the last 15 minutes, by database; only where there were any."""
        if not self._deadlocks:
            return {}
        (_, first), (_, last) = self._deadlocks[0], self._deadlocks[-1]
        new = {name: count - first.get(name, count) for name, count in last.items()}
        return {name: count for name, count in new.items() if count > 0}

    def was_away(self) -> bool:
        """Whether a server that answers now did not in the last minutes."""
        return self._last is not None and self._last - self._back < REMEMBERED_MINUTES * MINUTE

    def longest_lock_wait(self, names: Iterable[str]) -> float:
        """Seconds of the longest wait for a lock in the last minutes, of the sessions with one of
        these `application_name`; infinite where only that it lasted is known.
        """
        return self._lock_waits.longest(names)
