"""Writes the metrics of pools, from the catalogue, for the clients in other languages.

python tools/client_catalogues.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pg_pool_exporter.metrics.catalogue import METRICS, Metric

_CLIENTS = Path(__file__).parents[1] / "clients"
_POOL_METRICS = [metric for metric in METRICS if metric.section == "pool"]


def contents() -> dict[Path, str]:
    """The text of each file."""
    return {
        _CLIENTS / "go/internal/measure/catalogue.tsv": _table(),
        _CLIENTS / "java/src/main/resources/io/github/pgpoolexporter/catalogue.tsv": _table(),
        _CLIENTS / "node/lib/catalogue.js": _module(),
    }


def _table() -> str:
    """A line a metric: name, type, labels, bounds, help; separated by tabs."""
    return "".join("\t".join(_cells(metric)) + "\n" for metric in _POOL_METRICS)


def _module() -> str:
    """The same as code, which bundlers keep with the package."""
    fields = [
        {
            "name": metric.name,
            "type": metric.type,
            "labels": metric.labels,
            "bounds": metric.bounds,
            "help": metric.help,
        }
        for metric in _POOL_METRICS
    ]
    return f'"use strict";\n\nexports.METRICS = {json.dumps(fields, indent=1)};\n'


def _cells(metric: Metric) -> tuple[str, ...]:
    bounds = " ".join(map(repr, metric.bounds))
    return metric.name, metric.type, " ".join(metric.labels), bounds, metric.help


if __name__ == "__main__":
    for path, text in contents().items():
        path.write_text(text)
