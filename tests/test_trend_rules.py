"""The time to saturation where no exporter is: PromQL and the analysis agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rule_cases.pool_series import ONE
from support.promtool import run_groups, series
from support.rule_files import ALERTS
from support.trend_cases import MAX, TREND_CASES, TrendCase

pytestmark = pytest.mark.debian

ESTIMATE = "app_pool_process:pg_pool_time_to_saturation_seconds:min"


def values(case: TrendCase) -> str:
    """In promtool's notation, one a minute."""
    return " ".join("_" if one is None else f"{one:g}" for one in case.active)


def holds(expression: str, minute: int) -> dict[str, Any]:
    return {
        "expr": f"count({expression}) or vector(0)",
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }


def never(expression: str, minute: int) -> dict[str, Any]:
    return {
        "expr": f"count({expression}) or vector(0)",
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": 0}],
    }


def expected(case: TrendCase) -> dict[str, Any]:
    end = len(case.active) - 1
    if case.seconds is not None:
        return holds(f"{ESTIMATE} > {0.7 * case.seconds} < {1.3 * case.seconds}", end)
    return never(f"max_over_time({ESTIMATE}[{end}m])" if case.never else ESTIMATE, end)


@pytest.mark.slow
def test_the_rules_estimate_what_the_analysis_does(promtool: Path, tmp_path: Path) -> None:
    tests = [
        {
            "name": case.name,
            "interval": "1m",
            "input_series": [
                {"series": name, "values": one}
                for name, one in {
                    **series("pg_pool_connections", values(case), **ONE, state="active"),
                    **series("pg_pool_max_connections", f"{MAX:g}x{len(case.active)}", **ONE),
                }.items()
            ],
            "promql_expr_test": [expected(case)],
        }
        for case in TREND_CASES
    ]
    assert run_groups(promtool, ALERTS["PgPoolSaturationPredicted"], tests, tmp_path) == ""


def test_the_figure_of_the_exporter_comes_first(promtool: Path, tmp_path: Path) -> None:
    leak = next(case for case in TREND_CASES if case.name == "a leak of one in five minutes")
    end = len(leak.active) - 1
    known = {
        **series("pg_pool_connections", values(leak), **ONE, state="active"),
        **series("pg_pool_max_connections", f"{MAX:g}x{end}", **ONE),
        **series("pg_pool_time_to_saturation_seconds", f"42x{end}", **ONE),
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in known.items()],
        "promql_expr_test": [holds(f"{ESTIMATE} == 42", end)],
    }
    assert run_groups(promtool, ALERTS["PgPoolSaturationPredicted"], [test], tmp_path) == ""


def test_connections_lost_inside_the_library_leave_less_room(
    promtool: Path, tmp_path: Path
) -> None:
    leak = next(case for case in TREND_CASES if case.name == "a leak of one in five minutes")
    length = len(leak.active)
    known = {
        **series("pg_pool_connections", values(leak), **ONE, state="active"),
        **series("pg_pool_max_connections", f"{MAX + 4:g}x{length}", **ONE),
        **series("pg_pool_unaccounted_connections", f"4x{length}", **ONE),
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in known.items()],
        "promql_expr_test": [expected(leak)],
    }
    assert run_groups(promtool, ALERTS["PgPoolSaturationPredicted"], [test], tmp_path) == ""
