"""The demand by the hour: what readings show, and a day with breaks in it."""

from __future__ import annotations

from typing import Any

import pytest

from pg_pool_exporter.analysis.advice.sizes import sizes
from pg_pool_exporter.analysis.history.demand import DemandHour, DemandLog, ProcessDemand
from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS
from pg_pool_exporter.model import Histogram, PoolId, PoolSample
from support.recorded_pages import read, recorded

_HOUR = 3600.0
_MAX_GAP = 15.0
_BUCKETS = len(DEMAND_BOUNDS) + 1


def measured(until: float, seconds: float, level: int) -> DemandHour:
    """Seconds at one demand, of at most 6."""
    levels = [0.0] * _BUCKETS
    levels[level - 1] = seconds
    return DemandHour(
        begun=until - seconds, seconds=seconds, levels=levels, demand_seconds=seconds * level
    )


def reading(**fields: Any) -> PoolSample:
    return PoolSample(key=PoolId("orders", "main", "web:0"), **fields)


def counted(seconds: int) -> Histogram:
    """So many seconds since the process began, at a demand of 1."""
    return Histogram((seconds, *[0] * (_BUCKETS - 1)), float(seconds))


def an_hour_of(**fields: Any) -> DemandHour:
    """From readings that are all the same."""
    process, log = ProcessDemand(), DemandLog(0.0)
    for number in range(720):
        now = number * 5.0
        if taken := process.take(now, reading(**fields), _MAX_GAP):
            log.add(now, taken)
    return log.day(_HOUR).busiest


@pytest.mark.parametrize(
    ("size", "active", "waiting", "saturated", "advised"),
    [
        (10, 0, 0, 0.0, 1),
        (10, 9, 0, 0.0, 10),
        (20, 16, 0, 0.0, 20),
        (500, 250, 0, 0.0, 500),
        (10, 8, 2, 0.0, 10),
        (10, 10, 0, 1.0, 11),
    ],
)
def test_readings_show_the_demand_itself(
    size: int, active: int, waiting: int, saturated: float, advised: int
) -> None:
    found = an_hour_of(max=size, active=active, waiting=waiting)
    assert found.demand == pytest.approx(active + waiting)
    assert found.active_seconds == pytest.approx(active * found.seconds)
    assert found.saturated_seconds == pytest.approx(saturated * found.seconds)
    needed = sizes(found, wait=0.1)
    assert needed is not None
    assert needed.load == pytest.approx(active)
    assert needed.for_shares[-1] == advised


def test_a_break_of_more_than_a_day_begins_anew() -> None:
    log = DemandLog(0.0)
    log.add(30.0, measured(30.0, 30.0, 5))
    log.add(60 * _HOUR, measured(60 * _HOUR, 30.0, 1))
    found = log.day(60 * _HOUR)
    assert (found.highest, found.watched) == (1.0, 30.0)


@pytest.mark.parametrize(("pause", "watched"), [(540.0, 600.0), (660.0, 30.0), (24 * _HOUR, 30.0)])
def test_a_break_is_not_watched(pause: float, watched: float) -> None:
    log = DemandLog(0.0)
    log.add(30.0, measured(30.0, 30.0, 1))
    now = 60.0 + pause
    log.add(now, measured(now, 30.0, 1))
    assert log.day(now).watched == watched


def test_a_short_hour_does_not_replace_a_busy_one() -> None:
    log = DemandLog(0.0)
    for number in range(120):
        log.add((number + 1) * 30.0, measured((number + 1) * 30.0, 30.0, 3))
    # Half a minute at a higher demand, and an hour of little after it.
    log.add(_HOUR, measured(_HOUR, 30.0, 6))
    for number in range(125):
        now = 2 * _HOUR + (number + 1) * 30.0
        log.add(now, measured(now, 30.0, 1))
    found = log.day(4 * _HOUR)
    assert found.busiest.demand == pytest.approx(3)
    assert found.highest == 6.0


@pytest.mark.parametrize(("pause", "known"), [(0.9 * _HOUR, True), (10 * _HOUR, False)])
def test_an_hour_holds_no_more_than_an_hour(pause: float, known: bool) -> None:
    process = ProcessDemand()
    process.take(0.0, reading(demand=counted(0)), _MAX_GAP)
    taken = process.take(pause, reading(demand=counted(int(pause))), _MAX_GAP)
    assert (taken is not None) is known
    # What comes after it counts again.
    later = process.take(pause + 30, reading(demand=counted(int(pause) + 30)), _MAX_GAP)
    assert later is not None
    assert later.seconds == 30.0


def test_an_unreachable_target_has_no_demand_of_before() -> None:
    process, log = ProcessDemand(), DemandLog(0.0)
    for now in (0.0, 30.0, 26 * _HOUR, 26 * _HOUR + 30.0):
        if taken := process.take(now, reading(demand=counted(int(now))), _MAX_GAP):
            log.add(now, taken)
    found = log.day(26 * _HOUR + 30.0)
    assert (found.busiest.seconds, found.watched) == (30.0, 30.0)


@pytest.mark.parametrize("page", ["hikaricp", "pgxpool", "npgsql", "npgsql-10", "go-sql"])
def test_another_library_s_page_gives_an_estimate(page: str) -> None:
    (sample,) = read(recorded(page))
    process, log = ProcessDemand(), DemandLog(0.0)
    for number in range(720):
        if taken := process.take(number * 5.0, sample, _MAX_GAP):
            log.add(number * 5.0, taken)
    day = log.day(_HOUR)
    assert day.busiest.estimated
    needed = sizes(day.busiest, wait=0.1)
    assert needed is not None
    assert needed.for_shares[-1] > (sample.active or 0.0)


def test_time_that_requests_waited_is_demand_where_nobody_counts_those_who_wait() -> None:
    process = ProcessDemand()
    assert process.take(0.0, reading(active=5, max=5, acquire_wait=100.0), 60.0) is None
    taken = process.take(60.0, reading(active=5, max=5, acquire_wait=160.0), 60.0)
    assert taken is not None
    assert (taken.active_seconds, taken.demand_seconds) == (300.0, 360.0)
