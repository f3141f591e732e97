"""Connections to a server that clients of a bouncer keep idle in transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import first_of, number, spell
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.verdicts.bouncer_limits import is_full
from pg_pool_exporter.analysis.verdicts.bouncer_waiting import addresses, silence_explains


def held_in_transaction(
    bouncer: BouncerView, pool: BouncerPoolView, lines: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """One finding for each application."""
    by_application = grouped(
        (one.application, one) for one in pool.silent_holders if one.is_in_transaction
    )
    waits = pool.is_saturated or (pool.waiting and silence_explains(pool))
    # Where the pool has room, something else keeps it from growing.
    is_bad = waits and not pool.is_folded and is_full(bouncer, pool)
    for application, holders in sorted(by_application.items()):
        oldest = max(one.silent_for for one in holders)
        of = "" if pool.max is None else f" of {pool.max:g}"
        kept = number(len(holders), "connection", "connections")
        waiting = number(pool.waiting, "client waits", "clients wait")
        began = max((one.at_work_for for one in holders), default=0.0)
        evidence = [
            f"Clients at {addresses(holders)}; the oldest transaction began {spell(began)} ago.",
            f"{waiting} for a connection of this pool.",
        ]
        if sites := lines.get(application):
            evidence.append(_made_at(sites))
        yield Finding(
            cause=Cause.BOUNCER_IDLE_IN_TRANSACTION,
            severity=Severity.PROBLEM if is_bad else Severity.WARNING,
            subject=Subject(
                target=pool.subject.target,
                database=pool.key.database,
                user=pool.key.user,
                app=application,
            ),
            summary=(
                f"{application or 'A client without application_name'} keeps {kept}{of} to the "
                f"server idle in transaction, the longest for {spell(oldest)}."
            ),
            amount=len(holders),
            figures={
                "connections": len(holders),
                "oldest_seconds": oldest,
                "waiting_clients": pool.waiting,
            },
            evidence=tuple(evidence),
            remedy=remedy(Cause.BOUNCER_IDLE_IN_TRANSACTION),
        )


def made_at(pools: Iterable[PoolView]) -> Mapping[str, Sequence[str]]:
    """The lines of code that make pools, each once, by the application's name."""
    lines: dict[str, dict[str, None]] = {}
    for pool in pools:
        for each in pool.processes:
            for site in each.sample.instances or ():
                info = each.sample.info
                for name in (pool.subject.app, info.application if info is not None else ""):
                    if name:
                        lines.setdefault(name, {})[site] = None
    return {name: tuple(sites) for name, sites in lines.items()}


def _made_at(sites: Sequence[str]) -> str:
    if len(sites) == 1:
        return f"The application's pool is made at {sites[0]}."
    return f"The application's pool is made at one of {first_of(sites)}."
