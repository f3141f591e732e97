"""Bouncers: why their clients wait, and who keeps their connections to the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pg_pool_exporter.analysis.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.checklist.check import Check, few, findings_of, of_findings, unknown
from pg_pool_exporter.analysis.finding import Cause, Verdict
from pg_pool_exporter.analysis.verdicts.judge import Judged
from pg_pool_exporter.analysis.wording import number, spell

CAUSES = tuple(cause for cause in Cause if cause.value.startswith("bouncer_"))
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
    point = of_findings(
        "bouncers",
        f"{number(active, 'connection', 'connections')} in use, "
        f"{number(clients, 'client waits', 'clients wait')}",
        findings_of(judged, *CAUSES),
    )
    lines = [line for pool in pools if pool.waiting or pool.silent_holders for line in _chain(pool)]
    return replace(point, evidence=(*point.evidence, *few(lines), *few(_left_out(views))))


def _chain(pool: BouncerPoolView) -> Iterator[str]:
    for holder in pool.holders[:_MOST_HOLDERS]:
        hold = holder.hold
        client = f"{hold.address}:{hold.port}" if hold.address else "a unix socket"
        state, where = "does something unknown", ""
        if holder.backend is not None:
            state = f"is {holder.backend.state.replace('_', ' ')} for {spell(holder.backend.age)}"
            where = f", process {hold.pid} of server {holder.server}"
        name = hold.application or "no application_name"
        yield f"{pool}: {name} at {client} has a connection, which {state}{where}"


def _left_out(views: tuple[BouncerView, ...]) -> Iterator[str]:
    for one in views:
        if one.sample.clients_left_out:
            yield (
                f"bouncer {one.name}: more clients than `max_clients`, so their applications are "
                "not read"
            )
