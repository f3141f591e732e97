"""Which names get a series of their own, over time."""

from __future__ import annotations

from pg_pool_exporter.metrics.limiter import KEEP_SECONDS, StickyChoice

HOUR = 3600


def test_the_first_names_get_the_places() -> None:
    assert StickyChoice[str](2).choose(["c", "a", "b"], 0) == {"c", "a"}


def test_a_place_is_kept_until_it_was_not_claimed_for_ten_minutes() -> None:
    choice = StickyChoice[str](1)
    assert choice.choose(["old"], 0) == {"old"}
    assert choice.choose(["new", "old"], 1) == {"old"}
    assert choice.choose(["new"], KEEP_SECONDS) == {"old"}
    assert choice.choose(["new"], KEEP_SECONDS + 1) == {"new"}


def test_a_place_that_is_claimed_again_after_a_long_silence_is_kept() -> None:
    """Nothing was read meanwhile, so nobody else could claim it."""
    choice = StickyChoice[str](1)
    choice.choose(["old"], 0)
    assert choice.choose(["new", "old"], HOUR) == {"old"}


def test_the_biggest_get_the_places_and_keep_them_for_a_while() -> None:
    choice = StickyChoice[str](2)
    assert choice.choose_biggest({"a": 1, "b": 3, "d": 2, "c": 2}, 0) == {"b", "c"}
    assert choice.choose_biggest({"a": 4, "b": 3, "c": 2}, 1) == {"b", "c"}
    assert choice.choose_biggest({"a": 4, "b": 3, "c": 2}, KEEP_SECONDS) == {"a", "b"}


def test_names_that_change_all_the_time_get_few_series_in_an_hour() -> None:
    choice = StickyChoice[str](100)
    seen: set[str] = set()
    for poll in range(0, HOUR, 5):
        names = choice.choose([f"{poll} {number}" for number in range(200)], poll)
        assert len(names) <= 100
        seen |= names
    assert len(seen) <= 100 * (HOUR / KEEP_SECONDS)
