"""Leaks: connections that are checked out, do nothing, and are not returned.

Their slots were lost by dropping the connection, or both sides prove that they are checked out and
silent, or they are overdue and neither a statement nor a transaction explains that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.app_view import AppView
from pg_pool_exporter.analysis.evidence.blame import blame
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.pool_view import PoolView
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.analysis.wording import biggest, number, spell


def leak_of_pool(pool: PoolView) -> Iterator[Finding]:
    """The leak of one pool."""
    leak = pool.leak
    if not leak.total:
        return
    left = pool.seconds_to_saturation
    full = "; the pool is full" if (pool.utilisation or 0.0) >= 1 else ""
    count = number(leak.total, "connection", "connections")
    kept = blame(pool.overdue_by_site if leak.unreturned else {}, leak.unreturned)
    sites = Counter(pool.dropped_by_site) + Counter(kept.sites)
    yield Finding(
        cause=Cause.LEAK,
        severity=Severity.PROBLEM if leak.is_certain else Severity.WARNING,
        subject=pool.subject,
        summary=(
            f"{count} checked out and not returned{full}."
            if leak.is_certain
            else f"{count} checked out for too long, without a statement or transaction that "
            f"explains it{full}."
        ),
        amount=leak.total,
        figures={
            "leaked_slots": leak.dropped,
            "overdue_connections": leak.overdue,
            "unreturned_connections": leak.proven,
            "held_connections": leak.total,
            **({"utilisation_ratio": pool.utilisation} if pool.utilisation is not None else {}),
            **({"seconds_to_saturation": left} if left is not None else {}),
        },
        evidence=tuple(_evidence(pool)),
        remedy=remedy(Cause.LEAK, pool.client),
        sites=dict(sites.most_common()),
        sites_are_certain=kept.are_certain,
    )


def _evidence(pool: PoolView) -> Iterator[str]:
    leak, app = pool.leak, pool.app_on_server
    if leak.dropped:
        dropped = number(leak.dropped, "connection was", "connections were")
        slots = "slot" if leak.dropped == 1 else "slots"
        yield f"{dropped} dropped without being returned: the pool has lost the {slots} forever."
    if leak.unreturned and leak.overdue:
        overdue = number(leak.overdue, "connection has", "connections have")
        yield f"{overdue} been checked out for longer than {spell(pool.leak_after)}."
    if app is not None and leak.proven:
        sessions = number(leak.proven, "session", "sessions")
        yield (
            f"Server {app.key.server} reports {sessions} idle for longer than "
            f"{spell(app.leak_after)}; at each reading in that time at least that many connections "
            "were checked out."
        )
        if app.evidence.unreturned_at and app.pools == 1:
            yield f"Their sessions come from {biggest(app.evidence.unreturned_at)}."
    if app is not None and leak.unreturned and app.lost_sessions_now:
        of = f"of {app.key.app}"
        lost = number(app.lost_sessions_now, f"connection {of} has", f"connections {of} have")
        yield (
            f"{lost} no session on server {app.key.server} any more: ending a session does not "
            "return its connection to the pool."
        )
    if left := pool.seconds_to_saturation:
        yield f"At this pace a pool is full in {spell(left)}."
    if pool.failed:
        yield (
            f"{number(pool.failed, 'request', 'requests')} got no connection in the last "
            f"{spell(pool.watched)}."
        )


def leak_of_app(app: AppView, pools: Iterable[PoolView]) -> Iterator[Finding]:
    """The leak of an application that has several `pools` on a server: what both sides prove beyond
    the leaks of the single pools is in one of them, unknown which.
    """
    pools = list(pools)
    more = (app.evidence.unreturned or 0.0) - sum(pool.leak.unreturned for pool in pools)
    if app.pools < 2 or not pools or more <= 0:
        return
    at = app.evidence.unreturned_at
    yield Finding(
        cause=Cause.LEAK,
        severity=Severity.PROBLEM,
        subject=Subject(app=app.key.app, server=app.key.server),
        summary=f"{number(more, 'connection', 'connections')} checked out and not returned.",
        amount=more,
        figures={"unreturned_connections": more},
        evidence=(
            (
                f"Server {app.key.server} reports "
                f"{number(app.evidence.unreturned or 0.0, 'session', 'sessions')} idle for longer "
                f"than {spell(app.leak_after)}; at each reading in that time at least that many "
                "connections were checked out."
            ),
            *((f"Their sessions come from {biggest(at)}.",) if at else ()),
            f"They belong to one or several of its {app.pools} pools on this server.",
        ),
        remedy=remedy(Cause.LEAK, pools[0].client),
    )
