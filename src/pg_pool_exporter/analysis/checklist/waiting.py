"""The point about requests that wait for a connection: of which pools, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.checklist.check import (
    Check,
    Verdict,
    few,
    findings_of,
    judged,
    pool_name,
    unknown,
)
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import Pool
from pg_pool_exporter.analysis.remedies import OF_BOUNCERS
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.config import thresholds as limit

_WATCH = "Watch for some minutes to know why, and whether it lasts."


def waiting_requests(diagnosis: Diagnosis) -> Check:
    """For a connection of a pool, or of a bouncer."""
    of_pools, bouncers_pools = _of_pools(diagnosis), diagnosis.situation.bouncers_pools
    if not bouncers_pools:
        return of_pools
    crowded = [pool for pool in bouncers_pools if pool.crowded]
    clients = number(sum(pool.waiting for pool in bouncers_pools), "client waits", "clients wait")
    told = (
        f"{pool}: {number(pool.waiting, 'client waits', 'clients wait')}, the first for "
        f"{spell(pool.sample.oldest_waiting or 0.0)}; {pool.active:g} connections are in use"
        + (f" of {pool.most:g}" if pool.most is not None else "")
        for pool in crowded
    )
    return replace(
        of_pools,
        verdict=max(of_pools.verdict, Verdict.PROBLEM if crowded else Verdict.FINE),
        figure=f"{of_pools.figure}; of bouncers {clients}",
        evidence=(*of_pools.evidence, *few(told)),
        remedy=(*of_pools.remedy, OF_BOUNCERS) if crowded else of_pools.remedy,
    )


def _of_pools(diagnosis: Diagnosis) -> Check:
    pools = diagnosis.situation.pools
    if not pools:
        return unknown("waiting_requests", "no pools")
    findings = findings_of(diagnosis, Cause.POOL_TOO_SMALL, Cause.LONG_CHECKOUTS)
    point = judged(
        "waiting_requests", f"{sum(pool.sum('waiting') for pool in pools):g} wait now", findings
    )
    judged_pools = {one.subject for one in findings}
    others = [pool for pool in pools if pool.subject not in judged_pools and _requests_wait(pool)]
    reasons = _Reasons(diagnosis.findings)
    explained = [(pool, reasons.of(pool)) for pool in others]
    is_unexplained = not all(causes for _, causes in explained)
    levels = [one.severity for _, causes in explained for one in causes]
    return replace(
        point,
        verdict=Verdict(
            max(point.verdict, *levels, Verdict.WARNING if is_unexplained else Verdict.FINE)
        ),
        evidence=(*point.evidence, *few(_told(pool, causes) for pool, causes in explained)),
        remedy=(*point.remedy, _WATCH) if is_unexplained else point.remedy,
    )


def _requests_wait(pool: Pool) -> bool:
    """Now, where the pool is full or has not been watched for a minute yet; else not for a moment
    only.
    """
    return any(
        (one.recent.waiting or 0.0) >= limit.POOL_WAITING
        if one.recent is not None and (one.use or 0.0) < 1
        else (one.sample.waiting or 0.0) >= limit.POOL_WAITING
        for one in pool.processes
    )


class _Reasons:
    """What else is wrong, for which requests have to wait."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._by_subject: dict[Subject, list[Finding]] = {}
        for one in findings:
            self._by_subject.setdefault(one.subject, []).append(one)

    def of(self, pool: Pool) -> list[Finding]:
        about = (pool.subject, *pool.wider_subjects)
        own = [one for subject in about for one in self._by_subject.get(subject, ())]
        if pool.on is None:
            return own
        return own + [
            one
            for one in self._by_subject.get(Subject(server=pool.on.server), ())
            if _holds_up(one, pool, locked=pool.on.locked)
        ]


def _holds_up(finding: Finding, pool: Pool, *, locked: bool) -> bool:
    """Whether requests to the pool have to wait for what is wrong with its server."""
    match finding.cause:
        case Cause.LOCK_PILE_UP:
            return locked
        case Cause.SERVER_FULL | Cause.SERVER_OVERSUBSCRIBED:
            # A warning is not full yet; a pool that has all it may have needs no more slots.
            return finding.severity is Severity.PROBLEM and any(
                (one.use or 0.0) < 1 for one in pool.processes
            )
        case Cause.POSTGRESQL_UNREACHABLE:
            return True
        case _:
            return False


def _told(pool: Pool, reasons: Iterable[Finding]) -> str:
    wait = number(pool.sum("waiting"), "request waits", "requests wait")
    causes = dict.fromkeys(one.cause.title for one in reasons)
    why = f"because of what is told below: {', '.join(causes)}" if causes else "not known yet why"
    return f"{pool_name(pool)}: {wait} now, {why}"
