"""Which lines of code are blamed for overdue checkouts of which work explains some."""

from __future__ import annotations

import pytest

from pg_pool_exporter.analysis.evidence.blame import blame

A, B, C = "a.py:1 f", "b.py:2 g", "c.py:3 h"


@pytest.mark.parametrize(
    ("overdue", "unexplained", "sites", "are_certain"),
    [
        pytest.param({}, 0, {}, True, id="nothing is overdue"),
        pytest.param({}, 2, {}, True, id="proven by the server alone"),
        pytest.param({A: 3}, 3, {A: 3}, True, id="one line, nothing works"),
        pytest.param({A: 3}, 1, {A: 1}, True, id="one line, some work"),
        pytest.param({A: 3, B: 1}, 4, {A: 3, B: 1}, True, id="several lines, nothing works"),
        pytest.param({A: 5, B: 1}, 1, {A: 5, B: 1}, False, id="either may be the one"),
        pytest.param({A: 5, B: 1}, 5, {A: 4}, True, id="more than work explains at one line"),
        pytest.param({A: 2, B: 2, C: 1}, 4, {A: 1, B: 1}, True, id="at two lines"),
        pytest.param({A: 1, B: 1}, 3, {A: 1, B: 1}, True, id="more are proven than are overdue"),
    ],
)
def test_a_line_is_named_where_it_has_more_checkouts_than_work_explains(
    overdue: dict[str, float], unexplained: float, sites: dict[str, float], are_certain: bool
) -> None:
    assert blame(overdue, unexplained) == (sites, are_certain)
