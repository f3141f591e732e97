"""Requests that wait for a connection, by pool, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pg_pool_exporter.analysis.checklist.bouncers import CAUSES
from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings, unknown
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Verdict
from pg_pool_exporter.analysis.findings.wording import few, number
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.verdicts.judge import Judged

# Their finding says that requests wait; those with another cause are points of their own.
_OWN = (Cause.POOL_TOO_SMALL, Cause.LONG_CHECKOUTS, Cause.UNKNOWN)


def waiting_requests(judged: Judged) -> Check:
    """For a connection of a pool, or of a bouncer."""
    pools = judged.fleet.pools
    if not pools and not judged.fleet.bouncer_pools:
        return unknown("waiting_requests", "no pools")
    point = of_findings("waiting_requests", _figure(judged), findings_of(judged, *_OWN))
    explained = [
        (pool, why)
        for pool in pools
        if pool.requests_wait
        and not any(one.cause in _OWN for one in pool.verdict.own)
        and (why := pool.verdict.explanations)
    ]
    for_a_moment = [pool for pool in pools if not pool.requests_wait and _may_wait(pool)]
    behind = [one for one in findings_of(judged, *CAUSES) if one.figures.get("waiting_clients")]
    causes = (*(one for _, why in explained for one in why), *behind)
    verdict = max([point.verdict, *(Verdict(one.severity) for one in causes)])
    if verdict is Verdict.FINE and (for_a_moment or (pools and not any(map(_is_known, pools)))):
        verdict = Verdict.UNKNOWN
    return replace(
        point,
        verdict=verdict,
        evidence=(
            *point.evidence,
            *few(
                f"{_wait(pool)}, because of {_titles(why)} (see below)" for pool, why in explained
            ),
            *few(
                f"{one.subject}: clients wait, because of {one.cause.title} (see below)"
                for one in behind
            ),
            *few(f"{_wait(pool)}; whether that lasts is unknown yet" for pool in for_a_moment),
        ),
    )


def _figure(judged: Judged) -> str:
    pools, bouncer_pools = judged.fleet.pools, judged.fleet.bouncer_pools
    figures = []
    if pools:
        known = [pool.waiting for pool in pools if pool.waiting is not None]
        figure = f"{sum(known):g} wait now" if known else "not reported by any pool"
        if known and len(known) < len(pools):
            figure += f", unknown for {number(len(pools) - len(known), 'pool', 'pools')}"
        figures.append(figure)
    if bouncer_pools:
        waiting = sum(pool.waiting for pool in bouncer_pools)
        figures.append(f"at bouncers {number(waiting, 'client waits', 'clients wait')}")
    return "; ".join(figures)


def _is_known(pool: PoolView) -> bool:
    """Whether it is known how many requests wait, now or on average."""
    return pool.waiting is not None or any(
        one.recent is not None and one.recent.waiting is not None for one in pool.processes
    )


def _may_wait(pool: PoolView) -> bool:
    """Whether requests wait at the last reading, and it is not known that this is only a burst."""
    return any(
        (each.sample.waiting or 0.0) >= pool.thresholds.pool_waiting
        and (each.recent is None or (each.utilisation or 0.0) >= 1)
        for each in pool.processes
    )


def _wait(pool: PoolView) -> str:
    if pool.waiting is None:
        return f"{pool.name}: requests wait"
    return f"{pool.name}: {number(pool.waiting, 'request waits', 'requests wait')} now"


def _titles(findings: Iterable[Finding]) -> str:
    return ", ".join(dict.fromkeys(one.cause.title for one in findings))
