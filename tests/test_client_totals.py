"""Events of a pool added up: histograms, integrals, saturation, leaks."""

from __future__ import annotations

import weakref
from collections import deque
from itertools import pairwise
from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pg_pool_exporter.client.totals import MAX_SITES, Checkout, Event, Totals
from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS, OTHER


def checkout(time: float, waited: float = 0.0, which: int = 1) -> Event:
    return time, False, waited, which


def check_in(time: float, held: float, which: int = 1) -> Event:
    return time, True, held, which


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (0.0005, 0),  # a bound belongs to the bucket below it: le means "less or equal"
        (0.00050001, 1),
        (30.0, len(ACQUIRE_BOUNDS) - 1),
        (30.1, len(ACQUIRE_BOUNDS)),
        (1e9, len(ACQUIRE_BOUNDS)),
    ],
)
def test_a_wait_is_counted_in_the_bucket_that_it_belongs_to(seconds: float, bucket: int) -> None:
    totals = Totals()
    totals.add([checkout(100.0, seconds)], limit=5)
    histogram = totals.acquire.histogram()
    assert [count for count in histogram.counts if count] == [1]
    assert histogram.counts[bucket] == 1
    assert histogram.total == seconds
    assert totals.hold.histogram().count == 0


def test_a_hold_is_counted_with_its_own_bounds() -> None:
    totals = Totals()
    totals.add([checkout(0.0), check_in(600.0, 600.0), checkout(600.0)], limit=5)
    hold = totals.hold.histogram()
    assert len(hold.counts) == len(HOLD_BOUNDS) + 1
    assert hold.counts[-2:] == (1, 0)
    assert totals.acquire.histogram().count == 2


@pytest.mark.parametrize(
    ("events", "limit", "now", "expected"),
    [
        pytest.param([], 1, 10.0, 0.0, id="an unused pool is never saturated"),
        pytest.param([checkout(1.0)], 1, 10.0, 9.0, id="still saturated: until now"),
        pytest.param([checkout(1.0), check_in(4.0, 3.0)], 1, 10.0, 3.0, id="from full to free"),
        pytest.param(
            [checkout(1.0), checkout(3.0, which=2)], 2, 10.0, 7.0, id="only with all of them out"
        ),
        pytest.param(
            [checkout(1.0), checkout(3.0, which=2)], 3, 10.0, 0.0, id="one left: never saturated"
        ),
        pytest.param(
            [checkout(1.0, which=n) for n in range(9)], float("inf"), 10.0, 0.0,
            id="no limit: never saturated",
        ),
        pytest.param(
            [checkout(1.0), check_in(3.0, 2.0), checkout(3.0, which=2), check_in(5.0, 2.0, 2)],
            1, 10.0, 4.0, id="handed on at once: saturated throughout",
        ),
        pytest.param(
            [check_in(4.0, 3.0), checkout(1.0)], 1, 10.0, 3.0, id="out of order in a batch"
        ),
    ],
)  # fmt: skip
def test_saturation_is_the_time_with_every_connection_checked_out(
    events: list[Event], limit: float, now: float, expected: float
) -> None:
    totals = Totals()
    totals.add(events, limit)
    assert totals.saturated_seconds(now) == pytest.approx(expected)


class _Connection:
    pass


def dropped(since: float, file: str) -> Checkout:
    """The checkout of a connection that is gone, made by the function `forget` of a file."""
    checkout = Checkout(_Connection())
    names: dict[str, Any] = {}
    exec(compile("def forget(): ...", file, "exec"), names)
    checkout.since, checkout.site, checkout.ended = since, (names["forget"].__code__, 0), None
    return checkout


def test_a_leaked_slot_counts_as_active_forever_and_stays_saturated() -> None:
    totals = Totals()
    leaked = dropped(2.0, "shop.py")
    totals.add([checkout(2.0, which=id(leaked))], limit=1)
    totals.drop(deque([leaked]), 1, limit=1, now=3.0)
    assert totals.active_seconds([], now=12.0) == pytest.approx(10.0)
    assert totals.active_seconds([], now=20.0) == pytest.approx(18.0)
    assert totals.saturated_seconds(20.0) == pytest.approx(18.0)
    assert (totals.leaked, dict(totals.leaked_slots.counts)) == (1, {"shop.py:1 forget": 1})


def test_a_dropped_connection_that_cost_no_slot_is_no_longer_active() -> None:
    totals = Totals()
    gone = dropped(2.0, "shop.py")
    totals.add([checkout(2.0, which=id(gone))], limit=inf)
    totals.drop(deque([gone]), 1, limit=inf, now=5.0)
    assert totals.leaked == 0
    assert totals.active_seconds([], now=12.0) == pytest.approx(3.0)


def test_lines_of_code_beyond_the_cap_are_counted_as_other() -> None:
    totals = Totals()
    files = [*(f"shop{number}.py" for number in range(MAX_SITES + 5)), "shop0.py"]
    leaked: deque[weakref.ref[object]] = deque(dropped(0.0, file) for file in files)
    totals.drop(leaked, len(leaked), limit=100, now=1.0)
    assert not leaked
    assert totals.leaked == MAX_SITES + 6
    assert totals.leaked_slots.counts.total() == totals.leaked
    assert totals.leaked_slots.counts[OTHER] == 5
    assert totals.leaked_slots.counts["shop0.py:1 forget"] == 2
    assert len(totals.leaked_slots.counts) == MAX_SITES + 1


def test_a_stretch_of_saturation_is_counted_once_also_when_a_thread_tells_of_it_late() -> None:
    totals = Totals()
    totals.add([checkout(1.0), check_in(5.0, 4.0)], limit=1)
    # Held from 2 to 4, by a thread that was stopped before it could record that.
    totals.add([checkout(2.0, which=2), check_in(4.0, 2.0, 2)], limit=1)
    assert totals.saturated_seconds(10.0) == 4.0
    totals.add([checkout(4.5, which=3), check_in(7.0, 2.5, 3)], limit=1)
    assert totals.saturated_seconds(10.0) == 6.0


def test_an_event_that_was_lost_is_put_right_by_what_is_open_now() -> None:
    totals = Totals()
    totals.add([checkout(1.0, which=1)], limit=1)
    totals.settle(set(), 1, now=3.0)  # its return was never recorded
    assert totals.saturated_seconds(10.0) == 2.0
    totals.settle({2}, 1, now=11.0)  # nor was this checkout
    assert totals.saturated_seconds(15.0) == 6.0
    totals.add([checkout(10.9, which=2), check_in(16.0, 5.0, 2)], limit=1)
    assert totals.saturated_seconds(20.0) == 7.0, "what comes late counts for nothing twice"


# Times are whole eighths, so that sums are exact and only the logic can be wrong.
_checkouts = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 200)).map(lambda two: (two[0] / 8, two[1] / 8)),
    max_size=30,
)


@given(_checkouts, st.integers(1, 6), st.integers(1, 5), st.randoms(use_true_random=False))
def test_integrals_equal_a_brute_force_count_whatever_the_order_within_a_batch(
    held: list[tuple[float, float]], limit: int, batches: int, random: Random
) -> None:
    """Every checkout (start, seconds) ends before the reading at 100."""
    events = [checkout(start, which=which) for which, (start, _) in enumerate(held)]
    events += [
        check_in(start + seconds, seconds, which) for which, (start, seconds) in enumerate(held)
    ]
    events.sort()
    totals = Totals()
    size = len(events) // batches + 1
    for first in range(0, len(events), size):
        batch = events[first : first + size]
        random.shuffle(batch)
        totals.add(batch, limit)

    times = sorted({time for time, *_ in events} | {100.0})
    active = saturated = 0.0
    for begin, end in pairwise(times):
        out = sum(start <= begin < start + seconds for start, seconds in held)
        active += out * (end - begin)
        saturated += (end - begin) if out >= limit else 0.0
    assert totals.active_seconds([], now=100.0) == pytest.approx(active)
    assert totals.saturated_seconds(100.0) == pytest.approx(saturated)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=40),
    st.integers(1, 3),
)
def test_no_total_ever_falls_also_when_threads_tell_their_events_late(
    reported: list[tuple[int, int, bool]], limit: int
) -> None:
    """Batches arrive with times far out of order, and readings miss returns that are on the way."""
    totals = Totals()
    seen = (0.0, 0.0)
    for now, (time, held, is_open) in enumerate(reported, start=100):
        totals.add([checkout(float(time)), check_in(float(time + held), float(held))], limit)
        open_since = [50.0] if is_open else []
        reading = totals.active_seconds(open_since, now), totals.saturated_seconds(now)
        assert reading >= seen
        assert reading[1] >= seen[1]
        seen = reading
