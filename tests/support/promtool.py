"""Cases for alerts, and promtool, which runs them on a virtual clock."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote_plus

from support.programs import PROMTOOL
from support.rule_files import GROUPS, RECORDS, SETTINGS, Alert

Labels = Mapping[str, str]
Series = Mapping[str, str]
"""Values in promtool's notation, one a minute, by series."""

TARGET = {"job": "pg-pools", "instance": "db:10432"}
"""What Prometheus adds to each series that it scrapes."""
SETTING = "pg_pool_exporter:"
"""How the names of series begin that are made by settings.yml."""
RUNBOOKS = "https://runbooks.example/pg-pool-exporter"
DASHBOARDS = "https://grafana.example"

Kind = Literal[
    "fires",
    "silent",
    "just below",
    "restart",
    "unlimited",
    "several processes",
    "several servers",
    "missing data",
]


class Case(NamedTuple):
    """What one alert does at minute `at` of `series`: the labels that it fires with, if any.

    Its own `severity` and `cause` are left out of `firing`. `text` is the description, needed where
    it is asserted; line breaks and indentation don't matter.
    """

    kind: Kind
    says: str
    series: Series
    at: int
    firing: Sequence[Labels] = ()
    text: str = ""


def series(name: str, values: str, /, **labels: str) -> dict[str, str]:
    """One series that was scraped; labels that are given replace those of the target."""
    return {f"{name}{selector({**TARGET, **labels})}": values}


def newer_promtool() -> Path | None:
    """That of Prometheus 3, where `PGPE_PROMTOOL_3` says that there is one."""
    path = os.environ.get("PGPE_PROMTOOL_3")
    return Path(path) if path else None


PROMTOOLS = {"2": PROMTOOL, "3": newer_promtool()}
"""promtool by the major version of its Prometheus."""


def run_cases(
    promtool: Path,
    alert: Alert,
    cases: Sequence[Case],
    directory: Path,
    *,
    with_settings: bool = True,
) -> str:
    """What promtool says; empty when all cases hold. `directory` is for its input."""
    tests = [_group(alert, case) for case in cases]
    return run_groups(promtool, alert, tests, directory, with_settings=with_settings)


def run_groups(
    promtool: Path,
    alert: Alert,
    tests: Sequence[Mapping[str, Any]],
    directory: Path,
    *,
    with_settings: bool = True,
) -> str:
    """What promtool says of groups of tests of an alert; empty when they pass."""
    rules = _rules_of(alert, with_settings)
    path = directory / "rules.json"
    path.write_text(json.dumps({"groups": rules}))
    document = {
        "rule_files": [str(path)],
        # All of them: groups that are not named come at random.
        "group_eval_order": [group["name"] for group in rules],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    return run_tests(promtool, document, directory)


def _rules_of(alert: Alert, with_settings: bool) -> list[dict[str, Any]]:
    """The records that the alert reads, and the alert: settings first, its own group last.

    promtool evaluates every rule that it is given in each minute of each case.
    """
    text = " ".join((alert.expression, *alert.annotations.values()))
    names = {alert.name}
    while found := [one for one in RECORDS if one.name in text and one.name not in names]:
        names.update(one.name for one in found)
        text = " ".join(one.expression for one in found)
    needed: list[dict[str, Any]] = []
    for path, group in sorted(GROUPS, key=lambda one: (one[0] != SETTINGS, one[0] == alert.file)):
        rules = [rule for rule in group["rules"] if rule.get("alert", rule.get("record")) in names]
        if rules and (with_settings or path != SETTINGS):
            needed.append({**group, "rules": rules})
    return needed


def run_tests(promtool: Path, tests: Mapping[str, Any], directory: Path) -> str:
    """What promtool says of a whole file of tests; empty when they pass."""
    path = directory / "tests.json"
    path.write_text(json.dumps(tests))  # JSON is YAML
    run = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    return "" if run.returncode == 0 else run.stdout + run.stderr


def group_of(alert: Alert, says: str, fed: Series) -> dict[str, Any]:
    """A group of tests of the alert, still without any, that is fed these series."""
    return {
        "name": f"{alert.name}, {says}",
        "interval": "1m",
        "input_series": [{"series": name, "values": one} for name, one in fed.items()],
    }


def fires(
    alert: Alert, at: int, firing: Sequence[Labels], where: Labels | None = None
) -> dict[str, Any]:
    """Test that of its alerts that have the labels `where` these fire at minute `at`."""
    own = {"alertname": alert.name, "alertstate": "firing"}
    return {
        "expr": f"ALERTS{selector({**own, **(where or {})})}",
        "eval_time": f"{at}m",
        "exp_samples": [
            {"labels": f"ALERTS{selector({**own, **alert.labels, **labels})}", "value": 1}
            for labels in firing
        ],
    }


def _group(alert: Alert, case: Case) -> dict[str, Any]:
    group = group_of(alert, f"{case.kind}: {case.says}", case.series)
    if case.text or not case.firing:
        group["alert_rule_test"] = [
            {
                "alertname": alert.name,
                "eval_time": f"{case.at}m",
                "exp_alerts": [
                    {
                        "exp_labels": {**alert.labels, **labels},
                        "exp_annotations": _annotations(alert, labels, case.text),
                    }
                    for labels in case.firing
                ],
            }
        ]
    else:  # its annotations are asserted in another case
        group["promql_expr_test"] = [fires(alert, case.at, case.firing)]
    return group


def _annotations(alert: Alert, labels: Labels, text: str) -> dict[str, str]:
    parameters = alert.annotations["dashboard"].removeprefix(where_links_begin("dashboards"))
    parameters = re.sub(
        r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ urlquery \. \}\}\{\{ end \}\}",
        lambda one: one[2] + quote_plus(labels[one[1]]) if one[1] in labels else "",
        parameters,
    )
    parameters = re.sub(
        r"\{\{ urlquery \$labels\.(\w+) \}\}", lambda one: quote_plus(labels[one[1]]), parameters
    )
    return {
        "summary": alert.annotations["summary"],
        "description": " ".join(text.split()),
        "runbook_url": f"{RUNBOOKS}/{alert.name}.md",
        "dashboard": f"{DASHBOARDS}{parameters}",
    }


def where_links_begin(kind: str) -> str:
    """How an alert looks it up, of `runbooks` or `dashboards`."""
    links = '{{ with query "pg_pool_exporter:links:info" }}'
    return f'{links}{{{{ . | first | label "{kind}" }}}}{{{{ end }}}}'


def selector(labels: Labels) -> str:
    """Labels as PromQL spells them."""
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"
