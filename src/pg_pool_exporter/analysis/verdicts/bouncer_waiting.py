"""Why clients of a bouncer wait for a connection.

The clients that have a connection to the server distinguish the causes:

- idle in transaction: no other client gets it, in any pool mode;
- idle in session mode: they keep it until they disconnect;
- at work for long, or briefly and in turns: too few connections only in the second case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pg_pool_exporter.analysis.correlate.chain import Holder
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, known
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import MOST_NAMED, biggest, first_of, number, spell
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.analysis.verdicts.bouncer_limits import (
    Limit,
    enlarging,
    is_full,
    others_reach,
    shared_limit,
    who_has,
)
from pg_pool_exporter.model import BouncerDatabase

_MOST_OF = 0.5
"""Share of a pool's connections that explains why clients wait for one."""


def silence_explains(pool: BouncerPoolView) -> bool:
    """Whether clients that keep a connection and do nothing are why others wait."""
    return len(pool.silent_holders) >= _MOST_OF * max(pool.active, 1)


def clients_waiting(
    bouncer: BouncerView, pool: BouncerPoolView, servers: Mapping[str, ServerView]
) -> Iterator[Finding]:
    """Why clients wait, where clients idle in transaction do not explain it."""
    waits = pool.longest_wait > pool.thresholds.bouncer_wait
    if waits and (limit := others_reach(bouncer, pool)) is not None:
        yield _others_have_them(bouncer, pool, limit, servers)
        return
    if waits and _lacks_connections(bouncer, pool):
        yield _server_unavailable(bouncer, pool, servers)
    if not pool.is_saturated or not is_full(bouncer, pool):
        return
    idle = [one for one in pool.silent_holders if one.is_idle]
    if idle and silence_explains(pool):
        yield _session_held(bouncer, pool, idle)
        return
    seen = [one for one in pool.holders if one.is_known]
    kept = [one for one in pool.holders if one.is_kept]
    # For how long those who do nothing will keep their connections is not known yet.
    if len(kept) >= _MOST_OF * max(pool.active, 1):
        return
    if silence_explains(pool) or not seen or len(seen) < _MOST_OF * len(pool.holders):
        return
    long = pool.thresholds.long_checkout
    # A whole second of the bouncer's may be over at once.
    working = [
        one for one in seen if one.at_work_for >= (long if one.backend is not None else long + 1)
    ]
    database = bouncer.sample.databases.get(pool.key.database, BouncerDatabase())
    mean = database.mean_transaction
    # When all have just begun, the transactions before them count.
    if len(working) >= _MOST_OF * pool.active or (mean is not None and mean >= long):
        yield _long_transactions(bouncer, pool, working, mean)
    else:
        yield _pool_too_small(bouncer, pool, servers)


def _lacks_connections(bouncer: BouncerView, pool: BouncerPoolView) -> bool:
    """Whether clients wait because the server refuses connections."""
    if pool.sample.connections.get("idle"):
        return False
    return not pool.active or not is_full(bouncer, pool)


def _finding(
    cause: Cause,
    pool: BouncerPoolView,
    summary: str,
    evidence: Iterable[str],
    *,
    amount: float | None = None,
    figures: Mapping[str, float | None],
    how: str = "",
) -> Finding:
    """About clients that wait, so it is a problem; unknown figures are left out."""
    return Finding(
        cause=cause,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=summary,
        amount=pool.waiting if amount is None else amount,
        figures=known(waiting_clients=pool.waiting, **figures),
        evidence=tuple(evidence),
        remedy=how or remedy(cause),
    )


def _wait(pool: BouncerPoolView) -> str:
    return number(pool.waiting, "client waits", "clients wait")


def _server_unavailable(
    bouncer: BouncerView, pool: BouncerPoolView, servers: Mapping[str, ServerView]
) -> Finding:
    login = pool.sample.connections.get("login", 0.0)
    logging_in = number(login, "connection logs", "connections log")
    full = [
        f"Server {name}: {one.sample.used} of {one.available} slots are in use."
        for name, one in servers.items()
        if one.sample.used >= one.available
    ]
    none = "the pool has no connection to the server"
    few = (
        f"the server gives the pool no more than {pool.total - login:g} of "
        f"{pool.sample.size or 0:g} connections"
    )
    return _finding(
        Cause.BOUNCER_SERVER_UNAVAILABLE,
        pool,
        f"{_wait(pool)}, and {few if pool.active else none}.",
        (f"{logging_in} in.", *_maybe_paused(bouncer, pool), *full[:MOST_NAMED]),
        figures={"oldest_waiting_seconds": pool.sample.oldest_waiting},
    )


def _maybe_paused(bouncer: BouncerView, pool: BouncerPoolView) -> Iterator[str]:
    """PgBouncer shows from 1.19 on that all of it is paused: its databases do not show that."""
    if bouncer.sample.paused is None and not pool.total:
        yield (
            "This bouncer does not show whether all of it is paused: then `RESUME` on its console "
            "ends that."
        )


def _others_have_them(
    bouncer: BouncerView, pool: BouncerPoolView, limit: Limit, servers: Mapping[str, ServerView]
) -> Finding:
    return _finding(
        Cause.BOUNCER_POOL_TOO_SMALL,
        pool,
        f"{_wait(pool)}: {limit}, and other pools have most of them.",
        (*who_has(limit), *_who_waits(pool), *_what_is_left(pool, servers)),
        figures={
            "connections": pool.total,
            "max_connections": limit.most,
            "oldest_waiting_seconds": pool.sample.oldest_waiting,
        },
        how=enlarging(bouncer, pool),
    )


def _session_held(bouncer: BouncerView, pool: BouncerPoolView, idle: Sequence[Holder]) -> Finding:
    longest = max(one.silent_for for one in idle)
    kept = number(len(idle), "client keeps", "clients keep")
    return _finding(
        Cause.BOUNCER_SESSION_HELD,
        pool,
        f"{kept} a connection to the server and do nothing, the longest for {spell(longest)}, "
        f"while {_wait(pool)}.",
        (
            f"Kept by {biggest(Counter(one.application for one in idle))}, at {addresses(idle)}.",
            *_who_waits(pool),
            *who_has(shared_limit(bouncer, pool)),
        ),
        amount=len(idle),
        figures={"connections": len(idle), "oldest_seconds": longest},
    )


def _long_transactions(
    bouncer: BouncerView, pool: BouncerPoolView, working: Sequence[Holder], mean: float | None
) -> Finding:
    by_application = Counter(one.application for one in working)
    evidence = [f"At work for long: {biggest(by_application)}."] if working else []
    if mean is not None:
        evidence.append(f"A transaction of the database lasted {spell(mean)} on average.")
    return _finding(
        Cause.BOUNCER_LONG_TRANSACTIONS,
        pool,
        f"{_wait(pool)}, because others keep their connections for long.",
        (*evidence, *_who_waits(pool), *who_has(shared_limit(bouncer, pool))),
        figures={
            "connections": len(working),
            "longest_transaction_seconds": max(
                (one.at_work_for for one in pool.holders), default=0.0
            ),
            "mean_transaction_seconds": mean,
            "oldest_waiting_seconds": pool.sample.oldest_waiting,
        },
    )


def _pool_too_small(
    bouncer: BouncerView, pool: BouncerPoolView, servers: Mapping[str, ServerView]
) -> Finding:
    return _finding(
        Cause.BOUNCER_POOL_TOO_SMALL,
        pool,
        f"{_wait(pool)}, although connections come back soon: {pool.active:g} are too few.",
        (
            *_who_waits(pool),
            *who_has(shared_limit(bouncer, pool)),
            *_what_is_left(pool, servers),
        ),
        figures={
            "connections": pool.active,
            "max_connections": pool.max,
            "oldest_waiting_seconds": pool.sample.oldest_waiting,
        },
        how=enlarging(bouncer, pool),
    )


def _what_is_left(pool: BouncerPoolView, servers: Mapping[str, ServerView]) -> Iterator[str]:
    for name in sorted({one.server for one in pool.holders if one.server is not None}):
        if (server := servers.get(name)) is not None:
            left = max(0, server.available - server.sample.used)
            yield f"Server {name} has {left} of {server.available} slots left."


def _who_waits(pool: BouncerPoolView) -> Iterator[str]:
    if waiting := pool.waiting_by_application:
        yield f"Waiting: {biggest(waiting)}."


def addresses(holders: Sequence[Holder]) -> str:
    """Where the first of them come from."""
    return first_of(
        f"{one.hold.address}:{one.hold.port}" if one.hold.address else "a unix socket"
        for one in holders
    )
