"""The last hour of a pool, in bounded memory."""

from __future__ import annotations

import pickle
from itertools import repeat
from typing import Any

import pytest

from pg_pool_exporter.analysis.history import PoolHistory, total
from pg_pool_exporter.model import PoolId, PoolSample

KEY = PoolId("orders", "main", "web:0")


def sample(active: float, waiting: float = 0, **more: Any) -> PoolSample:
    return PoolSample(key=KEY, active=active, waiting=waiting, **more)


def trend(*active: float, step: float = 60.0) -> PoolHistory:
    """A reading each `step` seconds."""
    made = PoolHistory()
    for number, value in enumerate(active):
        made.add(number * step, sample(value))
    return made


def test_each_minute_is_kept_with_its_mean_its_least_and_who_waited() -> None:
    made = PoolHistory()
    for number, (active, waiting) in enumerate([(1, 0), (3, 2), (2, 1), (9, 9)]):
        made.add(number * 20.0, sample(active, waiting))
    assert [*made.active, *made.active_min, *made.waiting] == [2, 1, 1]


def test_the_last_minutes_do_not_know_who_waited_where_nothing_counts_that() -> None:
    made = PoolHistory()
    for minute in range(4):
        made.add(minute * 60.0, PoolSample(key=KEY, active=1))
    recent = made.recent()
    assert recent is not None
    assert recent.waiting is None


def test_an_hour_is_kept_and_no_more_than_that() -> None:
    made = trend(*map(float, range(1000)))
    assert len(made.active) == 60
    assert made.active[-1] == 998
    assert len(pickle.dumps(made)) < 2000


def test_after_a_long_break_it_begins_anew() -> None:
    made = trend(1, 1, 1)
    made.add(90_000.0, sample(5))
    made.add(90_060.0, sample(5))
    assert list(made.active) == [5]


@pytest.mark.parametrize(
    ("active", "most", "seconds"),
    [
        (range(20), 28, 600),
        (range(20), 18, 0),
        (repeat(5, 20), 10, None),
        (range(20, 0, -1), 30, None),
        (range(5), 10, None),
    ],
)
def test_the_time_to_saturation_follows_from_the_trend(
    active: range, most: float, seconds: float | None
) -> None:
    found = trend(*active).seconds_to(most)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_bursts_do_not_make_a_trend() -> None:
    made = PoolHistory()
    for number in range(240):
        made.add(number * 15.0, sample(1 + (number % 4 == 0) * number / 10))
    assert made.seconds_to(30) is None


def test_rates_are_over_the_last_minutes_and_begin_anew_after_a_restart() -> None:
    made = PoolHistory()
    for second in range(0, 900, 5):
        made.add(
            float(second),
            sample(1, held=2.0 * second, returned=4.0 * second, acquire_wait=0.5 * second),
        )
    recent = made.recent()
    assert recent is not None
    assert recent.seconds <= 360
    assert recent.turnover == pytest.approx(2.0)
    assert recent.hold == pytest.approx(0.5)
    assert recent.waiting == pytest.approx(0.5)
    made.add(900.0, sample(1, held=0, returned=0, acquire_wait=0))
    assert made.recent() is None


def test_what_is_not_told_is_not_known() -> None:
    made = trend(*repeat(1.0, 5))
    recent = made.recent()
    assert recent is not None
    assert (recent.turnover, recent.hold, recent.failed) == (None, None, 0)


def test_several_pools_are_added_up_from_the_end() -> None:
    assert total([trend(1, 1, 1, 1).active, trend(2, 2).active]) == [1, 1, 3]
    assert total([]) == []
