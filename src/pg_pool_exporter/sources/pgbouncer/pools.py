"""Rows of an admin console to pools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from pg_pool_exporter.aggregate import added, oldest, total
from pg_pool_exporter.model import BouncerPool, BouncerPoolKey
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Row, limit, number, scaled
from pg_pool_exporter.sources.pgbouncer.clients import NO_CLIENTS, clients, merged_origins
from pg_pool_exporter.sources.pgbouncer.dialects import Dialect
from pg_pool_exporter.sources.pgbouncer.limits import Limits
from pg_pool_exporter.sources.pgbouncer.times import ConsoleClock

# The columns of SHOW POOLS that are added up to a state. A connection that is idle for long is
# "used" there: it is checked before a client gets it again.
_SERVER_STATES = {
    "idle": ("sv_idle", "sv_used"),
    "active": ("sv_active",),
    "login": ("sv_login",),
    "tested": ("sv_tested",),
    "cancel": ("sv_active_cancel", "sv_being_canceled"),
}
_CLIENT_STATES = {
    "active": ("cl_active",),
    "waiting": ("cl_waiting",),
    # The first until 1.17, the others from 1.18 on.
    "cancel": ("cl_cancel_req", "cl_active_cancel_req", "cl_waiting_cancel_req"),
}
_IDLE_STATES = ("idle", "used")
_MODES = ("session", "transaction", "statement")
# The former until 1.23.
_RESERVE_SIZES = ("reserve_pool", "reserve_pool_size")


def pools(
    answers: Answers, dialect: Dialect, idle_for: Mapping[str, float] = MappingProxyType({})
) -> dict[BouncerPoolKey, BouncerPool]:
    """The pools by database and user. Of several rows of one pool (its shards) counts add.

    `idle_for`: since when each client does nothing (see `Silence`).
    """
    found: dict[BouncerPoolKey, BouncerPool] = {}
    for row in answers.pools:
        key = pool_key(row)
        if key is not None and key.database != answers.console:
            pool = _pool(row, dialect)
            found[key] = _shards_together(found[key], pool) if key in found else pool
    idle = _oldest_idle(answers)
    limits = Limits(answers, dialect)
    its_clients = clients(answers, idle_for)
    are_read = its_clients is not None and dialect.lists_clients
    return {
        key: replace(
            pool,
            origins=(its := (its_clients or {}).get(key, NO_CLIENTS)).origins,
            holds=its.holds,
            clients_read=are_read,
            oldest_idle=idle.get(key),
            size=limit(limits.of_user(key.user, "pool_size", limits.of(key.database, "pool_size"))),
            reserve_size=limits.of_user(
                key.user, "reserve_pool_size", limits.of(key.database, *_RESERVE_SIZES)
            ),
            min_size=limits.of(key.database, "min_pool_size"),
        )
        for key, pool in found.items()
    }


def together(some: Iterable[BouncerPool]) -> BouncerPool:
    """Several pools as one: counts and limits add, ages take the maximum.

    A limit is None (unknown or unlimited) when it is for one of them.
    """
    some = list(some)
    modes = {pool.mode for pool in some}
    return BouncerPool(
        connections=added(pool.connections for pool in some),
        clients=added(pool.clients for pool in some),
        origins=merged_origins(pool.origins for pool in some),
        holds=tuple(hold for pool in some for hold in pool.holds),
        clients_read=any(pool.clients_read for pool in some),
        oldest_waiting=oldest(pool.oldest_waiting for pool in some),
        oldest_idle=oldest(pool.oldest_idle for pool in some),
        size=total(pool.size for pool in some),
        reserve_size=total(pool.reserve_size for pool in some),
        min_size=total(pool.min_size for pool in some),
        mode=modes.pop() if len(modes) == 1 else "",
    )


def _shards_together(one: BouncerPool, other: BouncerPool) -> BouncerPool:
    """Two rows of one pool as one: a count that is unknown of one is unknown of both."""
    both = together([one, other])
    return replace(
        both,
        connections=_known_of_both(both.connections, one.connections, other.connections),
        clients=_known_of_both(both.clients, one.clients, other.clients),
    )


def _known_of_both(
    counts: Mapping[str, float], one: Mapping[str, float], other: Mapping[str, float]
) -> dict[str, float]:
    return {state: count for state, count in counts.items() if state in one and state in other}


def pool_key(row: Row) -> BouncerPoolKey | None:
    """The pool that a row of any kind is about; None where it names none."""
    database, user = row.get("database"), row.get("user")
    return None if database is None or user is None else BouncerPoolKey(database, user)


def _pool(row: Row, dialect: Dialect) -> BouncerPool:
    def states(table: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
        counts = {state: _count(row, columns, dialect) for state, columns in table.items()}
        return {state: count for state, count in counts.items() if count is not None}

    clients = states(_CLIENT_STATES)
    if dialect.idle_as_waiting and "cl_idle" not in row:
        clients.pop("waiting", None)
    waited = _count(row, ("maxwait",), dialect)
    if waited is not None:
        waited += scaled(number(row, "maxwait_us"), 1e-6) or 0.0
    mode = row.get("pool_mode") or ""
    return BouncerPool(
        connections=states(_SERVER_STATES),
        clients=clients,
        # 0 is that of a client which has sent no query yet: PgBouncer counts from there.
        oldest_waiting=(waited or None) if clients.get("waiting") else None,
        mode=mode if mode in _MODES else "",
    )


def _count(row: Row, columns: Iterable[str], dialect: Dialect) -> float | None:
    """The sum of the columns that there are; None without any, or if one of them is no number."""
    counts = [
        number(row, column)
        for column in columns
        if column in row and column not in dialect.unreliable
    ]
    return total(counts) if counts else None


def _oldest_idle(answers: Answers) -> dict[BouncerPoolKey, float]:
    """Age of the longest-idle connection of each pool, in whole seconds; unknown where it is of one
    of them.
    """
    clock = ConsoleClock(answers)
    ages: dict[BouncerPoolKey, list[float | None]] = {}
    for row in answers.servers or ():
        key = pool_key(row)
        if row.get("state") in _IDLE_STATES and key is not None:
            ages.setdefault(key, []).append(clock.age(row.get("request_time")))
    return {key: max(known) for key, each in ages.items() if (known := _all_known(each))}


def _all_known(ages: Iterable[float | None]) -> list[float]:
    known = []
    for age in ages:
        if age is None:
            return []
        known.append(age)
    return known
