"""Bouncers whose clients wait. The bouncer does not report why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.bouncer_view import BouncerPoolView
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.remedies import OF_BOUNCERS
from pg_pool_exporter.analysis.wording import MOST_NAMED, number, spell
from pg_pool_exporter.model import TargetId


def clients_waiting(bouncer: str, pools: Iterable[BouncerPoolView]) -> Iterator[Finding]:
    """The finding about a bouncer, of whose `pools` clients have waited for too long."""
    saturated = [pool for pool in pools if pool.is_saturated]
    if not saturated:
        return
    clients = sum(pool.waiting for pool in saturated)
    oldest = max(pool.sample.oldest_waiting or 0.0 for pool in saturated)
    wait = number(clients, "client waits", "clients wait")
    more = len(saturated) - MOST_NAMED
    yield Finding(
        cause=Cause.UNKNOWN,
        severity=Severity.PROBLEM,
        subject=Subject(target=TargetId("bouncer", bouncer)),
        summary=f"{wait} for a connection, the first for {spell(oldest)}.",
        amount=clients,
        figures={"waiting_clients": clients, "oldest_waiting_seconds": oldest},
        evidence=(
            *map(_evidence, saturated[:MOST_NAMED]),
            *((f"{number(more, 'more pool', 'more pools')} likewise.",) if more > 0 else ()),
        ),
        remedy=OF_BOUNCERS,
    )


def _evidence(pool: BouncerPoolView) -> str:
    wait = number(pool.waiting, "client waits", "clients wait")
    of = f" of {pool.max:g}" if pool.max is not None else ""
    return (
        f"{pool}: {wait}, the first for {spell(pool.sample.oldest_waiting or 0.0)}; "
        f"{pool.active:g}{of} connections are in use."
    )
