"""Every alert, on a virtual clock: fires when it must, and is silent when it must be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rule_cases import CASES, exporter
from rule_cases.environments import neighbours
from support.promtool import TARGET, Case, Labels, fires, group_of, run_cases, run_groups
from support.rule_files import ALERTS, DIRECTORY, FILES, generator

pytestmark = pytest.mark.debian

# Words in an expression that has to do with a limit, which may be missing.
LIMITED = ("_max_connections", "use:ratio", "pool_size")


def test_the_alerts_of_findings_are_current() -> None:
    """When this fails: `make rules`, and look at the difference."""
    findings = generator("findings")
    assert findings.FILE.read_text() == findings.rules()


def test_promtool_has_nothing_to_say_about_the_rules(promtool: Path) -> None:
    """Nor about those for foreign pages, which have the same names in a file each."""
    for path in (*FILES, *(DIRECTORY / "mapped").glob("*.yml")):
        checked = subprocess.run(
            [promtool, "check", "rules", "--lint=all", "--lint-fatal", path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", CASES)
def test_alert(promtool: Path, name: str, tmp_path: Path) -> None:
    assert run_cases(promtool, ALERTS[name], CASES[name], tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if cases[0].firing[0]])
def test_an_alert_where_two_exporters_see_the_same(
    promtool: Path, name: str, tmp_path: Path
) -> None:
    """A pair that polls the same targets, or names in common: no joining fails, each is heard."""
    cases = [_seen_twice(case) for case in CASES[name] if case.firing]
    assert run_cases(promtool, ALERTS[name], cases, tmp_path) == ""


def _seen_twice(case: Case) -> Case:
    seen_by = 'job="{job}",instance="{instance}"'.format(**TARGET)
    series = dict(case.series)
    for other in ('job="pg-pools",instance="db-2:10432"', 'job="other",instance="db:10432"'):
        series |= {one.replace(seen_by, other): values for one, values in case.series.items()}
    firing: list[Labels] = []
    for labels in case.firing:
        for target in (TARGET, {**TARGET, "instance": "db-2:10432"}, {**TARGET, "job": "other"}):
            kept = {name: target[name] for name in target.keys() & labels.keys()}
            if {**labels, **kept} not in firing:
                firing.append({**labels, **kept})
    return case._replace(series=series, firing=firing, text="")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_alert_where_two_environments_have_the_same_names(
    promtool: Path, name: str, tmp_path: Path
) -> None:
    """Whatever happens in staging, production's alert fires or is silent as if it were alone."""
    tests = []
    for both in neighbours(CASES[name]):
        group = group_of(ALERTS[name], both.says, both.series)
        asked = [fires(ALERTS[name], at, firing, where) for at, where, firing in both.asks]
        tests.append({**group, "promql_expr_test": asked})
    assert tests
    assert run_groups(promtool, ALERTS[name], tests, tmp_path) == ""


@pytest.mark.parametrize("name", exporter.WITHOUT_SETTINGS)
def test_alert_without_settings(promtool: Path, name: str, tmp_path: Path) -> None:
    cases = exporter.WITHOUT_SETTINGS[name]
    assert run_cases(promtool, ALERTS[name], cases, tmp_path, with_settings=False) == ""


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_the_cases_that_it_needs(name: str) -> None:
    """Fires, with all annotations; silent just below; and what its kind of data can do."""
    cases = {**CASES, **exporter.WITHOUT_SETTINGS}[name]
    assert any(case.text for case in cases), "no case asserts its annotations"
    expression = ALERTS[name].expression
    needed = {"fires", "just below", "restart", "missing data"}
    if any(word in expression for word in LIMITED):
        needed.add("unlimited")
    if "process" in expression:
        needed.add("several processes")
    assert needed - {case.kind for case in cases} == set()
