"""Requests wait: is the pool too small, or are its checkouts too long?

A leak looks the same from the pool alone: all connections are checked out and requests wait. The
checked-out connections distinguish the three:

- A leaked one does nothing, forever.
- In a pool that is too small they are returned soon: nearly all of the pool is turned over by short
  checkouts, and still requests wait.
- With long checkouts it is turned over too, but by few of them.

Connections that wait for a lock, or are idle in transaction, are the server's findings; those that
wait for a bouncer are the bouncer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from pg_pool_exporter.analysis.correlate.sessions import SILENT
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, known
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.pool_view import PoolView, ProcessView

# Where a page does not report how long checkouts were, the last minutes' utilisation has to do.
_FULL_MINUTES = 5


def capacity_of_pool(pool: PoolView) -> Iterator[Finding]:
    """The finding about a pool whose requests wait for connections that are in use."""
    silent = _silent_max(pool)
    short = [each for each in pool.processes if _is_short(each, silent)]
    if not short:
        return
    app = pool.app_on_server
    worst = max(short, key=lambda each: (each.recent and each.recent.waiting) or 0.0)
    recent = worst.recent
    assert recent is not None
    thresholds = pool.thresholds
    slow = recent.hold is not None and recent.hold >= thresholds.long_checkout
    if recent.hold is None and app is not None and app.sessions is not None:
        longest = app.sessions.oldest("active")
        slow = longest is not None and longest >= thresholds.long_statement
    held_up = pool.waited_for_lock or pool.waited_at_bouncer
    if app is not None and (app.disturbed or (slow and held_up)):
        return  # they waited for the server, for the lock, or for the bouncer
    cause = Cause.LONG_CHECKOUTS if slow else Cause.POOL_TOO_SMALL
    evidence = []
    if recent.waiting is not None:
        evidence.append(
            f"In the last {spell(recent.seconds)}, {recent.waiting:.1f} requests waited on average."
        )
    if recent.hold is not None:
        evidence.append(f"A checkout lasted {spell(recent.hold)} on average.")
    if recent.failed:
        evidence.append(f"{number(recent.failed, 'request', 'requests')} got no connection.")
    if len(short) < len(pool.processes):
        evidence.append(f"{len(short)} of {len(pool.processes)} processes are affected.")
    most = worst.sample.max or 0.0
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if recent.failed else Severity.WARNING,
        subject=pool.subject,
        summary=(
            "Requests wait, because other checkouts last long."
            if slow
            else "Requests wait, although connections come back soon: there are too few."
        ),
        amount=recent.waiting or recent.failed,
        figures=known(
            waiting_requests=recent.waiting,
            failed_requests=recent.failed,
            max_connections=most,
            hold_seconds=recent.hold,
            turnover_ratio=None if recent.turnover is None else recent.turnover / most,
        ),
        evidence=tuple(evidence),
        remedy=remedy(cause, pool.client, pool.framework),
    )


def _silent_max(pool: PoolView) -> int:
    """Upper bound of the pool's connections that were checked out and silent for the threshold."""
    app = pool.app_on_server
    if app is None or app.sessions is None:
        return 0
    return app.sessions.count(*SILENT, longer_than=app.leak_after)


def _is_short(process: ProcessView, silent: int) -> bool:
    """Whether requests wait, and nearly all of the pool is turned over by checkouts that end.

    `silent` of its connections may be leaked.
    """
    recent, sample, thresholds = process.recent, process.sample, process.thresholds
    if recent is None or not sample.max:
        return False
    suffers = (recent.waiting or 0.0) >= thresholds.pool_waiting or recent.failed > 0
    most = thresholds.pool_utilisation * sample.max
    if recent.turnover is not None:
        return suffers and recent.turnover > most
    seen = [one for one in process.active_by_minute[-_FULL_MINUTES:] if not isnan(one)]
    full = bool(seen) and all(one >= most for one in seen)
    full = full and (sample.active or 0.0) - silent >= most
    return suffers and full and not sample.leaked_slots and not sample.overdue
