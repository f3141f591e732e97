"""The applications' pools: saturation, leaks, and requests without a connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isfinite

from pg_pool_exporter.aggregate import summed
from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings, unknown
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Verdict
from pg_pool_exporter.analysis.findings.wording import few, number, spell
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.verdicts.judge import Judged
from pg_pool_exporter.model import LogCounts

_WATCHED_TOO_SHORT = "the pools have been watched for less than a minute"


def pool_utilisation(judged: Judged) -> Check:
    """Whether pools are nearly or wholly checked out."""
    used = [
        (share, pool)
        for pool in judged.fleet.pools
        if (share := pool.utilisation) is not None and isfinite(share)
    ]
    if not used:
        return unknown("pool_utilisation", "no pool with a maximum")
    used.sort(key=lambda item: -item[0])
    full = [(share, pool) for share, pool in used if share > pool.thresholds.pool_utilisation]
    starved = any(each.is_starved for _, pool in full for each in pool.processes)
    most, fullest = used[0]
    return Check(
        name="pool_utilisation",
        verdict=Verdict.PROBLEM if starved else Verdict.WARNING if full else Verdict.FINE,
        figure=f"at most {most:.0%}, {fullest.name}",
        evidence=few(_utilisation(share, pool) for share, pool in full),
        remedy=("See the points below for why.",) if full else (),
    )


def _utilisation(share: float, pool: PoolView) -> str:
    left = pool.seconds_to_saturation
    soon = f"; full in {spell(left)} at this pace" if left else ""
    waiting = "" if pool.waiting is None else f", {pool.waiting:g} requests wait"
    return (
        f"{pool.name}: {share:.0%} of its fullest process's connections are checked out"
        f"{waiting}{soon}"
    )


def leaks(judged: Judged) -> Check:
    """Leaked connections, known or proven."""
    findings = findings_of(judged, Cause.LEAK)
    pools = judged.fleet.pools
    if not pools:
        return unknown("leaks", "no pools")
    unproven = [
        pool
        for pool in pools
        if pool.app_on_server is None or pool.app_on_server.evidence.unreturned is None
    ]
    unknown_of = [pool for pool in unproven if not (pool.all_report_overdue and pool.watched)]
    if findings:
        leaked = sum(one.amount for one in findings)
        blind = [pool for pool in unknown_of if pool.app_on_server is None]
        point = of_findings("leaks", f"{leaked:g} not returned{_unknown_for(blind)}", findings)
        return replace(point, evidence=(*point.evidence, *few(map(_not_proven, blind))))
    undecided = [
        f"{pool.name}: {number(pool.overdue, 'checkout is', 'checkouts are')} overdue, and the "
        f"state of its sessions on {app.key.title} is unknown now"
        for pool in pools
        if (app := pool.app_on_server) is not None and not app.recent_polls and pool.overdue
    ]
    if undecided:
        return Check(
            name="leaks",
            verdict=Verdict.UNKNOWN,
            figure="their server does not answer",
            evidence=few(undecided),
        )
    suspected = few(
        dict.fromkeys(
            f"{app.key.app if app.pools > 1 else pool.name}: {app.evidence.suspected:g} "
            "suspected, not proven"
            for pool in pools
            if (app := pool.app_on_server) is not None and app.evidence.suspected
        )
    )
    evidence = (*suspected, *few(map(_not_proven, unproven)))
    if len(unknown_of) == len(pools):
        is_young = not any(pool.watched for pool in pools)
        why = _WATCHED_TOO_SHORT if is_young else "nothing known yet"
        return replace(unknown("leaks", why), evidence=evidence)
    return Check(
        name="leaks",
        verdict=Verdict.FINE,
        figure=f"none known{_unknown_for(unknown_of)}",
        evidence=evidence,
    )


def _unknown_for(pools: Sequence[PoolView]) -> str:
    return f", unknown for {number(len(pools), 'pool', 'pools')}" if pools else ""


def _not_proven(pool: PoolView) -> str:
    app = pool.app_on_server
    if app is None:
        return (
            f"{pool.name}: no proof, because the server that it leads to is unknown: name it as "
            "`server` of the application in the configuration"
        )
    if app.evidence.is_partial:
        return (
            f"{pool.name}: {app.key.title} has fewer clients than the pools have connections: name "
            "all bouncers that share them as `bouncers` in the configuration"
        )
    if app.has_no_session:
        return (
            f"{pool.name}: {app.key.title} has no session by the name that its sessions "
            "should have: is `application_name` right in the configuration?"
        )
    return (
        f"{pool.name}: no proof until both sides have been read for {spell(app.leak_after)}, and "
        "every process answers"
    )


def pool_handling(judged: Judged) -> Check:
    """Slots lost in a library, connections left to the garbage collector, pools made again."""
    findings = findings_of(
        judged, Cause.SLOTS_LOST_IN_LIBRARY, Cause.RECLAIMED_CONNECTIONS, Cause.POOL_PER_REQUEST
    )
    pools = judged.fleet.pools
    if not pools:
        return unknown("pool_handling", "no pools")
    if not any(each.sample.instances for pool in pools for each in pool.processes):
        return unknown("pool_handling", "not reported by any pool")
    return of_findings("pool_handling", _titles(findings) or "as it should be", findings)


def _titles(findings: Iterable[Finding]) -> str:
    counts = Counter(one.cause.title for one in findings)
    return ", ".join(f"{title} ({count})" for title, count in counts.items())


def timeouts(judged: Judged) -> Check:
    """Requests that got no connection in the last minutes, and timeouts in the logs."""
    fleet = judged.fleet
    failed = summed((pool.name, pool.failed) for pool in fleet.pools if pool.failed)
    watched = max((pool.watched for pool in fleet.pools), default=0.0)
    figure = f"{number(sum(failed.values()), 'request', 'requests')} got no connection"
    logs = [target for target in fleet.targets if target.key.kind == "log"]
    logged = {
        one.key.name: _timeouts(one.log)
        for one in logs
        if one.is_fresh and one.log and one.log.is_understood
    }
    unread = [one for one in logs if one.key.name not in logged]
    not_read = few(
        f"server {one.key.name}: "
        + ("its log has no record yet" if one.is_fresh and one.log else "its log is not read now")
        for one in unread
    )
    if not fleet.pools and not logged:
        return replace(unknown("timeouts", "no pools, and no log is read"), evidence=not_read)
    if fleet.pools and not watched:
        return unknown("timeouts", _WATCHED_TOO_SHORT)
    without = Verdict.UNKNOWN if unread else Verdict.FINE
    return Check(
        name="timeouts",
        verdict=Verdict.PROBLEM if failed else without,
        figure=f"{figure} in the last {spell(watched)}" if watched else figure,
        evidence=(
            *few(f"{name}: {count:g} requests got none" for name, count in failed.items()),
            *few(f"server {name}, since its log is read: {text}" for name, text in logged.items()),
            *not_read,
        ),
        remedy=("See the points above for why requests had to wait.",) if failed else (),
    )


def _timeouts(log: LogCounts) -> str:
    """Timeouts in a log by kind, in words."""
    kinds: Counter[str] = Counter()
    for counts in log.timeouts.values():
        kinds.update(counts)
    counted = (f"{count:g} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count)
    return ", ".join(counted) or "none"
