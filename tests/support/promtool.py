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
from support.rule_files import RECORDS, SETTINGS, Alert, groups

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
    settings: Sequence[Path] = (SETTINGS,),
) -> str:
    """What promtool says; empty when all cases hold. `directory` is for its input."""
    return run_groups(promtool, alert, [_group(alert, case) for case in cases], directory, settings)


def run_groups(
    promtool: Path,
    alert: Alert,
    tests: Sequence[Mapping[str, Any]],
    directory: Path,
    settings: Sequence[Path] = (SETTINGS,),
) -> str:
    """What promtool says of groups of tests of an alert; empty when they pass."""
    texts = " ".join((alert.expression, *alert.annotations.values()))
    read = {record.file for record in RECORDS if record.name in texts}
    files = list(dict.fromkeys((*settings, *sorted(read - {SETTINGS}), alert.file)))
    by_file = {path: [group["name"] for of, group in groups() if of == path] for path in files}
    document = {
        "rule_files": [str(path) for path in files],
        # All of them: groups that are not named come at random.
        "group_eval_order": [name for path in files for name in by_file[path]],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    return run_tests(promtool, document, directory)


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
