"""The polls of each target: failing targets open, the others folded."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.fleet_view import TargetView
from pg_pool_exporter.model import Health
from pg_pool_exporter.web.page.markup import Html, element, join, left_out, name, section
from pg_pool_exporter.web.page.tables import row, table

MAX_TARGETS = 500
_COLUMNS = ("Target", "Kind", "State", "Why", "Last answer")


def targets_section(targets: Sequence[TargetView], now: float) -> Html:
    """`now` is the time, in seconds since the epoch."""
    down = [one for one in targets if not one.health.up]
    up = [one for one in targets if one.health.up]
    summary = f"{number(len(targets), 'target', 'targets')}: {len(up)} up, {len(down)} not up"
    more = max(0, len(down) - MAX_TARGETS) + max(0, len(up) - MAX_TARGETS)
    return section(
        "targets",
        "Targets",
        element("p", summary if targets else "No targets yet."),
        _table("Targets that are not up", down, now),
        element("details", element("summary", "Targets that are up"), _table("Up", up, now))
        if up
        else None,
        left_out(more),
    )


def _table(caption: str, targets: Sequence[TargetView], now: float) -> Html | None:
    if not targets:
        return None
    rows = (_row(one, now) for one in targets[:MAX_TARGETS])
    return table(caption, _COLUMNS, rows, "targets")


def _row(target: TargetView, now: float) -> Html:
    health = target.health
    last = health.last_success
    return row(
        _COLUMNS,
        name(target.key.label),
        target.key.kind,
        _condition(target),
        _reason(target.health),
        None if last is None else f"{spell(max(0.0, now - last))} ago",
        kind="" if health.up else "problem" if health.polls else "warning",
    )


def _reason(health: Health) -> Html | None:
    if health.reason is None:
        return element("small", ". ".join(health.notes)) if health.notes else None
    return join([health.reason, element("small", health.error or "")])


def _condition(target: TargetView) -> str:
    if target.health.up:
        return "up"
    return "down" if target.health.polls else "not polled yet"
