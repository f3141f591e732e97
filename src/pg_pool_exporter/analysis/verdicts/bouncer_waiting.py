"""Why clients of a bouncer wait for a connection.

What tells the causes apart is what the clients do that have a connection to the server:

- idle in transaction: nobody else gets it, in whatever pool mode;
- idle in session mode: they keep it until they disconnect;
- at work for long, or shortly and by turns: too few connections only in the second case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pg_pool_exporter.analysis.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.correlate.chain import Holder
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.analysis.server_view import ServerView
from pg_pool_exporter.analysis.wording import MOST_NAMED, biggest, number, spell
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
    if _lacks_connections(pool) and pool.longest_wait > pool.thresholds.bouncer_wait:
        yield _server_unavailable(pool, servers)
    if not pool.is_saturated:
        return
    idle = [one for one in pool.silent_holders if one.is_idle]
    if idle and silence_explains(pool):
        yield _session_held(pool, idle)
        return
    if silence_explains(pool) or not pool.holders or not _is_full(bouncer, pool):
        return
    long = pool.thresholds.long_checkout
    # A whole second of the bouncer's may be over at once.
    working = [
        one
        for one in pool.holders
        if one.at_work_for >= (long if one.backend is not None else long + 1)
    ]
    database = bouncer.sample.databases.get(pool.key.database, BouncerDatabase())
    mean = database.mean_transaction
    # At a moment when all have just begun, the ones before them tell.
    if len(working) >= _MOST_OF * pool.active or (mean is not None and mean >= long):
        yield _long_transactions(pool, working, mean)
    else:
        yield _pool_too_small(bouncer, pool, servers)


def _lacks_connections(pool: BouncerPoolView) -> bool:
    """Whether clients wait for connections that the server does not give."""
    return not pool.active and not pool.sample.connections.get("idle", 0.0)


def _server_unavailable(pool: BouncerPoolView, servers: Mapping[str, ServerView]) -> Finding:
    login = pool.sample.connections.get("login", 0.0)
    logging_in = number(login, "connection logs", "connections log")
    full = [
        f"Server {name}: {one.sample.used} of {one.available} slots are in use."
        for name, one in servers.items()
        if one.sample.used >= one.available
    ]
    wait = number(pool.waiting, "client waits", "clients wait")
    return Finding(
        cause=Cause.BOUNCER_SERVER_UNAVAILABLE,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=f"{wait}, and the pool has no connection to the server.",
        amount=pool.waiting,
        figures={"waiting_clients": pool.waiting, **_longest(pool)},
        evidence=(f"{logging_in} in.", *full[:MOST_NAMED]),
        remedy=remedy(Cause.BOUNCER_SERVER_UNAVAILABLE),
    )


def _session_held(pool: BouncerPoolView, idle: Sequence[Holder]) -> Finding:
    longest = max(one.silent_for for one in idle)
    kept = number(len(idle), "client keeps", "clients keep")
    return Finding(
        cause=Cause.BOUNCER_SESSION_HELD,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=(
            f"{kept} a connection to the server and do nothing, the longest for {spell(longest)}, "
            f"while {number(pool.waiting, 'client waits', 'clients wait')}."
        ),
        amount=len(idle),
        figures={
            "connections": len(idle),
            "waiting_clients": pool.waiting,
            "oldest_seconds": longest,
        },
        evidence=(
            f"Kept by {biggest(_by_application(idle))}, at {addresses(idle)}.",
            *_who_waits(pool),
        ),
        remedy=remedy(Cause.BOUNCER_SESSION_HELD),
    )


def _long_transactions(
    pool: BouncerPoolView, working: Sequence[Holder], mean: float | None
) -> Finding:
    longest = max((one.at_work_for for one in pool.holders), default=0.0)
    wait = number(pool.waiting, "client waits", "clients wait")
    evidence = [f"At work for long: {biggest(_by_application(working))}."] if working else []
    if mean is not None:
        evidence.append(f"A transaction of the database lasted {spell(mean)} on average.")
    return Finding(
        cause=Cause.BOUNCER_LONG_TRANSACTIONS,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=f"{wait}, because others keep their connections for long.",
        amount=pool.waiting,
        figures={
            "waiting_clients": pool.waiting,
            "connections": len(working),
            "longest_transaction_seconds": longest,
            **({"mean_transaction_seconds": mean} if mean is not None else {}),
            **_longest(pool),
        },
        evidence=(*evidence, *_who_waits(pool)),
        remedy=remedy(Cause.BOUNCER_LONG_TRANSACTIONS),
    )


def _pool_too_small(
    bouncer: BouncerView, pool: BouncerPoolView, servers: Mapping[str, ServerView]
) -> Finding:
    wait = number(pool.waiting, "client waits", "clients wait")
    return Finding(
        cause=Cause.BOUNCER_POOL_TOO_SMALL,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=f"{wait}, although connections come back soon: {pool.active:g} are too few.",
        amount=pool.waiting,
        figures={
            "waiting_clients": pool.waiting,
            "connections": pool.active,
            **({"max_connections": pool.max} if pool.max is not None else {}),
            **_longest(pool),
        },
        evidence=(*_who_waits(pool), *_what_is_left(pool, servers)),
        remedy=_enlarging(bouncer, pool),
    )


def _is_full(bouncer: BouncerView, pool: BouncerPoolView) -> bool:
    """Whether the pool, its database or its user has all the connections that it may have."""
    return (
        pool.sample.size is None
        or pool.total >= pool.sample.size
        or _is_reached(bouncer.sample.databases.get(pool.key.database))
        or _user_is_full(bouncer, pool)
    )


def _is_reached(database: BouncerDatabase | None) -> bool:
    if database is None or database.max_connections is None:
        return False
    return (database.connections or 0.0) >= database.max_connections


def _user_is_full(bouncer: BouncerView, pool: BouncerPoolView) -> bool:
    user = bouncer.sample.users.get(pool.key.user)
    if user is None or user.max_connections is None:
        return False
    return (user.connections or 0.0) >= user.max_connections


def _enlarging(bouncer: BouncerView, pool: BouncerPoolView) -> str:
    """Which setting holds the pool down, with the statement and the line that change it."""
    database, general = pool.key.database, remedy(Cause.BOUNCER_POOL_TOO_SMALL)
    if _is_reached(bouncer.sample.databases.get(database)):
        return (
            f"{general} Its database has reached `max_db_connections`: on the console "
            f"`SET max_db_connections = …`, and in pgbouncer.ini `max_db_connections` of "
            f"[pgbouncer] or of `{database} = …`, then `RELOAD`."
        )
    if _user_is_full(bouncer, pool):
        return (
            f"{general} Its user has reached `max_user_connections`: in pgbouncer.ini, section "
            f"[users], `{pool.key.user} = max_user_connections=…`, then `RELOAD`."
        )
    size = "…" if pool.sample.size is None else f"{2 * pool.sample.size:g}"
    return (
        f"{general} On the console `SET default_pool_size = {size}`, and in pgbouncer.ini "
        f"`default_pool_size = {size}`; where the database has a size of its own, "
        f"`{database} = … pool_size={size}` in section [databases], then `RELOAD`."
    )


def _what_is_left(pool: BouncerPoolView, servers: Mapping[str, ServerView]) -> Iterator[str]:
    for name in sorted({one.server for one in pool.holders if one.server is not None}):
        if (server := servers.get(name)) is not None:
            left = max(0, server.available - server.sample.used)
            yield f"Server {name} has {left} of {server.available} slots left."


def _longest(pool: BouncerPoolView) -> Mapping[str, float]:
    oldest = pool.sample.oldest_waiting
    return {} if oldest is None else {"oldest_waiting_seconds": oldest}


def _who_waits(pool: BouncerPoolView) -> Iterator[str]:
    if waiting := pool.waiting_by_application:
        yield f"Waiting: {biggest(waiting)}."


def _by_application(holders: Iterable[Holder]) -> Mapping[str, float]:
    counts: dict[str, float] = {}
    for one in holders:
        counts[one.application] = counts.get(one.application, 0.0) + 1
    return counts


def addresses(holders: Sequence[Holder]) -> str:
    """Where the first of them come from."""
    names = [
        f"{one.hold.address}:{one.hold.port}" if one.hold.address else "a unix socket"
        for one in holders
    ]
    unique = list(dict.fromkeys(names))
    more = len(unique) - MOST_NAMED
    return ", ".join(unique[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
