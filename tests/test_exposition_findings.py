"""Findings on the metrics page: what Prometheus alerts on is what page and API say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.exposition.findings import series
from pg_pool_exporter.metrics.catalogue import FINDING_SITE_CONNECTIONS
from pg_pool_exporter.model import TargetId
from support.both_sides import INTERVAL, BothSides


def found(cause: Cause, subject: Subject, amount: float = 1.0) -> Finding:
    return Finding(
        cause=cause, severity=Severity.WARNING, subject=subject, amount=amount, summary="It is."
    )


@pytest.mark.parametrize(
    ("subject", "labels"),
    [
        (Subject(server="main"), {"server": "main"}),
        (
            Subject(app="orders", pool="main", server="db"),
            {"app": "orders", "pool": "main", "server": "db"},
        ),
        (
            Subject(target=TargetId("app", "web:80", "orders")),
            {"app": "orders", "target": "orders@web:80"},
        ),
        (Subject(target=TargetId("process", "orders-0")), {"target": "orders-0"}),
        (
            Subject(target=TargetId("bouncer", "edge")),
            {"bouncer": "edge", "target": "edge"},
        ),
    ],
    ids=str,
)
def test_a_finding_has_the_labels_that_it_is_about(
    subject: Subject, labels: dict[str, str]
) -> None:
    (one,) = series([found(Cause.UNKNOWN, subject, 4)])
    named = dict(zip(one.metric.labels, one.labels, strict=True))
    assert {name: value for name, value in named.items() if value} == {
        "cause": "unknown", "severity": "warning", **labels
    }  # fmt: skip
    assert one.value == 4


def test_findings_that_share_all_labels_are_one_series_of_the_largest_amount() -> None:
    server = Subject(server="main")
    limits = [found(Cause.SERVER_FULL, server, 9), found(Cause.SERVER_FULL, server, 1)]
    (one,) = series(limits)
    assert one.value == 9


def test_the_lines_to_blame_are_series_where_they_are_certain() -> None:
    sites = {f"shop.py:{line} f": 2.0 for line in range(12)}
    leak = replace(found(Cause.LEAK, Subject(app="orders", pool="main"), 24), sites=sites)
    _, *blamed = series([leak])
    assert {one.metric for one in blamed} == {FINDING_SITE_CONNECTIONS}
    assert sum(one.value for one in blamed if isinstance(one.value, float)) == 24
    assert len(blamed) == 11
    assert len([*series([replace(leak, sites_are_certain=False)])]) == 1


def test_no_finding_is_no_series() -> None:
    assert list(series([])) == []


def test_a_pool_whose_requests_wait_is_the_number_of_them() -> None:
    sides = BothSides()
    for _ in range(2):
        sides.pool(0, 5, max=5, waiting=3)
        sides.now += INTERVAL
    (one,) = series(sides.analysis.findings)
    assert one.labels[:4] == ("unknown", "problem", "orders", "main")
    assert one.value == 3
