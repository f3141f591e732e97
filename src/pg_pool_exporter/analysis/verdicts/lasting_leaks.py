"""Overdue checkouts that no work explains, also while that of another checkout might."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pg_pool_exporter.analysis.evidence.lasting import LastingBound
from pg_pool_exporter.analysis.finding import Subject
from pg_pool_exporter.analysis.pool_view import PoolView


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
                now, leak.unexplained, most=leak.overdue, leak_after=pool.leak_after
            )
            yield replace(pool, leak=replace(leak, unexplained=lasting))
