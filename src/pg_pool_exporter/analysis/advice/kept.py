"""Keeps the sizes of pools: they cost more than the rest of an analysis, and change slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pg_pool_exporter.analysis.advice.sizes import Sizes, sizes
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.findings.finding import Subject
from pg_pool_exporter.analysis.history.demand import DemandHour

_PERIOD = 30
_MAX_POOLS = 5000


class _Kept(NamedTuple):
    until: float
    hour: DemandHour
    wait: float
    sizes: Sizes


class KeptSizes:
    """`sizes` by pool, computed again after half a minute to a minute, if its hour has changed.

    A fault costs the advice of one pool.
    """

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._kept: dict[Subject, _Kept] = {}

    def __call__(self, pool: Subject, hour: DemandHour, wait: float) -> Sizes | None:
        """What the pool needs for this hour; None where that is unknown."""
        now, kept = self._clock(), self._kept.get(pool)
        if kept is not None and kept.wait == wait and (kept.hour is hour or now < kept.until):
            return kept.sizes
        found = None
        with self._faults.contained("advice"):
            found = sizes(hour, wait)
        if found is None:
            self._kept.pop(pool, None)
            return None
        if len(self._kept) >= _MAX_POOLS:
            self._kept.clear()
        # Each pool has its own time, so that no analysis has to compute them all.
        until = now + _PERIOD + hash(pool) % _PERIOD
        self._kept[pool] = _Kept(until, hour, wait, found)
        return found
