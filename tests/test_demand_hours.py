"""The demand by the hour, over a day with breaks in it."""

from __future__ import annotations

from pg_pool_exporter.analysis.demand import DemandHour, DemandLog
from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS

_HOUR = 3600.0
_BUCKETS = len(DEMAND_BOUNDS) + 1


def measured(until: float, seconds: float, level: int) -> DemandHour:
    """So many seconds at one demand, of at most 6."""
    levels = [0.0] * _BUCKETS
    levels[level - 1] = seconds
    return DemandHour(
        begun=until - seconds, seconds=seconds, levels=levels, demand_seconds=seconds * level
    )


def test_a_break_of_more_than_a_day_begins_anew() -> None:
    log = DemandLog(0.0)
    log.add(30.0, measured(30.0, 30.0, 5))
    log.add(60 * _HOUR, measured(60 * _HOUR, 30.0, 1))
    assert log.day(60 * _HOUR).highest == 1.0
