"""Durations as people write them."""

from __future__ import annotations

import pytest

from pg_pool_exporter import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 0.5),
        ("0ms", 0.0),
        ("5s", 5.0),
        ("1.5s", 1.5),
        (" 90s ", 90.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
    ],
)
def test_a_number_with_its_unit_is_read(text: str, expected: float) -> None:
    assert durations.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "-5s", "5 s", "5S", "1h30m", "5s\n5s", "\u0665s", "1e3s", "inf", ".5s", "5.s"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="like 500ms or 1h"):
        durations.seconds(text)
