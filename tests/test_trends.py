"""When a pool will be full: only where it fills."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pytest

from pg_pool_exporter.analysis.history.pool_history import PoolHistory
from pg_pool_exporter.exposition.findings import of_trends
from pg_pool_exporter.model import PoolId, PoolSample
from pg_pool_exporter.web.findings_json import findings_json
from support.both_sides import BothSides
from support.trend_cases import MAX, TREND_CASES, TrendCase

KEY = PoolId("orders", "main", "web:0")
EVERY = 15.0


def history(active: Sequence[float | None], counted: Sequence[int] = ()) -> PoolHistory:
    """Four readings a minute; `counted` are returns in each minute, where they are reported."""
    made = PoolHistory()
    for minute, value in enumerate(active):
        if value is not None:
            for quarter in range(4):
                returned = float(counted[minute]) if counted else None
                sample = PoolSample(key=KEY, active=value, max=MAX, returned=returned)
                made.add(60.0 * minute + EVERY * quarter, sample, 3 * EVERY)
    return made


def time_left(of: PoolHistory, minutes: float, most: float = MAX) -> float | None:
    """What is shown so many minutes after the start."""
    now = 60.0 * minutes
    return of.seconds_to(most, of.last_hour(now), now)


def seconds(active: Sequence[float | None], most: float = MAX) -> float | None:
    return time_left(history(active), len(active), most)


@pytest.mark.parametrize("case", TREND_CASES, ids=lambda case: case.name)
def test_the_time_to_saturation(case: TrendCase) -> None:
    found = seconds(case.active)
    assert found == (None if case.seconds is None else pytest.approx(case.seconds, rel=0.3))


@pytest.mark.parametrize(
    "case",
    [case for case in TREND_CASES if case.seconds is None and case.never],
    ids=lambda case: case.name,
)
def test_what_is_no_trend_is_none_at_any_minute(case: TrendCase) -> None:
    made = PoolHistory()
    shown = []
    for minute, value in enumerate(case.active):
        if value is not None:
            made.add(60.0 * minute, PoolSample(key=KEY, active=value), 90.0)
        if time_left(made, minute + 1) is not None:
            shown.append(minute)
    assert shown == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("each", [2, 4, 8])
def test_a_leak_under_load_is_a_trend_before_the_pool_is_full(each: int, seed: int) -> None:
    """Of the load's requests some three are under way at any moment."""
    random, made, first = Random(seed), PoolHistory(), None
    for minute in range(17 * each):
        for quarter in range(4):
            load = sum(random.random() < 0.03 for _ in range(100))
            leaked = minute // each
            at = 60.0 * minute + EVERY * quarter
            made.add(at, PoolSample(key=KEY, active=min(MAX, load + leaked)), 3 * EVERY)
        if first is None and time_left(made, minute + 1) is not None:
            first = minute
    assert first is not None


def test_bursts_that_grow_are_no_trend() -> None:
    made = PoolHistory()
    for number in range(240):
        active = 1 + (number % 4 == 0) * number / 10
        made.add(number * EVERY, PoolSample(key=KEY, active=active), 3 * EVERY)
    assert time_left(made, 60, 30) is None


def test_a_restart_begins_anew() -> None:
    leak = [*[5.0] * 30, *range(5, 19)]
    counts = [*range(100, 100 + len(leak) - 8), *range(8)]
    assert seconds(leak) is not None
    assert time_left(history(leak, counts), len(leak)) is None


def test_the_figure_is_a_metric_that_page_and_api_repeat() -> None:
    sides = BothSides()
    for minute in range(41):
        sides.now += 60
        sides.pool(0, 1 + minute // 5, process="web:0")
        sides.pool(9, 1, process="web:1")
    found = {one.labels: one.value for one in of_trends(sides.analysis.fleet.pools)}
    (shown,) = json.loads(findings_json(sides.analysis, 0.0))["pools"]
    assert found == {("orders", "main", "web:0"): shown["seconds_to_saturation"]}


@pytest.mark.parametrize(("active", "unaccounted"), [(10, None), (6, 4)])
def test_a_saturated_pool_has_no_time_left(active: float, unaccounted: float | None) -> None:
    sides = BothSides()
    sides.pool(0, active, unaccounted=unaccounted)
    assert [one.value for one in of_trends(sides.analysis.fleet.pools)] == [0]


def test_connections_lost_inside_the_library_leave_less_room() -> None:
    def shown(most: float, unaccounted: float) -> list[object]:
        sides = BothSides()
        for minute in range(41):
            sides.now += 60
            sides.pool(0, 1 + minute // 5, max=most, unaccounted=unaccounted)
        return [one.value for one in of_trends(sides.analysis.fleet.pools)]

    assert shown(14, 4) == shown(10, 0) != []
