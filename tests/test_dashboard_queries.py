"""What expressions of the dashboards say, on a virtual clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards.builder import queries as q
from rule_cases.findings import found
from rule_cases.leaks import by_site
from rule_cases.pool_series import pool
from rule_cases.server_series import ELSEWHERE
from support.dashboards import Question, questions
from support.promtool import Series, run_tests, series

pytestmark = pytest.mark.debian

PROBLEM, WARNING, HIGH, NOTHING = 3, 2, 1, 0
OF_APP = {"app": "orders", "server": "main"}
OF_POOL = {**OF_APP, "pool": "main"}


def value(promtool: Path, directory: Path, expr: str, series: Series, expected: float) -> str:
    """What promtool says where `expr` isn't `expected` of the one pool that there is."""
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in series.items()],
        "promql_expr_test": [
            {
                "expr": Question("", expr).filled("5m"),
                "eval_time": "15m",
                "exp_samples": [{"labels": '{app="orders", pool="main"}', "value": expected}],
            }
        ],
    }
    return run_tests(promtool, {"evaluation_interval": "1m", "tests": [test]}, directory)


@pytest.mark.parametrize(
    ("fed", "expected"),
    [
        pytest.param(pool("2x20"), NOTHING, id="healthy"),
        pytest.param(pool("9x20"), HIGH, id="nobody waits yet"),
        pytest.param(
            pool("9x20") | found("leak", "problem", "2x20", OF_POOL), PROBLEM, id="a leak"
        ),
        pytest.param(
            pool("9x20") | found("pool_too_small", "warning", "2x20", OF_POOL), WARNING,
            id="some requests wait",
        ),
        pytest.param(
            pool("9x20")
            | found("pool_too_small", "warning", "2x20", OF_POOL)
            | found("leak", "problem", "2x20", OF_APP),
            PROBLEM, id="one of the application's pools leaks",
        ),
        pytest.param(
            pool("2x20") | found("leak", "problem", "2x20", {**OF_APP, "app": "jobs"}), NOTHING,
            id="another application leaks",
        ),
        pytest.param(
            pool("2x20") | found("server_full", "problem", "91x20", {"server": "main"}), NOTHING,
            id="of the server only",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong(promtool: Path, tmp_path: Path, fed: Series, expected: float) -> None:
    assert value(promtool, tmp_path, q.VERDICT, fed, expected) == ""


def test_what_is_wrong_where_two_exporters_see_the_same(promtool: Path, tmp_path: Path) -> None:
    fed = pool("3x20") | found("leak", "problem", "2x20", OF_POOL)
    (instance,) = ELSEWHERE.values()
    fed |= {name.replace("db:10432", instance): one for name, one in fed.items()}
    assert value(promtool, tmp_path, q.VERDICT, fed, PROBLEM) == ""


def test_a_line_that_loses_some_and_keeps_others_counts_both(
    promtool: Path, tmp_path: Path
) -> None:
    series = by_site("leaked_slots", "1x20") | by_site("overdue_connections", "2x20")
    assert value(promtool, tmp_path, q.total(q.NOT_RETURNED), series, 3) == ""


def threshold(value: float, **labels: str) -> dict[str, str]:
    """A threshold of findings, of everything or of what `labels` name."""
    own = "".join(f',{name}="{text}"' for name, text in labels.items())
    return {f'pg_pool_exporter_threshold{{threshold="pool_utilisation"{own}}}': f"{value}x20"}


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        pytest.param({}, HIGH, id="the default"),
        pytest.param(threshold(0.95), NOTHING, id="of everything"),
        pytest.param(threshold(0.95) | threshold(0.5, app="orders"), HIGH, id="of the app"),
        pytest.param(threshold(0.5) | threshold(0.95, app="orders"), NOTHING, id="a higher one"),
        pytest.param(
            threshold(0.5, app="orders") | threshold(0.95, app="orders", pool="main"), NOTHING,
            id="of the pool",
        ),
        pytest.param(threshold(0.95, app="orders", pool="reports"), HIGH, id="of another pool"),
        pytest.param(threshold(0.95, app="billing"), HIGH, id="of another app"),
    ],
)  # fmt: skip
def test_a_pool_is_nearly_saturated_above_its_own_threshold(
    promtool: Path, tmp_path: Path, thresholds: dict[str, str], expected: float
) -> None:
    assert value(promtool, tmp_path, q.VERDICT, pool("9x20") | thresholds, expected) == ""


EDGE = {"bouncer": "edge"}
EDGE_POOL = {**EDGE, "database": "shop", "user": "orders"}


@pytest.mark.parametrize(("clients", "drawn"), [(49, False), (50, True), (100, True)])
def test_a_limit_is_drawn_from_half_of_its_use_on(
    promtool: Path, tmp_path: Path, clients: int, drawn: bool
) -> None:
    """Far above what is in use it would press that flat."""
    name = "bouncer: Clients against the limit: B"
    (limit,) = (one for one in questions("bouncer") if one.where == name)
    fed = {
        **series("pg_bouncer_client_connections", f"{clients}x20", **EDGE),
        **series("pg_bouncer_max_client_connections", "100x20", **EDGE),
    }
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in fed.items()],
        "promql_expr_test": [
            {
                "expr": limit.filled("5m"),
                "eval_time": "15m",
                "exp_samples": [{"labels": '{bouncer="edge"}', "value": 100}] if drawn else [],
            }
        ],
    }
    said = run_tests(promtool, {"evaluation_interval": "1m", "tests": [test]}, tmp_path)
    assert said == ""


@pytest.mark.parametrize(
    ("panel", "fed", "expected"),
    [
        ("Fullest pool", {"pool_size": 20}, 1.0),
        ("Fullest pool", {"pool_size": 20, "reserve_pool_size": 0}, 1.0),
        ("Fullest pool", {"pool_size": 20, "reserve_pool_size": 5}, 0.8),
        ("Paused or disabled", {"database_paused": 1, "database_disabled": 0}, 1),
        ("Paused or disabled", {"database_paused": 1, "database_disabled": 1, "paused": 0}, 2),
        ("Paused or disabled", {"database_paused": 0, "database_disabled": 0, "paused": 1}, 1),
    ],
)
def test_a_bouncer_s_numbers(
    promtool: Path, tmp_path: Path, panel: str, fed: dict[str, int], expected: float
) -> None:
    """The reserve comes on top of the size; all may be paused without its databases shown so."""
    (question,) = (one for one in questions("bouncer") if f": {panel}: " in one.where)
    made = series("pg_bouncer_connections", "20x20", **EDGE_POOL, state="active")
    for name, number in fed.items():
        labels = {"paused": EDGE}.get(name, EDGE_POOL)
        if name.startswith("database_"):
            labels = {**EDGE, "database": "shop"}
        made |= series(f"pg_bouncer_{name}", f"{number}x20", **labels)
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in made.items()],
        "promql_expr_test": [
            {
                "expr": question.filled("5m"),
                "eval_time": "15m",
                "exp_samples": [{"labels": '{bouncer="edge"}', "value": expected}],
            }
        ],
    }
    said = run_tests(promtool, {"evaluation_interval": "1m", "tests": [test]}, tmp_path)
    assert said == ""
