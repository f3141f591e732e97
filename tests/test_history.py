"""The last hour of a pool, on a real time axis and in bounded memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from math import isnan
from typing import Any

import pytest

from pg_pool_exporter.analysis.history.fleet_history import History
from pg_pool_exporter.analysis.history.minutes import total
from pg_pool_exporter.analysis.history.pool_history import PoolHistory, Recent
from pg_pool_exporter.model import Health, PoolId, PoolSample, Snapshot, TargetId
from pg_pool_exporter.polling.store import Change, TargetState

KEY = PoolId("orders", "main", "web:0")
MAX_GAP = 60.0
Times = Iterable[tuple[float, float]]


def sample(active: float, waiting: float = 0, **more: Any) -> PoolSample:
    return PoolSample(key=KEY, active=active, waiting=waiting, **more)


def read(readings: Times, max_gap: float = MAX_GAP) -> PoolHistory:
    """Readings of connections checked out, each with its time."""
    made = PoolHistory()
    for at, active in readings:
        made.add(at, sample(active), max_gap)
    return made


def each_minute(active: Iterable[float], start: int = 0) -> PoolHistory:
    return read((60.0 * minute, value) for minute, value in enumerate(active, start))


def recent_of(made: PoolHistory, now: float) -> Recent | None:
    return made.recent(made.last_hour(now))


def known(minutes: Sequence[float]) -> list[float | None]:
    return [None if isnan(one) else one for one in minutes]


def test_each_minute_is_kept_with_its_mean_its_least_and_who_waited() -> None:
    made = PoolHistory()
    for number, (active, waiting) in enumerate([(1, 0), (3, 2), (2, 1), (9, 9)]):
        made.add(number * 20.0, sample(active, waiting), MAX_GAP)
    assert [list(one) for one in made.last_hour(60.0)] == [[2], [1], [1]]


def test_a_minute_is_known_when_it_is_over() -> None:
    made = read([(0, 1), (59, 3)])
    assert known(made.last_hour(59).active) == []
    assert known(made.last_hour(61).active) == [2]


@pytest.mark.parametrize(
    ("readings", "max_gap", "now", "minutes"),
    [
        pytest.param([(0, 1), (60, 2), (240, 3)], 60, 300, [1, 2, None, None, 3], id="gap"),
        pytest.param([(0, 1), (60, 2)], 60, 240, [1, 2, None, None], id="still away"),
        pytest.param([(0, 1), (120, 2), (240, 3)], 360, 300, [1, 1, 2, 2, 3], id="polled rarely"),
        pytest.param([(90_000, 5)], 60, 90_060, [5], id="late start"),
        pytest.param([(0, 1), (90_000, 5)], 60, 90_060, [*[None] * 59, 5], id="away for a day"),
        pytest.param([(0, 1)], 60, 90_060, [None] * 60, id="away for good"),
    ],
)
def test_a_minute_that_nobody_saw_is_unknown(
    readings: Times, max_gap: float, now: float, minutes: list[float | None]
) -> None:
    assert known(read(readings, max_gap).last_hour(now).active) == minutes


def test_an_hour_is_kept_and_no_more_than_that() -> None:
    made = each_minute(map(float, range(1000)))
    active = made.last_hour(60_000.0).active
    assert (len(active), active[-1]) == (60, 999)
    assert len(pickle.dumps(made)) < 2000


def test_the_last_minutes_do_not_know_who_waited_where_nothing_counts_that() -> None:
    made = PoolHistory()
    for minute in range(4):
        made.add(minute * 60.0, PoolSample(key=KEY, active=1), MAX_GAP)
    recent = recent_of(made, 180)
    assert recent is not None
    assert recent.waiting is None


def counting(readings: Iterable[float], max_gap: float = MAX_GAP) -> PoolHistory:
    made = PoolHistory()
    for at in readings:
        made.add(at, sample(1, held=2 * at, returned=4 * at, acquire_wait=0.5 * at), max_gap)
    return made


def test_rates_are_over_the_last_minutes_and_begin_anew_after_a_restart() -> None:
    made = counting(map(float, range(0, 900, 5)))
    recent = recent_of(made, 900)
    assert recent is not None
    assert recent.seconds <= 360
    assert recent.turnover == pytest.approx(2.0)
    assert recent.hold == pytest.approx(0.5)
    assert recent.waiting == pytest.approx(0.5)
    made.add(900.0, sample(1, held=0, returned=0, acquire_wait=0), MAX_GAP)
    assert recent_of(made, 900) is None


def test_rates_begin_anew_after_a_break() -> None:
    made = counting([0, 30, 60, 90, 1800, 1830])
    assert recent_of(made, 1830) is None


def test_rates_of_a_pool_that_is_polled_rarely_are_between_its_polls() -> None:
    recent = recent_of(counting([0, 600, 1200], max_gap=1800), 1200)
    assert recent is not None
    assert recent.seconds == 600


def test_requests_that_wait_before_and_after_a_break_may_be_two_bursts() -> None:
    made = PoolHistory()
    for at in (0.0, 600.0):
        made.add(at, sample(1, waiting=3), MAX_GAP)
    assert made.lasting_waiting == 0
    made.add(605.0, sample(1, waiting=3), MAX_GAP)
    assert made.lasting_waiting == 3


def test_what_is_not_reported_is_not_known() -> None:
    recent = recent_of(each_minute(repeat(1.0, 5)), 300)
    assert recent is not None
    assert (recent.turnover, recent.hold, recent.failed) == (None, None, 0)


@pytest.mark.parametrize(
    ("pools", "sums"),
    [
        ([], []),
        ([[1, 1, 1], [2, 2]], [1, 3, 3]),
        ([[1, float("nan"), 1], [2]], [1, None, 3]),
        ([[1, 1, 1], [2, float("nan")]], [1, 3, None]),
    ],
)
def test_several_pools_are_added_up_minute_by_minute(
    pools: list[list[float]], sums: list[float | None]
) -> None:
    assert known(total(pools)) == sums


def test_a_page_of_which_a_pool_is_hidden_since_has_no_second_reading() -> None:
    history, page = History(), TargetId("app", "127.0.0.1:8080", "orders")
    state = TargetState(
        key=page,
        interval=5.0,
        health=Health(up=True),
        snapshot=Snapshot(pools=(sample(1, waiting=3),)),
        taken=1.0,
    )
    history.follow(Change(page, state))
    history.follow(Change(page, replace(state, hidden={KEY: TargetId("process", "a")})))
    assert history.of(page, KEY).lasting_waiting == 0
    history.follow(Change(page, replace(state, taken=6.0)))
    assert history.of(page, KEY).lasting_waiting == 3
