"""Lock waits and deadlocks on a server."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.aggregate import summed
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Sign, Subject
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import MOST_NAMED, biggest, number, spell
from pg_pool_exporter.analysis.records.server_view import ServerView


def locks_of_server(server: ServerView) -> Iterator[Finding]:
    """The finding about sessions that wait for locks for long, or in numbers, or deadlocked."""
    thresholds = server.thresholds.general
    count, oldest, deadlocks = server.waiting, server.oldest_waiting, server.deadlock_count
    is_pile = count >= thresholds.lock_pile_up
    signs = set()
    if is_pile or oldest >= thresholds.lock_wait:
        signs.add(Sign.LOCK_WAIT)
    if deadlocks:
        signs.add(Sign.DEADLOCK)
    if not signs:
        return
    groups = server.sample.groups.items()
    evidence = []
    if count:
        waiting = summed((key.application, group.waiting or 0.0) for key, group in groups)
        evidence.append(f"Waiting: {biggest(waiting)}; the longest for {spell(oldest)}.")
    if server.blocking:
        blocking = summed((key.application, group.blocking or 0.0) for key, group in groups)
        blocked = "some of them" if any(group.blocking is None for _, group in groups) else "them"
        evidence.append(f"Blocking {blocked}: {biggest(blocking)}.")
    if deadlocks:
        evidence.append(
            f"PostgreSQL resolved {number(deadlocks, 'deadlock', 'deadlocks')} in the last 15 "
            f"minutes, in database {', '.join(sorted(server.deadlocks)[:MOST_NAMED])}."
        )
    summary = f"{number(count, 'session waits', 'sessions wait')} for a lock."
    if Sign.LOCK_WAIT not in signs:
        summary = "Transactions deadlocked."
    yield Finding(
        cause=Cause.LOCK_PILE_UP,
        severity=Severity.PROBLEM if is_pile else Severity.WARNING,
        subject=Subject(server=server.name),
        summary=summary,
        amount=count or deadlocks,
        figures={
            "waiting_sessions": count,
            "oldest_waiting_seconds": oldest,
            "blocking_sessions": server.blocking,
            "deadlocks": deadlocks,
        },
        signs=frozenset(signs),
        evidence=tuple(evidence),
        remedy=remedy(Cause.LOCK_PILE_UP),
    )
