"""`/api/v1/findings`: what is wrong and what is known, for programs.

The shape is part of the interface (docs/findings.md): keys are added, never renamed or removed;
another shape would be `/api/v2`. Numbers that can't be known are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pg_pool_exporter.analysis import (
    BouncersPool,
    Check,
    Diagnosis,
    Finding,
    Pool,
    Server,
    Subject,
    checklist,
)
from pg_pool_exporter.polling.store import TargetState

VERSION = 1
MOST_POOLS = 1000
"""The fullest; the others are counted."""
MOST_TARGETS = 2000
"""Those that are down come first; the others are counted."""


def findings_json(diagnosis: Diagnosis, generated: float) -> str:
    """The document as text, ASCII only. `generated` is the time, in seconds since the epoch."""
    situation = diagnosis.situation
    pools = sorted(situation.pools, key=lambda pool: -(pool.fullest.use or 0.0))
    targets = sorted(situation.targets, key=lambda state: state.health.up)
    return json.dumps(
        {
            "version": VERSION,
            "generated": generated,
            "checks": [_check(one) for one in checklist(diagnosis)],
            "findings": [_finding(one) for one in diagnosis.findings],
            "pools": [_pool(one) for one in pools[:MOST_POOLS]],
            "pools_left_out": max(0, len(pools) - MOST_POOLS),
            "bouncer_pools": [_bouncers_pool(one) for one in situation.bouncers_pools[:MOST_POOLS]],
            "bouncer_pools_left_out": max(0, len(situation.bouncers_pools) - MOST_POOLS),
            "servers": [_server(one) for one in situation.servers],
            "targets": [_target(one) for one in targets[:MOST_TARGETS]],
            "targets_left_out": max(0, len(targets) - MOST_TARGETS),
        },
        allow_nan=False,
    )


def _check(check: Check) -> dict[str, Any]:
    return {
        "check": check.name,
        "verdict": check.verdict.title,
        "figure": check.figure,
        "evidence": list(check.evidence),
        "remedy": list(check.remedy),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.cause.value,
        "severity": finding.severity.title,
        "subject": _subject(finding.subject),
        "summary": finding.summary,
        "figures": {name: _number(value) for name, value in finding.figures.items()},
        "evidence": list(finding.evidence),
        "remedy": finding.remedy,
        "sites": [
            {"site": site, "connections": _number(count)} for site, count in finding.sites.items()
        ],
        "sites_are_certain": finding.sites_are_certain,
    }


def _subject(subject: Subject) -> dict[str, str]:
    parts = {
        "app": subject.app,
        "pool": subject.pool,
        "server": subject.server,
        "target": subject.target.title if subject.target else "",
    }
    return {name: value for name, value in parts.items() if value}


def _pool(pool: Pool) -> dict[str, Any]:
    on = pool.on
    return {
        "app": pool.app,
        "pool": pool.pool,
        "server": None if on is None else on.server,
        "client": pool.client,
        "processes": len(pool.processes),
        "active": _number(pool.sum("active")),
        "idle": _number(pool.sum("idle")),
        "waiting": _number(pool.sum("waiting")),
        "max": _number(pool.most),
        "use": _number(pool.fullest.use),
        "seconds_to_saturation": _number(pool.seconds_to_saturation()),
        "leaked_slots": _number(pool.at_all_sites("leaked_slots")),
        "overdue": _number(pool.at_all_sites("overdue")),
        "unreturned": None if on is None else _number(on.unreturned),
        "suspects": None if on is None else _number(on.suspects),
        "missing_sessions": None if on is None else _number(on.missing),
        "active_by_minute": _numbers(pool.active_by_minute()),
    }


def _bouncers_pool(pool: BouncersPool) -> dict[str, Any]:
    return {
        "bouncer": pool.bouncer,
        "database": pool.key.database,
        "user": pool.key.user,
        "active": _number(pool.active),
        "idle": _number(pool.idle),
        "max": _number(pool.most),
        "use": _number(pool.use),
        "waiting": _number(pool.waiting),
        "oldest_waiting_seconds": _number(pool.sample.oldest_waiting),
    }


def _server(server: Server) -> dict[str, Any]:
    return {
        "server": server.name,
        "version": server.sample.settings.version,
        "used": server.sample.used,
        "available": server.available,
        "demand": _number(server.demand),
        "waiting": sum(group.waiting or 0 for group in server.sample.groups.values()),
        "deadlocks": _number(sum(server.deadlocks.values())),
    }


def _target(state: TargetState) -> dict[str, Any]:
    health = state.health
    return {
        "kind": state.key.kind,
        "target": state.key.label,
        "up": health.up,
        "polls": health.polls,
        "reason": health.reason,
        "error": health.error,
        "last_success": health.last_success,
    }


def _numbers(values: Iterable[float]) -> list[float | int | None]:
    return [_number(round(value, 2)) for value in values]


def _number(value: float | None) -> float | int | None:
    """As JSON has it: whole numbers without a point, and no infinity."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value == int(value) else value
