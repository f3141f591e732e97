"""All findings, the worst first, and the verdict on each pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import NamedTuple, ParamSpec

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.findings.finding import (
    Cause,
    Finding,
    PoolVerdict,
    Severity,
    Subject,
)
from pg_pool_exporter.analysis.records.fleet_view import FleetView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.verdicts.bouncer import bouncer_findings
from pg_pool_exporter.analysis.verdicts.capacity import capacity_of_pool
from pg_pool_exporter.analysis.verdicts.exporter import exporter_impaired, log_state_lost
from pg_pool_exporter.analysis.verdicts.leak import leak_of_app, leak_of_pool
from pg_pool_exporter.analysis.verdicts.locks import locks_of_server
from pg_pool_exporter.analysis.verdicts.pool_handling import (
    pool_per_request,
    reclaimed_connections,
    slots_lost,
)
from pg_pool_exporter.analysis.verdicts.server import (
    hidden_sessions,
    idle_in_transaction,
    logins_hang,
    slots_of_server,
)
from pg_pool_exporter.analysis.verdicts.targets import (
    log_in_part,
    target_unreachable,
    with_refusals,
)
from pg_pool_exporter.analysis.verdicts.waiting import (
    by_bouncer,
    by_server,
    explanations,
    unexplained_waiting,
)

MAX_FINDINGS = 500
"""More than a person reads: the rest is left out."""
VERDICTS = (
    "leak", "capacity", "waiting", "idle_in_transaction", "locks", "slots", "logins", "sessions",
    "bouncers", "targets", "exporter", "pool_handling",
)  # fmt: skip


P = ParamSpec("P")


class Judged(NamedTuple):
    """What is wrong."""

    fleet: FleetView
    """With the verdict on each pool."""
    findings: tuple[Finding, ...]
    """The worst first, at most `MAX_FINDINGS`."""


def judge(fleet: FleetView, faults: Faults) -> Judged:
    """Judge everything. A fault in a verdict costs that verdict on that subject."""

    findings: list[Finding] = []

    def add(
        verdict: str, of: Callable[P, Iterator[Finding]], *record: P.args, **more: P.kwargs
    ) -> None:
        with faults.contained(verdict):
            findings.extend(tuple(of(*record, **more)))

    by_app = grouped(
        (pool.app_on_server.key, pool) for pool in fleet.pools if pool.app_on_server is not None
    )
    apps_on = grouped((app.key.server, (app, by_app.get(app.key, []))) for app in fleet.apps)
    add("exporter", exporter_impaired, fleet.exporter)
    down = {one.key.name for one in fleet.targets if one.key.kind == "server" and one.is_down}
    for target in fleet.targets:
        if target.key.kind != "log" or target.key.name not in down:  # its server is why
            add("targets", target_unreachable, target)
        add("targets", log_in_part, target)
        add("exporter", log_state_lost, target)
    for server in fleet.servers:
        its = apps_on.get(server.name, ())
        add("idle_in_transaction", idle_in_transaction, server, its, fleet.bouncers)
        add("locks", locks_of_server, server)
        add("slots", slots_of_server, server)
        add("logins", logins_hang, server)
        add("sessions", hidden_sessions, server)
    with faults.contained("slots"):
        findings = list(with_refusals(findings))
    servers = {one.name: one for one in fleet.servers}
    for bouncer in fleet.bouncers:
        its_limits = fleet.limits.get(bouncer.name, ())
        add("bouncers", bouncer_findings, bouncer, servers, fleet.pools, its_limits)
    for pool in fleet.pools:
        add("leak", leak_of_pool, pool)
        add("capacity", capacity_of_pool, pool)
        add("pool_handling", slots_lost, pool)
        add("pool_handling", reclaimed_connections, pool)
    for (name, on), of_app in groupby(sorted(fleet.pools, key=_app_of), key=_app_of):
        add("pool_handling", pool_per_request, name, on, list(of_app))
    for app, pools in chain.from_iterable(apps_on.values()):
        add("leak", leak_of_app, app, pools)
    why: Mapping[Subject, tuple[Finding, ...]] = {}
    with faults.contained("waiting"):
        findings, why = _explained(tuple(_with_verdicts(fleet.pools, findings, {})), findings)
    judged = replace(fleet, pools=tuple(_with_verdicts(fleet.pools, findings, why)))
    return Judged(judged, tuple(sorted(findings, key=_badness)[:MAX_FINDINGS]))


def _explained(
    pools: Sequence[PoolView], findings: Sequence[Finding]
) -> tuple[list[Finding], Mapping[Subject, tuple[Finding, ...]]]:
    """The findings, with those about requests that wait for unknown reasons; and by pool the ones
    for which its requests have to wait.

    A finding that makes requests wait is a problem, not a warning.
    """
    of_servers, of_bouncers = by_server(findings), by_bouncer(findings)
    waiting = [pool for pool in pools if pool.is_starved or pool.requests_wait]
    why = {pool.subject: explanations(pool, of_servers, of_bouncers) for pool in waiting}
    problems = {
        id(one): replace(one, severity=Severity.PROBLEM)
        for pool in waiting
        if pool.is_starved
        for one in why[pool.subject]
    }

    def judged(those: Iterable[Finding]) -> Iterator[Finding]:
        return (problems.get(id(one), one) for one in those)

    unexplained = chain.from_iterable(
        unexplained_waiting(pool) for pool in waiting if not why[pool.subject]
    )
    return (
        [*unexplained, *judged(findings)],
        {subject: tuple(judged(those)) for subject, those in why.items()},
    )


def _with_verdicts(
    pools: Iterable[PoolView],
    findings: Iterable[Finding],
    why_waiting: Mapping[Subject, tuple[Finding, ...]],
) -> Iterator[PoolView]:
    by_subject = grouped((one.subject, one) for one in findings)
    for pool in pools:
        own = tuple(by_subject.get(pool.subject, ()))
        of_app = tuple(one for about in pool.app_subjects for one in by_subject.get(about, ()))
        why = why_waiting.get(pool.subject, ())
        yield replace(pool, verdict=PoolVerdict(own, of_app, why)) if own or of_app or why else pool


def _app_of(pool: PoolView) -> tuple[str, str]:
    return pool.subject.app, pool.subject.server


def _badness(finding: Finding) -> tuple[float, bool, float, bool, str]:
    """A server that does not answer comes before the findings that it causes. Of equally bad ones
    the one about more connections comes first, then that about a pool.
    """
    away = finding.cause is Cause.POSTGRESQL_UNREACHABLE
    return (
        -finding.severity,
        not away,
        -finding.amount,
        not finding.subject.pool,
        str(finding.subject),
    )
