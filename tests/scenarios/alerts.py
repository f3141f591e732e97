"""What Prometheus makes of recorded series: which alerts our rules raise and when, and what the
dashboards' table of findings shows. By promtool, on its own clock.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dashboards.builder.queries import FINDINGS
from scenarios.exporter import SCRAPE, Recorder
from support.dashboards import Question
from support.programs import PROMTOOL
from support.rule_files import FILES

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Alert(NamedTuple):
    """An alert that fired at least once."""

    name: str
    severity: str
    cause: str
    """Empty for a symptom, such as a pool that is full."""
    first: float
    """When it began to fire, in seconds from the start."""
    last: float
    """When it fired last."""
    labels: dict[str, str]


class Watched(NamedTuple):
    """What Prometheus and Grafana show of a run."""

    alerts: list[Alert]
    """Those that fired, the first ones first."""
    table: list[dict[str, str]]
    """The rows of the dashboards' table of findings at the end."""


def watched(recorder: Recorder, seconds: float, directory: Path) -> Watched:
    """What is shown of what was recorded in the first `seconds`.

    promtool compares with nothing, and so says what it has got.
    """
    steps = int(seconds // SCRAPE)
    fired = f'timestamp(ALERTS{{alertstate="firing"}})[{steps * SCRAPE:g}s:15s]'
    table = Question("", FINDINGS).filled("1m")
    first, last, rows = _evaluated(
        recorder, steps, (f"min_over_time({fired})", f"max_over_time({fired})", table), directory
    )
    ended = {tuple(sorted(labels.items())): at for labels, at in last}
    alerts = (alert_of(labels, at, ended[tuple(sorted(labels.items()))]) for labels, at in first)
    return Watched(
        sorted((one for one in alerts if one is not None), key=lambda one: (one.first, one.name)),
        [labels for labels, _ in rows],
    )


_Samples = list[tuple[dict[str, str], float]]


def _evaluated(
    recorder: Recorder, steps: int, expressions: Sequence[str], directory: Path
) -> list[_Samples]:
    """The samples of each expression at the end."""
    end = f"{steps * SCRAPE:g}s"
    path = directory / "scenario.json"
    path.write_text(
        json.dumps(
            {
                "rule_files": [str(file) for file in FILES],
                "evaluation_interval": "15s",
                "tests": [
                    {
                        "interval": "15s",
                        "input_series": [
                            {"series": name, "values": _notation(values, steps)}
                            for name, values in recorder.series.items()
                        ],
                        "promql_expr_test": [
                            {"expr": one, "eval_time": end, "exp_samples": _NOTHING}
                            for one in expressions
                        ],
                    }
                ],
            }
        )
    )
    run = subprocess.run(
        [PROMTOOL, "test", "rules", path], capture_output=True, text=True, check=False
    )
    said = run.stdout + run.stderr
    _, *each = re.split(r"\n +expr: ", said)
    if len(each) != len(expressions) or any("got:" not in one for one in each):
        raise AssertionError(said[:2000])
    return [[*_samples(one)] for one in each]


_NOTHING = [{"labels": "nothing", "value": 0}]


def _samples(said: str) -> Iterator[tuple[dict[str, str], float]]:
    """Each sample that promtool got, as `{labels} value`."""
    got = said[said.index("got:") + len("got:") :]
    for sample in re.findall(r"\{[^\n]*?\} [0-9.eE+-]+(?=,|\s|$)", got):
        text, value = sample.rsplit(" ", 1)
        yield {name: json.loads(f'"{raw}"') for name, raw in _LABEL.findall(text)}, float(value)


def alert_of(labels: Mapping[str, str], first: float, last: float) -> Alert | None:
    """One that has these labels; None for mere information."""
    if labels["severity"] == "info":
        return None
    return Alert(
        name=labels["alertname"],
        severity=labels["severity"],
        cause=labels.get("cause", ""),
        first=first,
        last=last,
        labels={name: labels[name] for name in ("app", "pool", "server", "site") if name in labels},
    )


def _notation(values: list[float | None], steps: int) -> str:
    """Values as promtool reads them; a series that ends is stale."""
    padded = [None, *values, *[None] * (steps - len(values))]  # there is no scrape at 0
    pieces = []
    before: float | None = None
    for value in padded:
        if value is not None:
            pieces.append(
                f"{value:g}" if value == int(value) and abs(value) < 1e6 else repr(float(value))
            )
        else:
            pieces.append("stale" if before is not None else "_")
        before = value
    return " ".join(pieces)
