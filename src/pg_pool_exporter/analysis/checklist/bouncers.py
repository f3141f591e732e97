"""Bouncers: why their clients wait, and who keeps their connections to the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings, unknown
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Verdict
from pg_pool_exporter.analysis.findings.wording import few, number, spell
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.verdicts.judge import Judged

CAUSES = tuple(
    cause
    for cause in Cause
    if cause.value.startswith("bouncer_") and cause is not Cause.BOUNCER_LIMITS_OVERSUBSCRIBED
)
_MOST_HOLDERS = 3
"""Clients of each pool that are named."""


def bouncers(judged: Judged) -> Check:
    """All bouncers together."""
    views = judged.fleet.bouncers
    if not views:
        kinds = {one.key.kind for one in judged.fleet.targets}
        if kinds and "bouncer" not in kinds:
            return Check(name="bouncers", verdict=Verdict.FINE, figure="none is configured")
        return unknown("bouncers", "no bouncer answers" if kinds else "no target is configured")
    pools = judged.fleet.bouncer_pools
    clients = sum(pool.waiting for pool in pools)
    active = sum(pool.active for pool in pools)
    silent = _silent(judged)
    figure = (
        f"{number(active, 'connection', 'connections')} in use, "
        f"{number(clients, 'client waits', 'clients wait')}"
    )
    if silent:
        figure += f"; {number(len(silent), 'bouncer is', 'bouncers are')} not read"
    point = of_findings("bouncers", figure, _findings(judged))
    if silent and point.verdict is Verdict.FINE:
        point = replace(point, verdict=Verdict.UNKNOWN)
    lines = [line for pool in pools for line in _chain(pool)]
    unread = (f"bouncer {name} is not read: whether its clients wait is unknown" for name in silent)
    return replace(
        point, evidence=(*point.evidence, *few(unread), *few(lines), *few(_left_out(views)))
    )


def _findings(judged: Judged) -> list[Finding]:
    unexplained = [
        one
        for one in findings_of(judged, Cause.UNKNOWN)
        if one.subject.target is not None and one.subject.target.kind == "bouncer"
    ]
    return [*findings_of(judged, *CAUSES), *unexplained]


def _silent(judged: Judged) -> list[str]:
    """Those that have not answered the last poll, or none yet."""
    targets = judged.fleet.targets
    return [one.key.name for one in targets if one.key.kind == "bouncer" and not one.health.up]


def _chain(pool: BouncerPoolView) -> Iterator[str]:
    for holder in pool.worth_showing[:_MOST_HOLDERS]:
        hold = holder.hold
        client = f"{hold.address}:{hold.port}" if hold.address else "a unix socket"
        state = "in an unknown state"
        if holder.backend is not None:
            state = (
                f"{holder.backend.state.replace('_', ' ')} for {spell(holder.backend.age)} "
                f"(process {hold.pid} of server {holder.server})"
            )
        name = hold.application or "no application_name"
        yield f"{pool}: {name} at {client} has a connection, {state}"


def _left_out(views: tuple[BouncerView, ...]) -> Iterator[str]:
    for one in views:
        if one.sample.clients_left_out:
            yield (
                f"bouncer {one.name}: more clients than `max_clients`, so their applications are "
                "not read"
            )
