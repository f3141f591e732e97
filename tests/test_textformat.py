"""Series as lines of a page."""

from __future__ import annotations

import pytest

from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.catalogue import Metric
from pg_pool_exporter.metrics.series import Series
from pg_pool_exporter.metrics.text_format import blocks
from pg_pool_exporter.model import Histogram

SECONDS = Metric("x_seconds", "histogram", "pool", ("a", "b"), "Help.", bounds=(0.5, 10.0))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("orders", "main", "web:0"), '{app="orders",pool="main",process="web:0"}'),
        (("", "main", "web:0"), '{pool="main",process="web:0"}'),
        (("orders", "", "web:0"), '{app="orders",process="web:0"}'),
        (("orders", "main", ""), '{app="orders",pool="main"}'),
        (("", "", "web:0"), '{process="web:0"}'),
        (("", "", ""), ""),
        (('a"b', "c\\d", "e\nf"), r'{app="a\"b",pool="c\\d",process="e\nf"}'),
        (("größe", "\udcff", "p"), '{app="größe",pool="?",process="p"}'),
    ],
)
def test_labels_are_escaped_and_those_without_a_value_are_left_out(
    labels: tuple[str, ...], expected: str
) -> None:
    assert blocks([Series(c.POOL_MAX, labels, 5)])[c.POOL_MAX] == (
        f"pg_pool_max_connections{expected} 5\n"
    )


@pytest.mark.parametrize("labels", [("orders", "main"), ("orders", "main", "web:0", "idle")])
def test_label_values_that_do_not_fit_the_metric_are_never_written(
    labels: tuple[str, ...],
) -> None:
    with pytest.raises(IndexError):
        blocks([Series(c.POOL_MAX, labels, 5)])


@pytest.mark.parametrize(
    ("labels", "own", "with_more"),
    [(("1", "2"), '{a="1",b="2"}', '{a="1",b="2",'), (("", ""), "", "{")],
)
def test_a_histogram_is_its_buckets_its_sum_and_its_count(
    labels: tuple[str, ...], own: str, with_more: str
) -> None:
    assert blocks([Series(SECONDS, labels, Histogram((1, 2, 3), 40.25))])[SECONDS] == (
        f'x_seconds_bucket{with_more}le="0.5"}} 1\n'
        f'x_seconds_bucket{with_more}le="10.0"}} 3\n'
        f'x_seconds_bucket{with_more}le="+Inf"}} 6\n'
        f"x_seconds_sum{own} 40.25\n"
        f"x_seconds_count{own} 6\n"
    )
