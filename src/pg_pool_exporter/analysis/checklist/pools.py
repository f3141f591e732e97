"""The points about the applications' pools: are they full, do they leak, who got nothing?"""

from __future__ import annotations

from math import isfinite

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
from pg_pool_exporter.analysis.finding import Cause
from pg_pool_exporter.analysis.fleet_view import Pool, Situation
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.config import thresholds as limit


def pool_use(diagnosis: Diagnosis) -> Check:
    used = [
        (use, pool)
        for pool in diagnosis.situation.pools
        if (use := pool.fullest.use) is not None and isfinite(use)
    ]
    if not used:
        return unknown("pool_use", "no pool with a maximum")
    used.sort(key=lambda item: -item[0])
    full = [(use, pool) for use, pool in used if use > limit.POOL_USE]
    suffering = any(use >= 1 and pool.sum("waiting") for use, pool in full)
    verdict = Verdict.PROBLEM if suffering else Verdict.WARNING if full else Verdict.FINE
    most, fullest = used[0]
    return Check(
        name="pool_use",
        verdict=verdict,
        figure=f"at most {most:.0%}, {pool_name(fullest)}",
        evidence=few(_use_told(use, pool) for use, pool in full),
        remedy=("See the points below for why.",) if full else (),
    )


def _use_told(use: float, pool: Pool) -> str:
    left = pool.seconds_to_saturation()
    soon = f"; full in {spell(left)} by the trend" if left else ""
    return (
        f"{pool_name(pool)}: {use:.0%} of its fullest process's connections are checked out, "
        f"{pool.sum('waiting'):g} requests wait{soon}"
    )


def leaks(diagnosis: Diagnosis) -> Check:
    findings = findings_of(diagnosis, Cause.LEAK)
    pools = diagnosis.situation.pools
    if not pools:
        return unknown("leaks", "no pools")
    if findings:
        held = sum(one.not_given_back for one in findings)
        return judged("leaks", f"{held:g} not given back", findings)
    unexplained = [
        f"{pool_name(pool)}: {number(overdue, 'checkout is', 'checkouts are')} overdue, and what "
        f"its sessions on server {pool.on.server} do is not known now"
        for pool in pools
        if pool.on is not None and not pool.on.lately and (overdue := pool.at_all_sites("overdue"))
    ]
    if unexplained:
        return Check(
            name="leaks",
            verdict=Verdict.UNKNOWN,
            figure="their server does not answer",
            evidence=few(unexplained),
        )
    unproven = [pool for pool in pools if pool.on is None or pool.on.unreturned is None]
    blind = [pool for pool in unproven if not _tells_leaks(pool)]
    suspects = few(
        dict.fromkeys(
            f"{pool.app if pool.on.pools > 1 else pool_name(pool)}: {pool.on.suspects:g} "
            "suspected, not proven"
            for pool in pools
            if pool.on is not None and pool.on.suspects
        )
    )
    return Check(
        name="leaks",
        verdict=Verdict.UNKNOWN if len(blind) == len(pools) else Verdict.FINE,
        figure="nothing known yet" if len(blind) == len(pools) else "none known",
        evidence=(*suspects, *few(map(_not_proven, unproven))),
    )


def _not_proven(pool: Pool) -> str:
    if pool.on is None:
        return (
            f"{pool_name(pool)}: which server it leads to is not known, so both sides say nothing"
        )
    if pool.on.has_no_session:
        return (
            f"{pool_name(pool)}: server {pool.on.server} has no session by the name that its "
            "sessions should have: is `application_name` right in the configuration?"
        )
    return (
        f"{pool_name(pool)}: both sides prove nothing until they have been read for "
        f"{spell(pool.on.leak_after)}, and every process answers"
    )


def _tells_leaks(pool: Pool) -> bool:
    """Whether the pool's own side tells overdue and lost connections, as our client does."""
    return all(one.sample.leaked is not None for one in pool.processes)


def timeouts(diagnosis: Diagnosis) -> Check:
    situation = diagnosis.situation
    recents = {pool_name(pool): pool.recents for pool in situation.pools}
    failed = {
        name: count
        for name, those in recents.items()
        if (count := sum(recent.failed for recent in those))
    }
    watched = max((one.seconds for those in recents.values() for one in those), default=0.0)
    figure = f"{number(sum(failed.values()), 'request', 'requests')} got no connection"
    logged = _logged_timeouts(situation)
    if not situation.pools and not logged:
        return unknown("timeouts", "no pools, and no log is read")
    if situation.pools and not watched:
        return unknown("timeouts", "the pools have been watched for less than a minute")
    return Check(
        name="timeouts",
        verdict=Verdict.PROBLEM if failed else Verdict.FINE,
        figure=f"{figure} in the last {spell(watched)}" if watched else figure,
        evidence=(
            *few(f"{name}: {count:g} requests got none" for name, count in failed.items()),
            *few(f"{where}, since its log is read: {told}" for where, told in logged.items()),
        ),
        remedy=("See the points above for why requests had to wait.",) if failed else (),
    )


def _logged_timeouts(situation: Situation) -> dict[str, str]:
    """By server, time-outs by kind, where its log is read."""
    logged = {}
    for state in situation.targets:
        if state.snapshot is None or state.snapshot.log is None:
            continue
        kinds: dict[str, float] = {}
        for counts in state.snapshot.log.timeouts.values():
            for kind, count in counts.items():
                kinds[kind] = kinds.get(kind, 0.0) + count
        told = ", ".join(
            f"{count:g} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count
        )
        logged[f"server {state.key.name}"] = told or "none"
    return logged
