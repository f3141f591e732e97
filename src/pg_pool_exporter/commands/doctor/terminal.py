"""The checklist as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TextIO

from pg_pool_exporter.analysis.findings.finding import Verdict
from pg_pool_exporter.analysis.findings.wording import number
from pg_pool_exporter.commands.doctor.report import Point, Report
from pg_pool_exporter.redaction import printable

_COLOURS = {
    Verdict.PROBLEM: "1;31",
    Verdict.WARNING: "33",
    Verdict.FINE: "32",
    Verdict.UNKNOWN: "2",
}
_TITLES = {
    "targets": "targets",
    "pool_utilisation": "pool utilisation",
    "waiting_requests": "waiting requests",
    "leaks": "leaks",
    "pool_handling": "pool handling",
    "sessions": "sessions by state",
    "old_sessions": "old sessions",
    "idle_in_transaction": "idle in transaction",
    "lock_waits": "lock waits",
    "deadlocks": "deadlocks",
    "timeouts": "timeouts",
    "settings": "settings",
    "demand_and_supply": "demand and supply",
    "exporter": "exporter",
}
_VERDICT_WIDTH, _TITLE_WIDTH = 9, 21
_INDENT = " " * _VERDICT_WIDTH


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour the output: only a terminal, without NO_COLOR."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def written(report: Report, *, colours: bool, width: int) -> str:
    """The text: one line a point, with evidence and remedies below it."""
    lines = [line for point in report.checks for line in _point(point, colours, width)]
    return "\n".join([*lines, "", _sum(report), ""])


def _point(point: Point, colours: bool, width: int) -> Iterator[str]:
    verdict = point.level.title
    if point.level is Verdict.PROBLEM:
        verdict = verdict.upper()
    if colours:
        verdict = f"\x1b[{_COLOURS[point.level]}m{verdict:<{_VERDICT_WIDTH}}\x1b[0m"
    title = _TITLES.get(point.check, printable(point.check))
    margin = _VERDICT_WIDTH + _TITLE_WIDTH + 1
    first, *rest = _wrapped(printable(point.figure), "", width - margin)
    yield f"{verdict:<{_VERDICT_WIDTH}}{title:<{_TITLE_WIDTH}} {first}"
    for line in rest:
        yield f"{' ' * margin}{line}"
    for evidence in point.evidence:
        yield from _wrapped(printable(evidence), f"{_INDENT}- ", width)
    for remedy in (*point.remedy, *point.runbooks):
        yield from _wrapped(printable(remedy), f"{_INDENT}> ", width)


def _wrapped(text: str, mark: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False
    ) or [mark]


def _sum(report: Report) -> str:
    counts = {level: sum(one.level is level for one in report.checks) for level in Verdict}
    parts = [
        number(counts[level], one, many)
        for level, one, many in (
            (Verdict.PROBLEM, "problem", "problems"),
            (Verdict.WARNING, "warning", "warnings"),
        )
        if counts[level]
    ]
    unknown = counts[Verdict.UNKNOWN]
    tail = f" ({unknown} of {len(report.checks)} points unknown)" if unknown else ""
    return f"{', '.join(parts) or 'Nothing is wrong'}{tail}"
