"""`/api/v1/findings`: records and findings, for programs.

The shape is part of the interface (docs/reference/findings.md): keys are added, never renamed or
removed; another shape would be `/api/v2`. Unknown numbers are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pg_pool_exporter.analysis.advice.advice import PoolAdvice, ServerAdvice
from pg_pool_exporter.analysis.advice.wording import of_server, sentences, title
from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.checklist.check import Check
from pg_pool_exporter.analysis.correlate.chain import Holder
from pg_pool_exporter.analysis.findings.finding import Finding
from pg_pool_exporter.analysis.findings.remedies import runbook
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView
from pg_pool_exporter.analysis.records.fleet_view import TargetView
from pg_pool_exporter.analysis.records.limit_chain import Link
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.model import LeakEvidence
from pg_pool_exporter.web.paths import RUNBOOKS

VERSION = 1
MAX_POOLS = 1000
"""Those of the highest utilisation; the others are counted."""
MAX_HOLDERS = 20
"""Clients of a bouncer's pool that have a connection, those of the oldest requests."""
MAX_TARGETS = 2000
"""Those that are down first; the others are counted."""


def findings_json(analysis: Analysis, generated: float, runbooks: str = RUNBOOKS) -> str:
    """The document as text, ASCII only.

    `generated` is the time, in seconds since the epoch; `runbooks` the address of the runbooks.
    """
    fleet = analysis.fleet
    pools = sorted(fleet.pools, key=lambda pool: -(pool.utilisation or 0.0))
    targets = sorted(fleet.targets, key=lambda target: target.health.up)
    parts = {
        "version": [json.dumps(VERSION)],
        "generated": [json.dumps(generated)],
        "analysed": [json.dumps(analysis.made)],
        "checks": _array(_check(one, runbooks) for one in analysis.checks),
        "findings": _array(_finding(one, runbooks) for one in analysis.findings),
        "pools": _array(map(_pool, pools[:MAX_POOLS])),
        "pools_left_out": [json.dumps(max(0, len(pools) - MAX_POOLS))],
        "bouncer_pools": _array(map(_bouncer_pool, fleet.bouncer_pools[:MAX_POOLS])),
        "bouncer_pools_left_out": [json.dumps(max(0, len(fleet.bouncer_pools) - MAX_POOLS))],
        "sizes": _array(map(_size, analysis.advice.pools[:MAX_POOLS])),
        "sizes_left_out": [json.dumps(max(0, len(analysis.advice.pools) - MAX_POOLS))],
        "sizes_by_server": _array(map(_sizes_of_server, analysis.advice.servers)),
        "limits": _array(
            _limit(bouncer, link) for bouncer, links in fleet.limits.items() for link in links
        ),
        "servers": _array(map(_server, fleet.servers)),
        "targets": _array(map(_target, targets[:MAX_TARGETS])),
        "targets_left_out": [json.dumps(max(0, len(targets) - MAX_TARGETS))],
    }
    members = (f'"{key}": {"".join(part)}' for key, part in parts.items())
    return f"{{{', '.join(members)}}}"


def _array(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The array in pieces: Python's encoder lets no other thread run until it has returned."""
    yield "["
    for at, item in enumerate(items):
        yield (", " if at else "") + json.dumps(item, allow_nan=False)
    yield "]"


def _check(check: Check, runbooks: str) -> dict[str, Any]:
    return {
        "check": check.name,
        "verdict": check.verdict.title,
        "figure": check.figure,
        "evidence": list(check.evidence),
        "remedy": list(check.remedy),
        "runbooks": list(filter(None, (runbook(cause, runbooks) for cause in check.causes))),
    }


def _finding(finding: Finding, runbooks: str) -> dict[str, Any]:
    return {
        "cause": finding.cause.value,
        "severity": finding.severity.title,
        "subject": finding.subject.parts,
        "summary": finding.summary,
        "amount": _number(finding.amount),
        "figures": {name: _number(value) for name, value in finding.figures.items()},
        "evidence": list(finding.evidence),
        "remedy": finding.remedy,
        "runbook": runbook(finding.cause, runbooks),
        "sites": [
            {"site": site, "connections": _number(count)} for site, count in finding.sites.items()
        ],
        "sites_are_certain": finding.sites_are_certain,
    }


def _pool(pool: PoolView) -> dict[str, Any]:
    app = pool.app_on_server
    evidence = app.evidence if app is not None else LeakEvidence()
    return {
        "app": pool.app,
        "pool": pool.pool,
        "server": pool.subject.server or None,
        "bouncers": list(app.key.bouncers) if app is not None else [],
        "client": pool.client,
        "processes": len(pool.processes),
        "pids": {
            each.sample.key.process: each.sample.info.pid
            for each in pool.processes
            if each.sample.info is not None and each.sample.info.pid
        },
        "active": _number(pool.active),
        "idle": _number(pool.idle),
        "waiting": _number(pool.waiting),
        "max": _number(pool.max),
        "utilisation": _number(pool.utilisation),
        "seconds_to_saturation": _number(pool.seconds_to_saturation),
        "leaked_slots": _number(pool.leak.dropped if pool.reports_dropped else None),
        "overdue": _number(pool.overdue if pool.reports_overdue else None),
        "unreturned": _number(evidence.unreturned),
        "suspected": _number(evidence.suspected),
        "unexplained": _number(evidence.unexplained),
        "missing_sessions": _number(evidence.missing),
        "active_by_minute": _numbers(pool.active_by_minute),
    }


def _size(one: PoolAdvice) -> dict[str, Any]:
    needed = one.needed
    return {
        "app": one.subject.app,
        "pool": one.subject.pool,
        "server": one.subject.server or None,
        "processes": one.processes,
        "max": one.size,
        "advice": one.direction.value,
        "title": title(one),
        "sentences": list(sentences(one)),
        "recommended": one.recommended,
        "needed_99": None if needed is None else needed.for_shares[0],
        "needed_999": None if needed is None else needed.for_shares[1],
        "needed_for_wait": None if needed is None else needed.for_wait,
        "wait_seconds": one.wait,
        "never_needed": one.unused,
        "is_lower_bound": needed is not None and needed.at_least,
        "is_estimate": one.is_estimated,
        "bounded_by": one.bounded_by or None,
        "fix_first": None if one.fix_first is None else one.fix_first.value,
        "demand": _number(one.day.busiest.demand),
        "watched_seconds": _number(one.day.watched),
    }


def _sizes_of_server(server: ServerAdvice) -> dict[str, Any]:
    return {
        "server": server.name,
        "available": server.available,
        "pools_max": _number(server.pools_max),
        "needed": server.needed,
        "recommended": server.recommended,
        "working": server.working,
        "summary": of_server(server),
    }


def _bouncer_pool(pool: BouncerPoolView) -> dict[str, Any]:
    return {
        "bouncer": pool.bouncer,
        "database": pool.key.database,
        "user": pool.key.user,
        "active": _number(pool.active),
        "idle": _number(pool.idle),
        "max": _number(pool.max),
        "utilisation": _number(pool.utilisation),
        "waiting": _number(pool.waiting),
        "oldest_waiting_seconds": _number(pool.sample.oldest_waiting),
        "mode": pool.sample.mode or None,
        "waiting_by_application": {
            name: _number(count) for name, count in pool.waiting_by_application.items()
        },
        "holders": [_holder(one) for one in pool.holders[:MAX_HOLDERS]],
        "holders_left_out": max(0, len(pool.holders) - MAX_HOLDERS),
    }


def _holder(holder: Holder) -> dict[str, Any]:
    """A client, the connection that it has, and the session behind it."""
    hold, backend = holder.hold, holder.backend
    return {
        "application": hold.application,
        "address": hold.address,
        "port": hold.port,
        "silent_seconds": _number(hold.silent_for),
        "server": holder.server,
        "pid": hold.pid,
        "state": None if backend is None else backend.state,
        "state_seconds": _number(None if backend is None else backend.age),
        "transaction_seconds": _number(None if backend is None else backend.transaction),
    }


def _limit(bouncer: str, link: Link) -> dict[str, Any]:
    """A limit from the applications' pools through a bouncer to the server."""
    return {
        "bouncer": bouncer,
        "setting": link.setting,
        "whose": link.whose,
        "demand": _number(link.demand),
        "limit": _number(link.most),
        "demanded_by": {name: _number(count) for name, count in link.demanded_by.items()},
    }


def _server(server: ServerView) -> dict[str, Any]:
    return {
        "server": server.name,
        "version": server.sample.settings.version,
        "used": server.sample.used,
        "available": server.available,
        "pools_max": _number(server.pools_max),
        "waiting": server.waiting,
        "deadlocks": _number(server.deadlock_count),
    }


def _target(target: TargetView) -> dict[str, Any]:
    health = target.health
    return {
        "kind": target.key.kind,
        "target": target.key.label,
        "up": health.up,
        "polls": health.polls,
        "reason": health.reason,
        "error": health.error,
        "notes": list(health.notes),
        "last_success": health.last_success,
    }


def _numbers(values: Iterable[float]) -> list[float | int | None]:
    return [_number(round(value, 2)) for value in values]


def _number(value: float | None) -> float | int | None:
    """As JSON spells it: whole numbers without a point, infinities as null."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value == int(value) else value
