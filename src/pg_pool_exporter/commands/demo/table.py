"""The live table of the demonstration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter.redaction import printable

_HEAD = ("app", "pool", "active", "idle", "waiting", "max", "oldest idle", "leaks")


def table(page: str) -> str:
    """One row per pool of `page`, which is in Prometheus text format."""
    pools: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    leaks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if "pool" not in labels:
                continue
            key = (labels["app"], labels["pool"])
            name = sample.name.removeprefix("pg_pool_")
            if name == "leaked_slots":
                leaks[key].append(f"{sample.value:.0f} at {labels['site']}")
            elif len(labels) == 3 or name == "connections":
                pools[key][labels.get("state", name)] = sample.value
    # One line a pool, whatever an application calls it.
    rows = [_HEAD, *(_row(key, pools[key], leaks[key]) for key in sorted(pools))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _row(key: tuple[str, str], values: Mapping[str, float], leaks: list[str]) -> tuple[str, ...]:
    def count(name: str) -> str:
        return f"{values[name]:.0f}" if name in values else "-"

    idle = values.get("oldest_idle_seconds")
    return (
        *key,
        count("active"),
        count("idle"),
        count("waiting_requests"),
        count("max_connections"),
        "-" if idle is None else f"{idle:.1f} s",
        ", ".join(leaks) or "none",
    )
