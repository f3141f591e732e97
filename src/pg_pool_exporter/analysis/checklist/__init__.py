"""The checklist that an engineer goes through by hand, each point with a verdict. Pure.

What is wrong is what the findings say; the checklist adds what is fine, what can't be told, and the
settings that are missing.
"""

from __future__ import annotations

from collections.abc import Callable

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.checklist import pools, servers, sessions, targets, waiting
from pg_pool_exporter.analysis.checklist.check import Check, Verdict

__all__ = ["Check", "Verdict", "checklist"]

_CHECKS: tuple[Callable[[Diagnosis], Check], ...] = (
    targets.targets,
    pools.pool_use,
    waiting.waiting_requests,
    pools.leaks,
    sessions.sessions,
    sessions.old_sessions,
    sessions.idle_in_transaction,
    sessions.lock_waits,
    sessions.deadlocks,
    pools.timeouts,
    servers.settings,
    servers.demand_and_supply,
)


def checklist(diagnosis: Diagnosis) -> list[Check]:
    """All points, always the same ones in the same order."""
    return [check(diagnosis) for check in _CHECKS]
