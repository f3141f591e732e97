"""Overdue checkouts that no work explains, also while that of another checkout might."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pg_pool_exporter.analysis.correlate.sessions import SILENT
from pg_pool_exporter.analysis.evidence.lasting import LastingBound
from pg_pool_exporter.analysis.findings.finding import Subject
from pg_pool_exporter.analysis.records.pool_view import PoolView


class LastingLeaks:
    """Remembers the pools with overdue checkouts."""

    def __init__(self) -> None:
        self._unexplained: dict[Subject, LastingBound] = {}

    def of(self, now: float, pools: Iterable[PoolView]) -> Iterator[PoolView]:
        """All pools at `now`, with their leaks."""
        known, self._unexplained = self._unexplained, {}
        for pool in pools:
            leak = pool.leak
            if not leak.overdue:
                yield pool
                continue
            bound = known.get(pool.subject) or LastingBound()
            self._unexplained[pool.subject] = bound
            lasting = bound.add(
                now, leak.unexplained, most=_silent(pool), leak_after=pool.leak_after
            )
            yield replace(
                pool, leak=replace(leak, unexplained=lasting, unexplained_ago=bound.ago(now))
            )


def _silent(pool: PoolView) -> float:
    """Overdue checkouts whose sessions may do nothing; 0 where that is unknown."""
    app = pool.app_on_server
    if app is None or app.sessions is None or app.sessions.hidden:
        return 0.0
    silent = app.sessions.count(*SILENT, longer_than=pool.leak_after)
    return min(pool.leak.overdue, silent + app.lost_sessions_now)
