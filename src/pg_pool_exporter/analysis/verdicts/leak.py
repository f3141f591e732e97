"""Leaks: connections that are checked out, do nothing, and are not returned.

Their slots were lost by dropping the connection, or both sides prove that they are checked out and
silent, or Little's law estimates that, or they are overdue and no session that works explains that.
A silent open transaction does not explain a checkout: the library may have begun it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.evidence.blame import Blame, blame
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject, known
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import biggest, number, spell
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.verdicts import open_transactions


def leak_of_pool(pool: PoolView) -> Iterator[Finding]:
    """The leak of one pool."""
    leak = pool.leak
    if not leak.total:
        return
    left = pool.seconds_to_saturation
    blamed = _blamed(pool)
    kept_on = pool.app_on_server if leak.unreturned else None
    yield Finding(
        cause=Cause.LEAK,
        severity=Severity.PROBLEM if leak.is_certain else Severity.WARNING,
        subject=pool.subject,
        summary=_summary(pool),
        amount=leak.total,
        figures=known(
            leaked_slots=leak.dropped,
            overdue_connections=leak.overdue,
            unreturned_connections=leak.proven,
            unexplained_connections=leak.estimated or None,
            held_connections=leak.total,
            **open_transactions.figure(kept_on),
            utilisation_ratio=pool.utilisation,
            seconds_to_saturation=left,
        ),
        signs=open_transactions.signs(kept_on),
        evidence=tuple(_evidence(pool)),
        remedy=_remedy(pool, kept_on),
        sites=blamed.sites,
        sites_are_certain=blamed.are_certain,
    )


def _blamed(pool: PoolView) -> Blame:
    """The lines that drop connections, and those that keep them, as far as these are certain."""
    kept = blame(pool.overdue_by_site if pool.leak.unreturned else {}, pool.leak.unreturned)
    if not kept.are_certain and not pool.dropped_by_site:
        return kept
    sites = Counter(pool.dropped_by_site) + Counter(kept.sites if kept.are_certain else {})
    return Blame(dict(sites.most_common()), True)


def _summary(pool: PoolView) -> str:
    leak = pool.leak
    count = number(leak.total, "connection", "connections")
    full = "; the pool is full" if (pool.utilisation or 0.0) >= 1 else ""
    if leak.is_certain:
        return f"{count} checked out and not returned{full}."
    if leak.unexplained:
        overdue = number(leak.total, "overdue connection", "overdue connections")
        them = "it" if leak.total == 1 else "them"
        if leak.unexplained_ago:
            explains = f"explained {them} until {spell(leak.unexplained_ago)} ago"
        else:
            explains = f"explains {them}"
        return f"{overdue}: no running statement or transaction {explains}{full}."
    return f"About {count} checked out and not returned, by an estimate{full}."


def _remedy(pool: PoolView, kept_on: AppView | None) -> str:
    parts = remedy(Cause.LEAK, pool.client, pool.framework), open_transactions.remedy(kept_on)
    return " ".join(filter(None, parts))


def _evidence(pool: PoolView) -> Iterator[str]:
    leak, app = pool.leak, pool.app_on_server
    if leak.dropped:
        dropped = number(leak.dropped, "connection was", "connections were")
        slots = "slot" if leak.dropped == 1 else "slots"
        yield f"{dropped} dropped without being returned: the pool has lost the {slots} forever."
    if leak.unreturned and leak.overdue:
        overdue = number(leak.overdue, "connection has", "connections have")
        lines = pool.overdue_by_site
        at = f", at {biggest(lines)}" if len(lines) > 1 else ""
        yield f"{overdue} been checked out for longer than {spell(pool.leak_after)}{at}."
    if app is not None and leak.proven:
        yield _proof(app, leak.proven)
        if app.recent_evidence.unreturned_at and app.pools == 1:
            yield f"Their sessions come from {biggest(app.recent_evidence.unreturned_at)}."
    if app is not None and leak.estimated:
        yield from _estimate(pool, app)
    if leak.unreturned:
        yield from open_transactions.evidence(app)
    if app is not None and leak.unreturned and app.lost_sessions_now:
        of = f"of {app.key.app}"
        lost = number(app.lost_sessions_now, f"connection {of} has", f"connections {of} have")
        yield (
            f"{lost} no session on {app.key.title} any more: ending a session does not "
            "return its connection to the pool."
        )
    if left := pool.seconds_to_saturation:
        yield f"At this pace a pool is full in {spell(left)}."
    if pool.failed:
        yield (
            f"{number(pool.failed, 'request', 'requests')} got no connection in the last "
            f"{spell(pool.watched)}."
        )


def _proof(app: AppView, count: float) -> str:
    what, where = "client" if app.key.bouncers else "session", app.key.title
    ago = app.recent_evidence.unreturned_ago
    when = f"until {spell(ago)} ago, at each reading," if ago else "at each reading in that time"
    return (
        f"{where[0].upper()}{where[1:]} reports {number(count, what, f'{what}s')} idle or idle in "
        f"transaction for longer than {spell(app.leak_after)}; {when} at least that many "
        "connections were checked out."
    )


def _estimate(pool: PoolView, app: AppView) -> Iterator[str]:
    count = number(pool.leak.estimated, "connection was", "connections were")
    ago = app.recent_evidence.unexplained_ago
    until = f", until {spell(ago)} ago," if ago else ""
    yield (
        f"{count} checked out at every reading for at least {spell(app.leak_after)}{until} beyond "
        "what returned checkouts and working sessions explain (Little's law). It assumes that "
        "requests come independently of each other, and that a session works whose checkout is "
        "longer."
    )
    found = app.recent_evidence.unexplained_in
    processes = [each.sample.key for each in pool.processes]
    if len(processes) > 1:
        by_process = {key.process: found[key] for key in processes if found.get(key)}
        yield f"By process: {biggest(by_process)}."


def leak_of_app(app: AppView, pools: Iterable[PoolView]) -> Iterator[Finding]:
    """The leak of an application that has several `pools` on a server: what both sides prove beyond
    the leaks of the single pools is in one of them, unknown which.
    """
    pools = list(pools)
    more = app.recent_evidence.unreturned - sum(pool.leak.unreturned for pool in pools)
    if app.pools < 2 or not pools or more <= 0:
        return
    at = app.recent_evidence.unreturned_at
    yield Finding(
        cause=Cause.LEAK,
        severity=Severity.PROBLEM,
        subject=Subject(app=app.key.app, server=app.key.server, bouncer=app.key.bouncer),
        summary=f"{number(more, 'connection', 'connections')} checked out and not returned.",
        amount=more,
        figures={"unreturned_connections": more, **open_transactions.figure(app)},
        signs=open_transactions.signs(app),
        evidence=(
            _proof(app, app.recent_evidence.unreturned),
            *((f"Their sessions come from {biggest(at)}.",) if at else ()),
            f"They belong to one or several of its {app.pools} pools on this server.",
            *open_transactions.evidence(app),
        ),
        remedy=_remedy(pools[0], app),
    )
