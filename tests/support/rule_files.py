"""The rules under deploy/prometheus, read from their files."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy/prometheus"
SETTINGS = DIRECTORY / "settings.yml"
FILES = sorted(path for path in DIRECTORY.glob("*.yml"))


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


GROUPS: list[tuple[Path, dict[str, Any]]] = [
    (path, group) for path in FILES for group in yaml.safe_load(path.read_text())["groups"]
]
"""All groups, with the file of each."""


def rules() -> Iterator[Record | Alert]:
    """All rules in the order of the files."""
    for path, group in GROUPS:
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
    """Values of its label `cause`: one of its own, or that of the findings that it repeats."""
    if "cause" in alert.labels:
        return [alert.labels["cause"]]
    return re.findall(r'pg_pool_finding\{cause="(\w+)"', alert.expression)


def severities(alert: Alert) -> list[str]:
    """Values of its label `severity`: one, or those that it makes of the findings'."""
    return re.findall(r"critical|warning|info", alert.labels["severity"])


def generator(name: str) -> ModuleType:
    """A script of the directory, which writes rules."""
    spec = importlib.util.spec_from_file_location(name, DIRECTORY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


WITHOUT_ALERT: dict[str, str] = {
    cause.value: why for cause, why in generator("findings").WITHOUT_ALERT.items()
}
"""Causes that no alert has, and why."""
