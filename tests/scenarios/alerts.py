"""Which alerts our rules raise on recorded series, and when: by promtool, on its own clock."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scenarios.exporter import SCRAPE, Recorder
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
    labels: dict[str, str]


def alerts(recorder: Recorder, seconds: float, directory: Path) -> list[Alert]:
    """The alerts that fire in the first `seconds` of what was recorded, the first ones first.

    promtool compares with nothing, and so says what it has got.
    """
    steps = int(seconds // SCRAPE)
    expression = f'min_over_time(timestamp(ALERTS{{alertstate="firing"}})[{steps * SCRAPE:g}s:15s])'
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
                            {
                                "expr": expression,
                                "eval_time": f"{steps * SCRAPE:g}s",
                                "exp_samples": [{"labels": "nothing", "value": 0}],
                            }
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
    if "got:" not in said:
        raise AssertionError(said[:2000])
    return sorted(
        (alert for part in _parts(said) if (alert := _alert(part)) is not None),
        key=lambda alert: (alert.first, alert.name),
    )


def _parts(said: str) -> list[str]:
    """Each sample that promtool got, as `{labels} value`."""
    got = said[said.index("got:") + len("got:") :]
    return re.findall(r"\{[^\n]*?\} [0-9.eE+-]+(?=,|\s|$)", got)


def _alert(sample: str) -> Alert | None:
    text, value = sample.rsplit(" ", 1)
    labels = {name: json.loads(f'"{raw}"') for name, raw in _LABEL.findall(text)}
    return alert_of(labels, float(value))


def alert_of(labels: Mapping[str, str], first: float) -> Alert | None:
    """One that has these labels; None for mere information."""
    if labels["severity"] == "info":
        return None
    return Alert(
        name=labels["alertname"],
        severity=labels["severity"],
        cause=labels.get("cause", ""),
        first=first,
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
