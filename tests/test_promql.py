"""The lint of expressions finds what makes an alert that never fires."""

from __future__ import annotations

import pytest

from support.promql import check

THRESHOLD = "pg_pool_exporter:threshold:pool_smallest_connections"
IDLE = 'pg_pool_connections{state="idle"}'


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("pg_pool_conections > 0", "pg_pool_conections is no metric and no recording rule"),
        ("rate(pg_pool_waiting_requests[5m]) > 0", "rate() of pg_pool_waiting_requests, which is"),
        ("pg_pool_requests_total > 5", "pg_pool_requests_total is a counter, and is not read"),
        ("avg_over_time(pg_pool_requests_total[5m])", "pg_pool_requests_total is a counter"),
        ('pg_pool_connections{status="idle"}', "pg_pool_connections has no label status"),
        ('pg_pool_connections{state="busy"}', "pg_pool_connections never has state=busy"),
        ('pg_server_connections{state=~"idle|zombie"}', "never has state=zombie"),
        (f"{IDLE} / pg_pool_max_connections", "the right side of / lacks ['state']"),
        ("pg_pool_waiting_requests > on (server) pg_server_up", "the left side of > lacks"),
        ("pg_pool_waiting_requests and pg_server_up", "the left side of and lacks ['server']"),
        ("sum without (database) (pg_pool_connections)", "sum over ['database'], which are no"),
        ("histogram_quantile(0.9, pg_pool_max_connections)", "histogram_quantile() without le"),
        (
            "app_pool:pg_pool_requests:increase5m > pg_pool_waiting_requests",
            "the left side of > lacks ['instance', 'process']",
        ),
    ],
)
def test_an_expression_that_gives_nothing_is_found(expression: str, problem: str) -> None:
    problems = check(expression).problems
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        (f"{IDLE} / ignoring (state) pg_pool_max_connections", "app instance job pool process"),
        ("sum without (process, instance) (rate(pg_pool_requests_total[5m]))", "app job pool"),
        ("histogram_quantile(0.9, rate(pg_pool_hold_seconds_bucket[5m]))",
         "app instance job pool process"),
        (f"pg_pool_max_connections > on () group_left () {THRESHOLD}",
         "app instance job pool process"),
        ("sum by (app) (pg_pool_connections)", "app"),
        ('label_replace(pg_server_up, "cause", "x", "", "")', "cause instance job server"),
        ("absent(pg_server_up)", ""),
        ("app_pool:pg_pool_requests:increase5m", "app job pool"),
    ],
)  # fmt: skip
def test_an_expression_has_the_labels_that_follow(expression: str, labels: str) -> None:
    checked = check(expression)
    assert checked.problems == []
    assert checked.labels == frozenset(labels.split())
