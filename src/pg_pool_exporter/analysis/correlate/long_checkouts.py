"""The readings of one application on one server for the estimate by Little's law."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from math import inf

from pg_pool_exporter.analysis.correlate.pools import KnownPool
from pg_pool_exporter.analysis.correlate.sessions import SILENT, AppSessions, has_worked
from pg_pool_exporter.analysis.evidence import little
from pg_pool_exporter.analysis.evidence.little import Unended, Work, WorkReading
from pg_pool_exporter.analysis.evidence.readings import Readings
from pg_pool_exporter.model import OpenTransaction, PoolId

# Fewer polls of the server do not show what works.
_MIN_POLLS = 3


class WorkReadings:
    """The work of an application's sessions, in bounded memory.

    Times are seconds on the exporter's clock.
    """

    def __init__(self) -> None:
        self._readings = Readings(WorkReading)

    def add(
        self,
        begun: float,
        ended: float,
        sessions: AppSessions,
        *,
        leak_after: float,
        max_gap: float,
    ) -> None:
        """Take in a poll of the server (see `Readings.add`)."""
        self._readings.add(
            begun,
            ended,
            WorkReading(
                1,
                sessions.at_work(silent_for=leak_after),
                sessions.working(longer_than=little.LONG_WORK, silent_for=leak_after),
                ended,
                begun,
            ),
            keep=little.WINDOWS[-1] * leak_after,
            max_gap=max_gap,
        )

    def unexplained(
        self, now: float, pools: Collection[KnownPool], sessions: AppSessions, leak_after: float
    ) -> Mapping[PoolId, float]:
        """Estimated leaked connections, up to the server's poll at `now`.

        Without the pools of which nothing is known: their pages show no times, or not for long
        enough.
        """
        found: dict[PoolId, float] = {}
        in_use = set()
        for pool in pools:
            last = pool.holds.last(now - leak_after)
            if last is None:
                continue
            if last.active_min < 1:
                found[pool.sample.key] = 0
            else:
                in_use.add(pool.sample.key)
        if not in_use:
            return found
        # Each window gives a lower bound of the estimate: the largest counts.
        for length in little.WINDOWS:
            window = length * leak_after
            work = self._work(now - window, now, sessions, leak_after)
            if work is None:
                continue
            # As many sessions must have done nothing: each connection has one.
            silent = sessions.count(*SILENT, longer_than=window)
            for key, count in _within(now - window, now, pools, in_use, work):
                found[key] = max(found.get(key, 0), min(count, silent))
        return found

    def _work(
        self, start: float, end: float, sessions: AppSessions, leak_after: float
    ) -> Work | None:
        """The sessions' work in a window, with their states at its `end`; None: unknown."""
        seen = self._readings.within(start, end)
        if seen is None or not seen.whole or seen.number < _MIN_POLLS:
            return None
        unended = sessions.unended(longer_than=little.LONG_WORK)
        return little.work_of(
            seen.reading,
            [_unended(state, one, start, end, leak_after) for state, one in unended],
        )


def _unended(
    state: str, one: OpenTransaction, start: float, end: float, leak_after: float
) -> Unended:
    is_running = state not in SILENT
    silent_since = inf if is_running else end - one.state_age
    return Unended(
        began=end - one.age,
        worked_until=silent_since + leak_after,
        for_long=is_running or has_worked(one, little.LONG_WORK),
        is_silent=silent_since <= start,
    )


def _within(
    start: float, end: float, pools: Iterable[KnownPool], in_use: Container[PoolId], work: Work
) -> Iterator[tuple[PoolId, int]]:
    """The estimates of a window, of the pools `in_use`."""
    held = {
        pool.sample.key: (one.reading, pool)
        for pool in pools
        if (one := pool.holds.within(start, end)) is not None
        and one.whole
        and one.reading.number >= little.MIN_READINGS
    }
    unfinished = little.unfinished_work(work, (window for window, _ in held.values()))
    for key, (window, pool) in held.items():
        if key in in_use:
            number = min(little.PARTS, window.number // little.READINGS_OF_PART)
            parts = pool.holds.groups(start, end, number)
            yield key, little.unexplained(window, parts, unfinished, work.in_use_since)
