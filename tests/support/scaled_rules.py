"""Alert and recording rules whose time passes faster, so that a test need not wait for hours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

# How long applications take for their work doesn't change with our clock.
_OF_THE_APPLICATIONS = {
    "pg_pool_exporter:threshold:pool_acquire_seconds",
    "pg_pool_exporter:threshold:bouncer_waiting_seconds",
}
# The time to saturation stays that of the unscaled rules, where factors of time are numbers.
_OF_AN_ESTIMATE = {"pg_pool_exporter:threshold:pool_prediction_horizon_seconds"}
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIT = r"\d+(?:ms|[smhd])"
# A range, with a subquery's step, or an offset.
_IN_EXPRESSIONS = re.compile(rf"(?<=\[)({_UNIT})+|(?<=:)({_UNIT})+(?=\])|(?<=offset )({_UNIT})+")


def milliseconds(duration: str) -> int:
    """Of a Prometheus duration, like `1h30m`."""
    parts = re.findall(r"(\d+)(ms|[smhd])", duration)
    return sum(int(number) * _UNITS_MS[unit] for number, unit in parts)


def scaled_duration(duration: str, factor: float) -> str:
    return f"{max(1, round(milliseconds(duration) / factor))}ms"


def scaled_expression(expression: str, factor: float) -> str:
    """With its ranges and offsets divided by `factor`."""
    return _IN_EXPRESSIONS.sub(lambda found: scaled_duration(found[0], factor), expression)


def scaled(document: Any, factor: float) -> Any:
    """The content of a rule file, with all its times divided by `factor`."""
    for group in document["groups"]:
        for rule in group["rules"]:
            name = rule.get("record", "")
            if re.fullmatch(r"pg_pool_exporter:threshold:\w+_seconds", name):
                if name not in _OF_THE_APPLICATIONS | _OF_AN_ESTIMATE:
                    rule["expr"] = float(rule["expr"]) / factor
                continue
            rule["expr"] = scaled_expression(str(rule["expr"]), factor)
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = scaled_duration(rule[key], factor)
    return document


def write_scaled(files: Iterable[Path], directory: Path, factor: float) -> list[Path]:
    """Write the rule `files` to `directory`, with all their times divided by `factor`."""
    written = []
    for path in files:
        document = scaled(yaml.safe_load(path.read_text()), factor)
        written.append(directory / path.name)
        written[-1].write_text(yaml.safe_dump(document, default_flow_style=False))
    return written
