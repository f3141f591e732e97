"""Requests that wait for a connection: of which pools, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pg_pool_exporter.analysis.checklist.check import Check, few, findings_of, of_findings, unknown
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Verdict
from pg_pool_exporter.analysis.pool_view import PoolView
from pg_pool_exporter.analysis.remedies import OF_BOUNCERS
from pg_pool_exporter.analysis.verdicts.judge import Judged
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.config import thresholds as limit

_WATCH = "Watch for some minutes to see why, and whether it lasts."


def waiting_requests(judged: Judged) -> Check:
    """For a connection of a pool, or of a bouncer."""
    of_pools, bouncer_pools = _of_pools(judged), judged.fleet.bouncer_pools
    if not bouncer_pools:
        return of_pools
    saturated = [pool for pool in bouncer_pools if pool.is_saturated]
    clients = number(sum(pool.waiting for pool in bouncer_pools), "client waits", "clients wait")
    lines = (
        f"{pool}: {number(pool.waiting, 'client waits', 'clients wait')}, the first for "
        f"{spell(pool.sample.oldest_waiting or 0.0)}; {pool.active:g} connections are in use"
        + (f" of {pool.max:g}" if pool.max is not None else "")
        for pool in saturated
    )
    return replace(
        of_pools,
        verdict=max(of_pools.verdict, Verdict.PROBLEM if saturated else Verdict.FINE),
        figure=f"{of_pools.figure}; of bouncers {clients}",
        evidence=(*of_pools.evidence, *few(lines)),
        remedy=(*of_pools.remedy, OF_BOUNCERS) if saturated else of_pools.remedy,
    )


def _of_pools(judged: Judged) -> Check:
    pools = judged.fleet.pools
    if not pools:
        return unknown("waiting_requests", "no pools")
    findings = findings_of(judged, Cause.POOL_TOO_SMALL, Cause.LONG_CHECKOUTS)
    known = [pool.waiting for pool in pools if pool.waiting is not None]
    figure = f"{sum(known):g} wait now" if known else "not reported by any pool"
    if known and len(known) < len(pools):
        figure += f", unknown for {number(len(pools) - len(known), 'pool', 'pools')}"
    point = of_findings("waiting_requests", figure, findings)
    explained_already = {one.subject for one in findings}
    by_server: dict[str, list[Finding]] = {}
    for one in judged.findings:
        if one.subject.server and not one.subject.app:
            by_server.setdefault(one.subject.server, []).append(one)
    causes = [
        (pool, _causes(pool, by_server))
        for pool in pools
        if pool.subject not in explained_already and _requests_wait(pool)
    ]
    is_unexplained = not all(found for _, found in causes)
    levels = [one.severity for _, found in causes for one in found]
    is_known = known or any(
        one.recent is not None and one.recent.waiting is not None
        for pool in pools
        for one in pool.processes
    )
    verdict = max(point.verdict, *levels, Verdict.WARNING if is_unexplained else Verdict.FINE)
    return replace(
        point,
        verdict=Verdict(verdict) if verdict or is_known else Verdict.UNKNOWN,
        evidence=(*point.evidence, *few(_in_words(pool, found) for pool, found in causes)),
        remedy=(*point.remedy, _WATCH) if is_unexplained else point.remedy,
    )


def _requests_wait(pool: PoolView) -> bool:
    """Now, where the pool is full or has not been watched for a minute yet; else not for a moment
    only.
    """
    return any(
        (one.recent.waiting or 0.0) >= limit.POOL_WAITING
        if one.recent is not None and (one.utilisation or 0.0) < 1
        else (one.sample.waiting or 0.0) >= limit.POOL_WAITING
        for one in pool.processes
    )


def _causes(pool: PoolView, by_server: dict[str, list[Finding]]) -> list[Finding]:
    """The findings for which requests to the pool have to wait."""
    own = [*pool.verdict.own, *pool.verdict.of_app]
    app = pool.app_on_server
    if app is None:
        return own
    return own + [
        one
        for one in by_server.get(app.key.server, ())
        if _holds_up(one, pool, locked=app.waited_for_lock)
    ]


def _holds_up(finding: Finding, pool: PoolView, *, locked: bool) -> bool:
    """Whether requests to the pool have to wait for what is wrong with its server."""
    match finding.cause:
        case Cause.LOCK_PILE_UP:
            return locked
        case Cause.SERVER_FULL | Cause.SERVER_OVERSUBSCRIBED:
            # A warning is not full yet; a pool that has all it may have needs no more slots.
            return finding.severity is Severity.PROBLEM and any(
                (one.utilisation or 0.0) < 1 for one in pool.processes
            )
        case Cause.POSTGRESQL_UNREACHABLE:
            return True
        case _:
            return False


def _in_words(pool: PoolView, causes: Iterable[Finding]) -> str:
    wait = (
        "requests wait"
        if pool.waiting is None
        else f"{number(pool.waiting, 'request waits', 'requests wait')} now"
    )
    titles = dict.fromkeys(one.cause.title for one in causes)
    why = f"because of {', '.join(titles)} (see below)" if titles else "why is unknown yet"
    return f"{pool.name}: {wait}, {why}"
