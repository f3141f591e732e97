"""Rows of an admin console to pools and databases. Each value is a text, or NULL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from pg_pool_exporter.model import BouncerDatabase, BouncerPool, BouncerPoolKey
from pg_pool_exporter.sources.aggregate import oldest, total
from pg_pool_exporter.sources.pgbouncer.dialects import Dialect

Row: TypeAlias = Mapping[str, str | None]
Rows: TypeAlias = list[Row]

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
# The former until 1.23.
_RESERVE_SIZES = ("reserve_pool", "reserve_pool_size")
# PgBouncer pads some numbers.
_NUMBER = re.compile(r" *\d{1,20}(?:\.\d{1,20})? *", re.ASCII)
# Where the abbreviation of the zone follows a local time.
_ZONE = len("2026-11-24 10:06:40")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the console shows; None: it does not know that SHOW command."""

    console: str
    """Its own database, which is left out."""
    pools: Rows
    databases: Rows | None = None
    stats: Rows | None = None
    servers: Rows | None = None
    active_sockets: Rows | None = None
    users: Rows | None = None

    @property
    def rows(self) -> int:
        """Number of rows of all kinds."""
        kinds = (
            self.pools, self.databases, self.stats, self.servers, self.active_sockets, self.users,
        )  # fmt: skip
        return sum(len(rows) for rows in kinds if rows is not None)


def pools(answers: Answers, dialect: Dialect) -> dict[BouncerPoolKey, BouncerPool]:
    """The pools by database and user. Of several rows of one pool (its shards) counts add."""
    found: dict[BouncerPoolKey, BouncerPool] = {}
    for row in answers.pools:
        key = _key(row)
        if key is not None and key.database != answers.console:
            pool = _pool(row, dialect)
            found[key] = together([found[key], pool]) if key in found else pool
    idle = _oldest_idle(answers)
    sizes = _Sizes(answers, dialect)
    return {
        key: replace(
            pool,
            oldest_idle=idle.get(key),
            size=_limit(sizes.of_user(key.user, "pool_size", sizes.of(key.database, "pool_size"))),
            reserve_size=sizes.of_user(
                key.user, "reserve_pool_size", sizes.of(key.database, *_RESERVE_SIZES)
            ),
            min_size=sizes.of(key.database, "min_pool_size"),
        )
        for key, pool in found.items()
    }


def databases(answers: Answers, dialect: Dialect) -> dict[str, BouncerDatabase]:
    """The databases by name: those that are configured, and those that have counters."""
    sizes = _Sizes(answers, dialect)
    counters = _Counters(answers.stats or [], dialect)
    return {
        name: BouncerDatabase(
            transactions=counters.of(name, "total_xact_count"),
            queries=counters.of(name, "total_query_count"),
            wait=_scaled(counters.of(name, "total_wait_time"), dialect.wait_unit),
            connections=sizes.of(name, "current_connections"),
            max_connections=_limit(sizes.of(name, "max_connections")),
        )
        for name in sorted((counters.databases | sizes.databases) - {answers.console})
    }


def together(some: Iterable[BouncerPool]) -> BouncerPool:
    """Several pools as one: counts and limits add, ages take the maximum.

    A limit is None (unknown or unlimited) when it is for one of them.
    """
    some = list(some)
    return BouncerPool(
        connections=_added(pool.connections for pool in some),
        clients=_added(pool.clients for pool in some),
        oldest_waiting=oldest(pool.oldest_waiting for pool in some),
        oldest_idle=oldest(pool.oldest_idle for pool in some),
        size=total(pool.size for pool in some),
        reserve_size=total(pool.reserve_size for pool in some),
        min_size=total(pool.min_size for pool in some),
    )


def number(row: Row, column: str) -> float | None:
    """A number that is not negative; None when there is none."""
    text = row.get(column)
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def value(rows: Rows | None, key: str, name: str | None, column: str) -> float | None:
    """The number in `column` of the row that has `name` under `key`; None when there is none."""
    return next((number(row, column) for row in rows or () if name and row.get(key) == name), None)


class _Sizes:
    """Limits of databases (SHOW DATABASES) and of users (SHOW USERS)."""

    def __init__(self, answers: Answers, dialect: Dialect) -> None:
        self._unreliable = dialect.unreliable
        self._rows: dict[str, Rows] = {}
        for row in (answers.databases or ()) if dialect.names_databases else ():
            self._rows.setdefault(row.get("name") or "", []).append(row)
        self._users = {row.get("name"): row for row in answers.users or ()}

    @property
    def databases(self) -> set[str]:
        """The names of all databases."""
        return self._rows.keys() - {""}

    def of(self, database: str, *columns: str) -> float | None:
        """The number in one of the columns; None when rows of one database don't agree."""
        found = {
            number(row, column)
            for row in self._rows.get(database, ())
            for column in columns
            if column in row and column not in self._unreliable
        }
        return found.pop() if len(found) == 1 else None

    def of_user(self, user: str, column: str, otherwise: float | None) -> float | None:
        """A user's own size, which wins over the database's (from 1.23 on)."""
        own = number(self._users.get(user, {}), column)
        return otherwise if own is None else own


class _Counters:
    """Counters of databases (SHOW STATS); rows of one database (its users, its servers) add up."""

    def __init__(self, stats: Rows, dialect: Dialect) -> None:
        self._columns = {column for row in stats for column in row} - dialect.unreliable
        self._rows: dict[str, Rows] = {}
        for row in stats:
            self._rows.setdefault(row.get("database") or "", []).append(row)

    @property
    def databases(self) -> set[str]:
        """The names of all databases that have a row."""
        return self._rows.keys() - {""}

    def of(self, database: str, column: str) -> float | None:
        """A counter; None when unknown in one of the rows. A database never used has no row: 0."""
        if column not in self._columns:
            return None
        return total(number(row, column) for row in self._rows.get(database, ()))


def _key(row: Row) -> BouncerPoolKey | None:
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
        waited += _scaled(number(row, "maxwait_us"), 1e-6) or 0.0
    return BouncerPool(
        connections=states(_SERVER_STATES),
        clients=clients,
        # 0 is that of a client which has sent no query yet: PgBouncer counts from there.
        oldest_waiting=(waited or None) if clients.get("waiting") else None,
    )


def _count(row: Row, columns: Iterable[str], dialect: Dialect) -> float | None:
    """The sum of the columns that there are; None when there is none of them."""
    counts = [number(row, column) for column in columns if column not in dialect.unreliable]
    return total(known) if (known := [count for count in counts if count is not None]) else None


def _oldest_idle(answers: Answers) -> dict[tuple[str | None, str | None], float]:
    """Age of the longest-idle connection of each pool, in whole seconds.

    Times are local to a host whose zone is unknown. The newest request of an active socket is our
    own: that is the present there. When summer time ends, times of idle connections have another
    abbreviation of the zone than the present: their age is unknown.
    """
    times = [time for row in answers.active_sockets or () if (time := row.get("request_time"))]
    now = max(times, default="")
    since: dict[tuple[str | None, str | None], str] = {}
    for row in answers.servers or ():
        if row.get("state") in _IDLE_STATES:
            key, time = (row.get("database"), row.get("user")), row.get("request_time") or ""
            # A time of another zone counts as the oldest.
            time = time if time[_ZONE:] == now[_ZONE:] else ""
            since[key] = min(since.get(key, time), time)
    return {key: age for key, time in since.items() if (age := _age(time, now)) is not None}


def _age(then: str, now: str) -> float | None:
    """Seconds between two local times; None when one of them is not a time."""
    try:
        between = _local_time(now) - _local_time(then)
    except ValueError:
        return None
    return max(0.0, between.total_seconds())


def _local_time(text: str) -> datetime:
    return datetime.strptime(text[:_ZONE], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - nobody knows it


def _limit(value: float | None) -> float | None:
    """A limit of 0 is none."""
    return value or None


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _added(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    added: dict[str, float] = {}
    for by_state in counts:
        for state, count in by_state.items():
            added[state] = added.get(state, 0.0) + count
    return added
