"""Which names get a series of their own, over time."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from pg_pool_exporter.metrics.limiter import KEEP_SECONDS, PATIENT_SECONDS, NameLimiter

HOUR = 3600
LIMIT = 3
NAMES = "abcdefgh"


def test_the_biggest_names_get_the_places_and_the_first_ones_of_equal_size() -> None:
    assert NameLimiter[str](2).choose({"a": 1, "d": 2, "c": 2, "b": 3}, 0) == {"b", "c"}


def test_a_present_name_keeps_its_place_until_it_was_below_the_cut_for_ten_minutes() -> None:
    limiter = NameLimiter[str](1)
    limiter.choose({"a": 2, "b": 1}, 0)
    assert limiter.choose({"a": 1, "b": 2}, 1) == {"a"}
    assert limiter.choose({"a": 1, "b": 2}, KEEP_SECONDS - 1) == {"a"}
    assert limiter.choose({"a": 1, "b": 2}, KEEP_SECONDS) == {"b"}


def test_a_name_that_is_as_big_as_another_keeps_its_place_forever() -> None:
    limiter = NameLimiter[str](1)
    limiter.choose({"b": 1}, 0)
    for now in range(1, HOUR, 60):
        assert limiter.choose({"a": 1, "b": 1}, now) == {"b"}


def test_a_name_that_is_gone_keeps_its_place_until_a_present_one_needs_it() -> None:
    limiter = NameLimiter[str](2)
    limiter.choose({"a": 1, "b": 1}, 0)
    assert "b" in limiter.choose({"a": 1}, 5)
    assert limiter.choose({"a": 1, "c": 1}, 10) == {"a", "c"}


def test_a_name_that_comes_back_after_a_long_silence_has_its_place() -> None:
    """Nothing was read meanwhile, so nobody else needed it."""
    limiter = NameLimiter[str](1)
    limiter.choose({"b": 1}, 0)
    assert limiter.choose({"a": 1, "b": 1}, HOUR) == {"b"}


def test_all_processes_of_a_deployment_are_replaced_at_once() -> None:
    limiter = NameLimiter[str](100)
    limiter.choose({f"old-{number}": 1 for number in range(100)}, 0)
    new = {f"new-{number}": 1.0 for number in range(100)}
    assert limiter.choose(new, 5) == new.keys()


def test_names_that_change_all_the_time_get_few_series_in_an_hour() -> None:
    limiter = NameLimiter[str](100)
    seen: set[str] = set()
    for poll in range(0, HOUR, 5):
        sizes = {f"{poll} {number}": 1.0 for number in range(200)}
        names = limiter.choose(sizes, poll)
        assert len(names) <= 100
        seen |= names
    assert len(seen) <= 2 * 100 * (HOUR / KEEP_SECONDS)


@pytest.mark.parametrize("jobs", [120, 300, 5000])
def test_after_any_number_of_short_lived_names_one_with_more_has_its_own_at_once(jobs: int) -> None:
    limiter = NameLimiter[str](100)
    for start in range(0, jobs, 24):
        limiter.choose({f"job {start + number}": 1 for number in range(24)}, start / 24)
    assert "orders" in limiter.choose({"orders": 20}, jobs / 24)


def test_a_name_that_stays_has_its_own_soon_though_short_lived_ones_never_end() -> None:
    """Each of those lasts for one poll; there are always as many as places."""
    limiter = NameLimiter[str](100)
    sizes: dict[str, float] = {}
    for poll in range(500):
        sizes = {f"{poll} {number}": 1 for number in range(100)}
        if poll >= 400:
            sizes["zeal"] = 1
        named = limiter.choose(sizes, poll * 5.0)
        assert "zeal" in named or poll < 404
    assert len(named & sizes.keys()) < 20, "the others fill no hundred places each time"


@pytest.mark.parametrize(("before", "interval"), [(1, 10), (60, 10), (130, 5), (20, 30)])
@pytest.mark.parametrize(
    ("jobs", "size", "new"),
    [
        (3, 20, 10), (10, 20, 20), (10, 50, 20), (5, 100, 3), (3, 3, 3), (2, 20, 2), (20, 2, 1),
        (49, 1, 1), (49, 50, 2),
    ],
)  # fmt: skip
def test_short_lived_names_keep_out_none_that_stays_for_longer_than_twenty_seconds(
    jobs: int, size: int, new: int, before: int, interval: int
) -> None:
    """Whatever their size and number, and however long they have come already."""
    limiter = NameLimiter[str](50)
    for poll in range(before + 15):
        sizes = {f"{poll} {number}": float(size) for number in range(jobs)}
        if poll >= before:
            sizes["app"] = new
        named = limiter.choose(sizes, poll * interval)
        assert "app" in named or (poll - before) * interval < PATIENT_SECONDS


@pytest.mark.parametrize("jobs", [50, 60, 120])
@pytest.mark.parametrize(("before", "interval"), [(1, 10), (60, 10), (130, 5), (20, 20)])
def test_a_small_one_that_stays_is_before_bigger_ones_that_are_gone(
    jobs: int, before: int, interval: int
) -> None:
    """Each poll has more short-lived names than there are places, all of them bigger."""
    limiter = NameLimiter[str](50)
    for poll in range(before + 15):
        sizes = {f"{poll} {number}": 100.0 for number in range(jobs)}
        if poll >= before:
            sizes["app"] = 1
        named = limiter.choose(sizes, poll * interval)
        assert "app" in named or (poll - before) * interval < PATIENT_SECONDS + 2 * interval


def test_of_those_that_have_come_to_stay_the_longest_waiting_one_is_first() -> None:
    """Though another one is bigger."""
    limiter = NameLimiter[str](2)
    limiter.choose({"shop": 2, "cron": 2}, 0)
    limiter.choose({"shop": 0, "cron": 9, "orders": 1}, 10)
    limiter.choose({"shop": 0, "cron": 9, "orders": 1, "web": 5}, 20)
    assert limiter.choose({"shop": 0, "orders": 1, "web": 5}, 40) == {"shop", "orders"}


def test_a_name_that_comes_and_goes_keeps_no_other_one_out() -> None:
    limiter = NameLimiter[str](2)
    limiter.choose({"shop": 1, "cron": 5}, 0)
    for now in range(60, int(KEEP_SECONDS), 120):
        assert limiter.choose({"shop": 1, "orders": 1}, now) == {"shop", "orders"}
        assert limiter.choose({"shop": 1, "orders": 1, "cron": 5}, now + 1) == {"shop", "orders"}


readings = st.lists(
    st.tuples(
        st.sampled_from([1.0, 5.0, 200.0, KEEP_SECONDS]),
        st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5)),
    ),
    min_size=1,
)
Readings = Sequence[tuple[float, dict[str, float]]]


def named(limiter: NameLimiter[str], each: Readings) -> list[tuple[float, Set[str], Set[str]]]:
    """When each reading was taken, its names, and those of them that have a place."""
    now = 0.0
    found: list[tuple[float, Set[str], Set[str]]] = []
    for seconds, sizes in each:
        now += seconds
        found.append((now, sizes.keys(), sizes.keys() & set(limiter.choose(sizes, now))))
    return found


@pytest.mark.parametrize("counters", [False, True])
@given(readings)
def test_there_are_never_more_places_than_the_limit(counters: bool, each: Readings) -> None:
    limiter = NameLimiter[str](LIMIT, counters=counters)
    named(limiter, each)
    assert len(limiter.names) <= LIMIT


@given(readings)
def test_no_name_is_folded_when_there_are_few_and_few_have_left(each: Readings) -> None:
    limiter = NameLimiter[str](len(NAMES))
    for _, present, shown in named(limiter, each):
        assert shown == present


@given(readings)
def test_a_name_among_the_biggest_keeps_its_place(each: Readings) -> None:
    found = named(NameLimiter[str](LIMIT), each)
    for ((_, _, before), (_, present, shown)), (_, sizes) in zip(
        pairwise(found), each[1:], strict=True
    ):
        for lost in (before & present) - shown:
            assert sum(size >= sizes[lost] for size in sizes.values()) > LIMIT


@given(readings)
def test_a_counter_that_stays_never_changes_between_its_name_and_the_others(each: Readings) -> None:
    found = named(NameLimiter[str](LIMIT, counters=True), each)
    for (_, present, shown), (_, now_present, now_shown) in pairwise(found):
        stayed = present & now_present
        assert shown & stayed == now_shown & stayed


@given(readings)
def test_the_names_shown_within_ten_minutes_are_bounded(each: Readings) -> None:
    found = named(NameLimiter[str](LIMIT), [(seconds / 10, sizes) for seconds, sizes in each])
    for start, _, _ in found:
        window = [shown for now, _, shown in found if 0 <= now - start < KEEP_SECONDS]
        assert len(set().union(*window)) <= 4 * LIMIT
