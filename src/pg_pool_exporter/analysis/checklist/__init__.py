"""The checklist that an engineer goes through by hand, each point with a verdict. Pure.

The findings say what is wrong; the checklist adds what is fine, what is unknown, and the settings
that are missing.
"""

from __future__ import annotations

from collections.abc import Callable

from pg_pool_exporter.analysis.checklist import (
    bouncers,
    check,
    exporter,
    pools,
    servers,
    sessions,
    targets,
    waiting,
)
from pg_pool_exporter.analysis.checklist.check import Check
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.findings.finding import Verdict
from pg_pool_exporter.analysis.verdicts.judge import Judged

__all__ = ["Check", "Verdict", "checklist"]

_CHECKS: tuple[Callable[[Judged], Check], ...] = (
    targets.targets,
    pools.pool_utilisation,
    waiting.waiting_requests,
    bouncers.bouncers,
    pools.leaks,
    pools.pool_handling,
    sessions.sessions,
    sessions.old_sessions,
    sessions.idle_in_transaction,
    sessions.lock_waits,
    sessions.deadlocks,
    pools.timeouts,
    servers.settings,
    servers.demand_and_supply,
    exporter.exporter,
)


def checklist(judged: Judged, faults: Faults) -> tuple[Check, ...]:
    """All points, always the same ones in the same order. A fault makes its point unknown."""

    def made(point: Callable[[Judged], Check]) -> Check:
        with faults.contained("checklist"):
            return point(judged)
        return check.unknown(point.__name__, "check failed: see the log")

    return tuple(map(made, _CHECKS))
