"""How long the demand for a pool was at each level, against the times themselves."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from math import inf
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.client.demand import TOP, Demand
from pg_pool_exporter.client.totals import NO_CHECKOUT, Event, Totals
from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS
from pg_pool_exporter.model import Histogram


def served(arrivals: Sequence[tuple[float, float]], size: int, patience: float) -> list[Event]:
    """The events of requests, each with the time at which it asks and how long it holds its
    connection, in the order in which they ask.
    """
    free = deque([0.0] * size)
    events: list[Event] = []
    for key, (asked, held) in enumerate(arrivals, start=1):
        start = max(asked, free[0])
        if start - asked > patience:
            events.append((asked + patience, False, patience, NO_CHECKOUT))
            continue
        free.popleft()
        free.append(start + held)
        free = deque(sorted(free))
        # The next of the queue gets the connection a moment after it came back.
        got = start if start == asked else start + 1e-7
        events += [(got, False, got - asked, key), (start + held, True, held, key)]
    return events


def spans(events: Sequence[Event]) -> list[tuple[float, float]]:
    """From when to when each request asked for, or had, a connection."""
    ends = {key: time for time, returned, _, key in events if returned}
    return [
        (time - waited, ends.get(key, time))
        for time, returned, waited, key in events
        if not returned
    ]


def seconds_at_most(spans: Sequence[tuple[float, float]], until: float) -> list[float]:
    """The time with at most each bound of these, and all of the time."""
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    at, level, seconds = 0.0, 0, [0.0] * (len(DEMAND_BOUNDS) + 1)
    for time, change in [*changes, (until, 0)]:
        for place, bound in enumerate((*DEMAND_BOUNDS, inf)):
            if level <= bound:
                seconds[place] += time - at
        at, level = time, level + change
    return seconds


def cumulated(totals: Totals) -> list[int]:
    counts = totals.demand.histogram().counts
    return [sum(counts[: place + 1]) for place in range(len(counts))]


@pytest.mark.parametrize("size", [1, 3, 5, 12])
@pytest.mark.parametrize("patience", [inf, 40.0])
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), load=st.floats(0.2, 1.6))
def test_demand_is_the_time_at_each_level(
    size: int, patience: float, seed: int, load: float
) -> None:
    random, asked, arrivals = Random(seed), 0.0, []
    for _ in range(200):
        asked += random.expovariate(size * load / 20.0)
        arrivals.append((asked, random.expovariate(1 / 20.0)))
    events = served(arrivals, size, patience)
    until = max(time for time, *_ in events)
    totals = Totals()
    # As the client does, in pieces, each of which is sorted for itself.
    events.sort()
    while events:
        piece, events = events[:32], events[32:]
        totals.add(piece, limit=size)
    wanted = seconds_at_most(spans(served(arrivals, size, patience)), until)
    assert cumulated(totals) == pytest.approx(wanted, abs=1.5)


def test_the_sum_is_the_demand_integrated() -> None:
    totals = Totals()
    # One holds from 0 to 10, one waits from 2 to 10 and holds until 15.
    totals.add([(0.0, False, 0.0, 1), (10.0, True, 10.0, 1), (10.0, False, 8.0, 2)], 1)
    totals.add([(15.0, True, 5.0, 2)], 1)
    histogram = totals.demand.histogram()
    assert histogram.total == pytest.approx(10 + 8 + 5, abs=0.01)
    assert histogram.counts[:3] == (7, 8, 0)


def test_no_count_falls_when_a_wait_turns_out_long() -> None:
    totals = Totals()
    totals.add([(0.0, False, 0.0, 1)], limit=1)
    totals.settle({1}, 1, now=50.0)
    before = cumulated(totals)
    totals.add([(60.0, True, 60.0, 1), (60.0001, False, 59.0, 2)], limit=1)
    after = cumulated(totals)
    assert before[0] == 50
    assert all(now >= then for then, now in zip(before, after, strict=True))
    assert after[-1] == 60


def test_a_wait_that_is_longer_than_the_pool_was_full_makes_no_bucket_negative() -> None:
    """A negative bucket would make the whole page invalid."""
    demand = Demand(0.0)
    demand.levels[1] = 10.0
    demand.waited(0.0, 10.0, limit=2)
    histogram = demand.histogram()
    assert min(histogram.counts) == 0
    assert sum(histogram.counts) == 10


def test_a_signal_within_a_wait_neither_loses_nor_repeats_it() -> None:
    """A handler that raises, after each call in turn; the wait is then added again."""

    def waited(calls: int) -> tuple[Histogram, bool]:
        demand, left = Demand(0.0), calls
        demand.levels[1] = 20.0

        def after(_: object, event: str, __: object) -> None:
            nonlocal left
            left -= event == "c_return"
            if left == 0 and event == "c_return":
                raise InterruptedError

        demand.waited(1.0, 5.0, 1)
        sys.setprofile(after)
        try:
            demand.waited(2.0, 10.0, 1)
        except InterruptedError:
            sys.setprofile(None)
            demand.waited(2.0, 10.0, 1)
            return demand.histogram(), True
        finally:
            sys.setprofile(None)
        return demand.histogram(), False

    undisturbed, _ = waited(0)
    outcomes = [waited(calls) for calls in range(1, 12)]
    assert sum(was_raised for _, was_raised in outcomes) > 3
    assert {histogram for histogram, _ in outcomes} == {undisturbed}


def test_a_request_that_gives_up_was_demand() -> None:
    totals = Totals()
    totals.add([(0.0, False, 0.0, 1), (30.0, False, 20.0, NO_CHECKOUT)], limit=1)
    totals.settle({1}, 1, now=40.0)
    assert cumulated(totals)[:2] == [20, 40]
    assert totals.acquire.histogram().count == 1


def test_waiting_for_a_session_to_be_made_is_no_queue() -> None:
    totals = Totals()
    totals.add([(0.0, False, 0.0, 1), (5.0, False, 4.0, 2)], limit=10)
    totals.settle({1, 2}, 10, now=8.0)
    assert cumulated(totals)[:2] == [5, 8]


def test_levels_above_the_highest_bound_have_the_last_bucket() -> None:
    totals = Totals()
    count = TOP + 50
    totals.add([(1.0, False, 0.0, key) for key in range(1, count)], limit=inf)
    totals.settle(set(range(1, count)), inf, now=9.0)
    counts = totals.demand.histogram().counts
    assert (counts[0], counts[-1], sum(counts)) == (1, 8, 9)


def test_a_wait_that_is_added_twice_counts_once() -> None:
    demand = Demand(0.0)
    demand.levels[1], demand.until = 30.0, 30.0
    for _ in range(2):
        demand.waited(10.0, 30.0, limit=1)
    assert demand.histogram().counts[:2] == (10, 20)
