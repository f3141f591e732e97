"""What the committed dashboards ask of Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[2] / "dashboards"
NAMES = ("fleet", "pool", "server", "bouncer", "exporter")
VARIABLES = ("cluster", "env", "job", "instance", "app", "pool", "server", "bouncer")


@dataclass(frozen=True, slots=True)
class Question:
    """An expression with Grafana's variables in it, and where it stands."""

    where: str
    expr: str

    def filled(self, rate_interval: str, values: dict[str, str] | None = None) -> str:
        """As Grafana sends it; a variable without a value is set to all."""
        expr = self.expr.replace("$__rate_interval", rate_interval)
        for name in VARIABLES:
            expr = re.sub(rf"\${name}\b", (values or {}).get(name, ".*"), expr)
        return expr


def load(name: str) -> Any:
    return json.loads((DIRECTORY / f"{name}.json").read_text())


def panels(name: str) -> Iterator[Any]:
    """All panels, those of collapsed rows too, without the rows themselves."""
    for panel in load(name)["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def questions(name: str) -> Iterator[Question]:
    """Of each panel and of the annotations."""
    for panel in panels(name):
        for target in panel.get("targets", []):
            yield Question(f"{name}: {panel['title']}: {target['refId']}", target["expr"])
    for annotation in load(name)["annotations"]["list"]:
        yield Question(f"{name}: annotation {annotation['name']}", annotation["expr"])


def variables(name: str) -> Iterator[tuple[str, Question]]:
    """The label and the selector of each variable that Prometheus is asked for."""
    for variable in load(name)["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert found is not None, variable["query"]
            yield found[2], Question(f"{name}: variable {variable['name']}", found[1])
