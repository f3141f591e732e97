"""Exporter: is what the other dashboards show fresh and whole?"""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards.builder import queries as q
from dashboards.builder.frame import Marks, fill, page
from dashboards.builder.panels import (
    ANY,
    GREEN,
    HINT,
    ORANGE,
    RED,
    Column,
    Panel,
    Query,
    Steps,
    lines,
    mapped,
    numbers,
    rows,
)
from dashboards.builder.selection import ENVIRONMENT, matchers, process, select
from pg_pool_exporter.metrics import catalogue as c

_TARGET = "kind, target"
_UP = select(c.TARGET_UP)
_AGE = f"time() - max by ({_TARGET}) ({select(c.LAST_SUCCESS)})"
# As the alert has it: targets may be polled seldom.
_OLD: Steps = {60: ORANGE, 300: RED}
_ALERTS = (
    f'alertname=~"PgPool(Exporter|Target|Data|Analysis|Log|Setting).+", {matchers(*ENVIRONMENT)}'
)


def dashboard() -> builders.Dashboard:
    made = page(
        "exporter", "Exporter",
        "The exporter itself: its targets, how long polls take, what fails, how old the data is.",
        shown=(),
    )  # fmt: skip
    return fill(
        made,
        Marks(_ALERTS, ("Failed polls", "Age of data"), "warning|critical"),
        *_now(),
        *_targets(),
        "Servers' logs",
        *_logs(),
        "The program",
        *_program(),
    )


def _now() -> Iterator[Panel]:
    yield numbers(
        "Targets", "Servers, bouncers, applications' pages and processes that are polled.",
        "short", Query(f"count({_UP})"), w=3, none="none",
    )  # fmt: skip
    yield numbers(
        "Targets down", "Their last poll failed.",
        "short", Query(f"count({_UP} == 0) or 0 * count({_UP})"), w=3, steps=ANY,
    )  # fmt: skip
    yield numbers(
        "Oldest data", "Time since the last successful poll, of the target where it is longest.",
        "s", Query(f"max({_AGE})"), w=3, steps=_OLD, none="no data",
    )  # fmt: skip
    yield numbers(
        "Last analysis",
        "Time since the last one. Findings are of that time, and old when it is long ago.",
        "s", Query(f"max(time() - {select(c.LAST_ANALYSIS)})"), w=3, steps=_OLD, none="no data",
    )  # fmt: skip
    yield numbers(
        "Slowest poll", "Duration of the last poll, of the slowest target.",
        "s", Query(f"max({select(c.POLL_DURATION)})"), none="no data",
    )  # fmt: skip
    yield numbers(
        "Groups folded", "Groups that are added up as other, or left out, because of a cap.",
        "short", Query(f"sum({select(c.SERIES_FOLDED)})"), steps=HINT,
    )  # fmt: skip
    yield numbers(
        "Configuration", "Whether the last load of the configuration worked.",
        "short", Query(f"min({select(c.RELOAD_SUCCESSFUL)})"), none="no data",
        mappings=mapped({1: ("loaded", GREEN), 0: ("refused, the old one holds", RED)}),
    )  # fmt: skip


def _targets() -> Iterator[Panel]:
    yield rows(
        "Targets, those down and the oldest data first",
        "One row a target. The exporter's log says why one is down.",
        {
            "A": f"min by ({_TARGET}) ({_UP})",
            "B": _AGE,
            "C": f"max by ({_TARGET}) ({select(c.POLL_DURATION)})",
            "D": f"round(sum by ({_TARGET}) (increase({select(c.POLL_FAILURES)}[1h])))",
        },
        [
            Column("kind", "Kind", width=100),
            Column("target", "Target"),
            Column("A", "State", mappings=mapped({0: ("down", RED), 1: ("up", GREEN)}), width=80),
            Column("B", "Age of data", "s", _OLD, width=110),
            Column("C", "Last poll took", "s", width=120),
            Column("D", "Failed in 1 h", steps=HINT, width=110),
        ],
        w=14, h=9, rising="State", by="Age of data",
    )  # fmt: skip
    yield lines(
        "Failed polls", "By target and reason, by second.",
        "cps",
        Query(q.rate(select(c.POLL_FAILURES), "target, reason") + " > 0", "{{target}}: {{reason}}"),
        w=10, h=9, none="no poll failed",
    )  # fmt: skip
    yield lines(
        "Duration of polls", "Of the last poll of each target.",
        "s", Query(f"max by ({_TARGET}) ({select(c.POLL_DURATION)})", "{{kind}} {{target}}"),
        w=12, h=8,
    )  # fmt: skip
    yield lines(
        "Age of data", "Time since the last successful poll of each target.",
        "s", Query(_AGE, "{{kind}} {{target}}"), w=12, h=8,
    )  # fmt: skip


def _logs() -> Iterator[Panel]:
    yield rows(
        "Formats of the servers' logs",
        "How the last records were written, and what a shipper wrote around each line. A log that "
        "is read and not here is not understood.",
        {"A": f"max by (target, format, wrapping) ({select(c.LOG_FORMAT)})"},
        [
            Column("target", "Server"),
            Column("format", "Format"),
            Column("wrapping", "Wrapped by"),
        ],
        w=12, h=7, none="no log is read, or none is understood",
    )  # fmt: skip
    yield lines(
        "Servers' logs", "Bytes read by second, and bytes that are not read yet.",
        "bytes",
        Query(q.rate(select(c.LOG_BYTES), "target"), "read {{target}}"),
        Query(f"max by (target) ({select(c.LOG_LAG)})", "not read {{target}}"),
        w=12, none="no log is read",
    )  # fmt: skip


def _program() -> Iterator[Panel]:
    by = "instance"
    yield lines(
        "Processor", "Share of one core.",
        "percentunit",
        Query(q.rate(process("process_cpu_seconds_total"), by), f"{{{{{by}}}}}"),
        w=8,
    )  # fmt: skip
    yield lines(
        "Memory", "Resident in memory.",
        "bytes", Query(q.total(process("process_resident_memory_bytes"), by), f"{{{{{by}}}}}"),
        w=8,
    )  # fmt: skip
    yield lines(
        "Scrapes", "How long Prometheus waited for the page.",
        "s", Query(f"max by ({by}) ({process('scrape_duration_seconds')})", f"{{{{{by}}}}}"),
        w=8,
    )  # fmt: skip
