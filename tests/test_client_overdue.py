"""Which lines of code are named for what is overdue: a bounded number of them, over time too."""

from __future__ import annotations

from collections import Counter

from pg_pool_exporter.client.overdue import OverdueSites
from pg_pool_exporter.client.totals import MOST_SITES
from pg_pool_exporter.metrics.catalogue import OTHER


def many(prefix: str, count: int = MOST_SITES) -> Counter[str]:
    return Counter({f"{prefix}.py:{number} f": 1 for number in range(count)})


def test_the_lines_with_the_most_are_named_and_the_others_counted_together() -> None:
    named = OverdueSites().named(many("a", 40) + Counter({"big.py:1 f": 7}), 0.0)
    assert (len(named), named["big.py:1 f"], named[OTHER]) == (MOST_SITES + 1, 7, 11)


def test_a_line_keeps_its_name_while_a_bigger_one_comes() -> None:
    sites = OverdueSites()
    sites.named(many("a"), 0.0)
    named = sites.named(many("a") + Counter({"big.py:1 f": 7}), 5.0)
    assert named == {**many("a"), OTHER: 7}


def test_a_line_without_anything_overdue_makes_room_after_ten_minutes() -> None:
    sites = OverdueSites()
    sites.named(many("a"), 0.0)
    assert sites.named(many("b"), 599.0) == {OTHER: MOST_SITES}
    assert sites.named(many("b"), 601.0) == many("b")
    assert sites.named(many("a"), 602.0) == {OTHER: MOST_SITES}


def test_a_line_that_comes_again_within_ten_minutes_has_its_name_still() -> None:
    sites = OverdueSites()
    for now in (0.0, 500.0, 1000.0):
        assert sites.named(many("a"), now) == many("a")
        assert sites.named(many("b"), now + 400) == {OTHER: MOST_SITES}
