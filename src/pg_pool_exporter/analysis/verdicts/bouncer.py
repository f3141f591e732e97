"""What is wrong with a bouncer, and why its clients wait."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.findings.remedies import OF_BOUNCERS, remedy
from pg_pool_exporter.analysis.findings.wording import MOST_NAMED, number, spell
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.records.limit_chain import Link
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.analysis.verdicts.bouncer_clients import too_many_clients, too_many_logins
from pg_pool_exporter.analysis.verdicts.bouncer_limits import is_full, oversubscribed
from pg_pool_exporter.analysis.verdicts.bouncer_transactions import held_in_transaction, made_at
from pg_pool_exporter.analysis.verdicts.bouncer_waiting import (
    clients_waiting,
    silence_explains,
)

_PLAIN = re.compile(r"[0-9A-Za-z_]+", re.ASCII)
"""Names that the console reads without quotes."""


def bouncer_findings(
    bouncer: BouncerView,
    servers: Mapping[str, ServerView],
    pools: Iterable[PoolView],
    links: Iterable[Link] = (),
) -> Iterator[Finding]:
    """All findings about a bouncer. `pools` are those of instrumented applications: their lines of
    code are named. `links` are its limits.
    """
    by_app = made_at(pools)
    stopped = set(_stopped(bouncer))
    for database in sorted(stopped):
        yield _paused(bouncer, database)
    yield from _disabled(bouncer)
    unexplained = []
    without_server = set()
    for pool in bouncer.pools:
        yield from held_in_transaction(bouncer, pool, by_app)
        if stopped & {"", pool.key.database}:
            continue
        found = [] if pool.is_folded else list(clients_waiting(bouncer, pool, servers))
        yield from found
        if any(one.cause is Cause.BOUNCER_SERVER_UNAVAILABLE for one in found):
            without_server.add(pool.key.database)
        if pool.is_saturated and not found and not _is_explained(bouncer, pool):
            unexplained.append(pool)
    yield from _unexplained(bouncer, unexplained)
    yield from too_many_clients(bouncer)
    if "" not in stopped:
        yield from too_many_logins(bouncer, but=stopped | without_server)
    yield from oversubscribed(bouncer, links)


def _is_explained(bouncer: BouncerView, pool: BouncerPoolView) -> bool:
    """Whether clients that keep connections of a full pool idle in transaction are the cause."""
    return not pool.is_folded and silence_explains(pool) and is_full(bouncer, pool)


def _stopped(bouncer: BouncerView) -> Iterator[str]:
    """Paused databases; empty for all of the bouncer."""
    if bouncer.sample.paused:
        yield ""
        return
    for name, database in bouncer.sample.databases.items():
        if database.paused:
            yield name


def _paused(bouncer: BouncerView, database: str) -> Finding:
    clients = sum(pool.waiting for pool in bouncer.pools if database in ("", pool.key.database))
    what = f"Database {database}" if database else "The bouncer"
    resume = f"RESUME {_quoted(database)}" if database else "RESUME"
    return Finding(
        cause=Cause.BOUNCER_PAUSED,
        severity=Severity.PROBLEM if clients else Severity.WARNING,
        subject=_of_database(bouncer, database),
        summary=f"{what} is paused; {number(clients, 'client waits', 'clients wait')}.",
        amount=clients or 1,
        figures={"waiting_clients": clients},
        remedy=f"{remedy(Cause.BOUNCER_PAUSED)} On its console: `{resume}`.",
    )


def _disabled(bouncer: BouncerView) -> Iterator[Finding]:
    for name, database in bouncer.sample.databases.items():
        if database.disabled:
            yield Finding(
                cause=Cause.BOUNCER_PAUSED,
                severity=Severity.WARNING,
                subject=_of_database(bouncer, name),
                summary=f"Database {name} is disabled: new clients are refused.",
                remedy=f"{remedy(Cause.BOUNCER_PAUSED)} On its console: `ENABLE {_quoted(name)}`.",
            )


def _quoted(name: str) -> str:
    """A database's name as the console's statements have it."""
    return name if _PLAIN.fullmatch(name) else '"{}"'.format(name.replace('"', '""'))


def _unexplained(bouncer: BouncerView, saturated: Sequence[BouncerPoolView]) -> Iterator[Finding]:
    if not saturated:
        return
    clients = sum(pool.waiting for pool in saturated)
    oldest = max(pool.sample.oldest_waiting or 0.0 for pool in saturated)
    wait = number(clients, "client waits", "clients wait")
    more = len(saturated) - MOST_NAMED
    yield Finding(
        cause=Cause.UNKNOWN,
        severity=Severity.PROBLEM,
        subject=bouncer.subject,
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
        f"{pool.active:g}{of} connections are in use{_unseen(pool)}."
    )


def _unseen(pool: BouncerPoolView) -> str:
    silent = [one.hold.silent_for or 0.0 for one in pool.holders if one.backend is None]
    if not silent:
        return ""
    return (
        f"; the sessions of {number(len(silent), 'client', 'clients')} that have one are not seen, "
        f"the oldest of their last requests was {spell(max(silent))} ago"
    )


def _of_database(bouncer: BouncerView, database: str) -> Subject:
    return Subject(target=bouncer.subject.target, database=database)
