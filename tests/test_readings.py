"""Readings over time, in bounded memory."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from hypothesis import given, strategies as st

from pg_pool_exporter.analysis.evidence.readings import Readings


class Most(NamedTuple):
    value: float

    def union(self, other: Most) -> Most:
        return Most(max(self.value, other.value))


def readings(*values: float, step: float = 1.0, keep: float = 16.0) -> Readings[Most]:
    """A reading each `step` seconds from 0 on, of a tenth of a second each."""
    made = Readings(Most)
    for number, value in enumerate(values):
        at = number * step
        made.add(at, at + 0.1, Most(value), keep=keep, max_gap=3 * step)
    return made


def test_a_window_holds_what_was_read_in_it() -> None:
    window = readings(9, 1, 2, 3, 9).within(1, 3.1)
    assert window is not None
    assert (window.whole, window.number, window.reading) == (True, 3, Most(3))


def test_what_reaches_into_it_is_looked_at_but_not_counted() -> None:
    window = readings(1, 2, 9).within(0.05, 1.5)
    assert window is not None
    assert (window.number, window.reading) == (1, Most(2))


def test_nothing_was_read() -> None:
    assert readings().within(0, 10) is None
    assert readings(1).within(5, 10) is None
    assert readings().last() is None


def test_a_window_is_whole_when_readings_reach_back_to_its_beginning_without_a_break() -> None:
    made = readings(1, 2, 3)
    assert made.within(-1, 2.2) == (False, 3, Most(3))
    made.add(6, 6.1, Most(4), keep=16, max_gap=3)
    assert made.within(0, 7) == (False, 1, Most(4))
    assert made.within(6.05, 7) == (True, 0, Most(4))


def test_groups_follow_each_other_and_share_no_reading() -> None:
    made = readings(*range(7))
    assert made.groups(0, 7, 3) == [Most(1), Most(3), Most(6)]
    assert made.groups(2, 4.5, 3) == [Most(2), Most(3), Most(4)]
    assert made.groups(5, 9, 3) == [Most(5), Most(6)], "there are no more"
    assert made.groups(20, 30, 3) == []


@given(
    values=st.lists(st.integers(0, 100), min_size=1, max_size=400),
    step=st.sampled_from([0.1, 1.0, 7.0]),
    keep=st.sampled_from([1.0, 16.0, 60.0, 3600.0]),
)
def test_memory_is_bounded_and_no_reading_of_the_window_is_lost(
    values: list[int], step: float, keep: float
) -> None:
    made = readings(*values, step=step, keep=keep)
    assert len(made.groups(-inf, inf, len(values))) <= 16 * 2 + 5
    end = (len(values) - 1) * step + 0.1
    start = max(0.0, end - keep)
    window = made.within(start, end)
    assert window is not None
    inside = [value for number, value in enumerate(values) if number * step + 0.1 >= start]
    assert window.reading.value >= max(inside)
    assert window.whole
