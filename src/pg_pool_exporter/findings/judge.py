"""All findings, the worst first."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.findings.app_causes import of_app
from pg_pool_exporter.findings.finding import Finding
from pg_pool_exporter.findings.pool_causes import of_pool
from pg_pool_exporter.findings.server_causes import of_server
from pg_pool_exporter.findings.situation import Situation
from pg_pool_exporter.findings.target_causes import of_target
from pg_pool_exporter.model import AppOnServer

MOST_FINDINGS = 500
"""More than a person reads: the rest is left out."""


def find(situation: Situation) -> list[Finding]:
    """What is wrong, the worst first; at most `MOST_FINDINGS`."""
    found = sorted(_all(situation), key=lambda one: (-one.severity, -_size(one), str(one.subject)))
    return found[:MOST_FINDINGS]


def _all(situation: Situation) -> Iterator[Finding]:
    for target in situation.targets:
        yield from of_target(target, situation.now)
    for server in situation.servers:
        yield from of_server(server, situation.pools)
    told: set[AppOnServer] = set()
    for pool in situation.pools:
        yield from of_pool(pool)
        if pool.on is not None and (key := AppOnServer(pool.on.server, pool.on.app)) not in told:
            told.add(key)
            yield from of_app(pool.on, pool.client)


def _size(finding: Finding) -> float:
    """Between findings that are equally bad, the one about more connections comes first."""
    names = ("held_connections", "waiting_requests", "waiting_sessions", "sessions")
    return next((finding.figures[name] for name in names if name in finding.figures), 0.0)
