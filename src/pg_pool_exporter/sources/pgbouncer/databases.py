"""Rows of an admin console to databases and users."""

from __future__ import annotations

from collections.abc import Iterable

from pg_pool_exporter.aggregate import grouped, total
from pg_pool_exporter.model import Behind, BouncerDatabase, BouncerUser
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows, limit, number, scaled
from pg_pool_exporter.sources.pgbouncer.dialects import Dialect
from pg_pool_exporter.sources.pgbouncer.limits import Limits


def databases(answers: Answers, dialect: Dialect) -> dict[str, BouncerDatabase]:
    """The databases by name: those that are configured, and those that have counters."""
    limits = Limits(answers, dialect)
    counters = _Counters(answers.stats or [], dialect)
    names = sorted((counters.databases | limits.databases) - {answers.console})
    return {name: _database(name, limits, counters, dialect.time_unit) for name in names}


def behind(answers: Answers, dialect: Dialect, names: Iterable[str]) -> dict[str, Behind]:
    """Where the databases with these names are."""
    limits = Limits(answers, dialect)
    return {
        name: Behind(*(limits.text(name, column) for column in ("database", "host", "port")))
        for name in names
    }


def users(answers: Answers) -> dict[str, BouncerUser]:
    """The users by name that have connections, clients or a limit of their own."""
    found = {
        row.get("name") or "": BouncerUser(
            connections=number(row, "current_connections"),
            max_connections=limit(number(row, "max_user_connections")),
            clients=number(row, "current_client_connections"),
            max_clients=limit(number(row, "max_user_client_connections")),
        )
        for row in answers.users or ()
    }
    return {name: user for name, user in found.items() if name and _is_shown(user)}


def _is_shown(user: BouncerUser) -> bool:
    return any((user.connections, user.max_connections, user.clients, user.max_clients))


def _database(name: str, limits: Limits, counters: _Counters, unit: float) -> BouncerDatabase:
    return BouncerDatabase(
        transactions=counters.of(name, "total_xact_count"),
        queries=counters.of(name, "total_query_count"),
        transaction_time=scaled(counters.of(name, "total_xact_time"), unit),
        query_time=scaled(counters.of(name, "total_query_time"), unit),
        wait=scaled(counters.of(name, "total_wait_time"), unit),
        received=counters.of(name, "total_received"),
        sent=counters.of(name, "total_sent"),
        assignments=counters.of(name, "total_server_assignment_count"),
        logins=counters.of(name, "total_client_login_count"),
        client_parses=counters.of(name, "total_client_parse_count"),
        server_parses=counters.of(name, "total_server_parse_count"),
        binds=counters.of(name, "total_bind_count"),
        connections=limits.of(name, "current_connections"),
        max_connections=limit(limits.of(name, "max_connections")),
        clients=limits.of(name, "current_client_connections"),
        max_clients=limit(limits.of(name, "max_client_connections")),
        paused=_flag(limits.of(name, "paused")),
        disabled=_flag(limits.of(name, "disabled")),
    )


class _Counters:
    """Counters of databases (SHOW STATS); rows of one database (its users, its servers) add up."""

    def __init__(self, stats: Rows, dialect: Dialect) -> None:
        self._columns = {column for row in stats for column in row} - dialect.unreliable
        self._rows = grouped((row.get("database") or "", row) for row in stats)

    @property
    def databases(self) -> set[str]:
        """The names of all databases that have a row."""
        return self._rows.keys() - {""}

    def of(self, database: str, column: str) -> float | None:
        """A counter; None when unknown in one of the rows. A database never used has no row: 0."""
        if column not in self._columns:
            return None
        return total(number(row, column) for row in self._rows.get(database, ()))


def _flag(value: float | None) -> bool | None:
    return None if value is None else value != 0
