"""All findings, the worst first."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.finding import Cause, Finding
from pg_pool_exporter.analysis.fleet_view import Pool, Situation
from pg_pool_exporter.analysis.verdicts.apps import of_app
from pg_pool_exporter.analysis.verdicts.pools import kept, of_pool
from pg_pool_exporter.analysis.verdicts.servers import of_server
from pg_pool_exporter.analysis.verdicts.targets import of_target
from pg_pool_exporter.model import AppOnServer

MOST_FINDINGS = 500
"""More than a person reads: the rest is left out."""


def find(situation: Situation) -> list[Finding]:
    """What is wrong, the worst first; at most `MOST_FINDINGS`."""
    found = sorted(_all(situation), key=_badness)
    return found[:MOST_FINDINGS]


def _all(situation: Situation) -> Iterator[Finding]:
    for target in situation.targets:
        yield from of_target(target, situation.now)
    for server in situation.servers:
        yield from of_server(server, situation.pools)
    apps: dict[AppOnServer, list[Pool]] = {}
    for pool in situation.pools:
        yield from of_pool(pool)
        if pool.on is not None:
            apps.setdefault(AppOnServer(pool.on.server, pool.on.app), []).append(pool)
    for pools in apps.values():
        on, client = pools[0].on, pools[0].client
        if on is not None and on.pools > 1:
            yield from of_app(on, client, sum(map(kept, pools)))


def _badness(finding: Finding) -> tuple[float, bool, float, str]:
    """A server that does not answer is why others suffer: it is told before them."""
    away = finding.cause is Cause.POSTGRESQL_UNREACHABLE
    return -finding.severity, not away, -_size(finding), str(finding.subject)


def _size(finding: Finding) -> float:
    """Between findings that are equally bad, the one about more connections comes first."""
    names = ("held_connections", "waiting_requests", "waiting_sessions", "sessions")
    return next((finding.figures[name] for name in names if name in finding.figures), 0.0)
