"""The rules under deploy/prometheus, read from their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy/prometheus"
SETTINGS = DIRECTORY / "settings.yml"
FILES = sorted(path for path in DIRECTORY.glob("*.yml"))
WITHOUT_ALERT = {"unknown", "login_failed"}
"""Causes that no alert has. Where the cause is unknown, the symptoms have alerts; a target without
a login is down for PromQL, whose alert leads to the reason."""


class Record(NamedTuple):
    """A recording rule."""

    file: Path
    name: str
    expression: str
    labels: dict[str, str]


class Alert(NamedTuple):
    """An alerting rule. `waits` is its `for`, empty where it fires at once."""

    file: Path
    name: str
    expression: str
    waits: str
    labels: dict[str, str]
    annotations: dict[str, str]


def groups() -> Iterator[tuple[Path, dict[str, Any]]]:
    """All groups, with the file that each stands in."""
    for path in FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield path, group


def rules() -> Iterator[Record | Alert]:
    """All rules in the order of the files."""
    for path, group in groups():
        for rule in group["rules"]:
            expression, labels = str(rule["expr"]), rule.get("labels", {})
            if "record" in rule:
                yield Record(path, rule["record"], expression, labels)
            else:
                yield Alert(
                    path, rule["alert"], expression, rule.get("for", ""), labels,
                    rule.get("annotations", {}),
                )  # fmt: skip


RECORDS = [rule for rule in rules() if isinstance(rule, Record)]
ALERTS = {rule.name: rule for rule in rules() if isinstance(rule, Alert)}


def causes(alert: Alert) -> list[str]:
    """Values of its label `cause`: one of its own, or those that its recorded series can have."""
    if "cause" in alert.labels:
        return [alert.labels["cause"]]
    read = [record.expression for record in RECORDS if record.name in alert.expression]
    return re.findall(r'"cause", "(\w+)"', " ".join(read))
