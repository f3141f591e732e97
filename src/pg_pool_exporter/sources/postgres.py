"""A PostgreSQL server: its sessions, counters and settings, over one held connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import psycopg
import structlog
from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import dict_row
from psycopg.sql import Identifier
from psycopg.types.string import TextLoader

from pg_pool_exporter.catalogue import SESSION_END_REASONS
from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.model import DatabaseCounters, ServerSample, ServerSettings, Snapshot
from pg_pool_exporter.sources.activity import read_activity
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection_errors import explain
from pg_pool_exporter.sources.held_connection import (
    Batch,
    Connection,
    HeldConnection,
    Link,
    Result,
    Session,
    execute,
)
from pg_pool_exporter.sources.password import PasswordError, read_file, run_command
from pg_pool_exporter.sources.server_settings import STATEMENTS, server_settings
from pg_pool_exporter.sources.session_groups import SessionGroups
from pg_pool_exporter.sources.statements import statement

log = structlog.get_logger(__name__)

APPLICATION_NAME = "pg_pool_exporter"
SETTINGS_SECONDS = 120.0
"""How often the settings are read: reading them costs as much as several polls."""
MOST_ENTRIES = 1000
"""Most databases, limits and overrides that are shown."""

_EVERY_POLL = ("sessions", "databases")
# Given to libpq where the dsn does not say otherwise: a dead network is noticed within some 20 s,
# also while connecting (Linux applies the user time-out to the handshake too).
_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# The driver must not abandon an attempt by itself: see HeldConnection.
_NO_CONNECT_TIMEOUT = 2**31 - 1


class PostgresSource:
    """Polls one server. `protected` names applications whose sessions are never folded.

    `clock` gives seconds and never goes back.
    """

    def __init__(
        self,
        config: ServerConfig,
        protected: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._params = conninfo_to_dict(config.dsn.get_secret_value())
        self._where = _where(config.name, self._params)
        self._held = HeldConnection(self._connect, self._prepare)
        self._groups = SessionGroups(config.max_groups, protected)
        self._settings: ServerSettings | None = None
        self._settings_left_out = 0
        self._settings_read = 0.0
        self._settings_session: Session | None = None
        self._sees_all = True

    async def poll(self) -> Snapshot:
        """One round trip. Raises `PollError`; cancelling takes effect at once."""
        try:
            link, results = await self._held.fetch(self._batch)
        except psycopg.Error as error:
            raise explain(error, self._where) from None
        except PasswordError as error:
            raise PollError("auth", f"{self._where}: {error}") from None
        now = self._clock()
        sessions, databases, *settings = results
        if settings:
            self._read_settings(link, settings, now)
        assert self._settings is not None, "the first poll of a session reads the settings"
        activity = read_activity(sessions, {row["datid"]: row["database"] for row in databases})
        if activity.own == 1:
            self._held.forget_dropped()
        groups, folded = self._groups.fold(activity.rows, now)
        left_out = max(0, len(databases) - MOST_ENTRIES)
        return Snapshot(
            server=ServerSample(
                host=link.connection.info.host,
                port=str(link.connection.info.port),
                used=activity.own + sum(row.sessions for row in activity.rows),
                groups=groups,
                databases={row["database"]: _counters(row) for row in databases[:MOST_ENTRIES]},
                settings=self._settings,
            ),
            folded=folded + left_out + self._settings_left_out,
        )

    async def close(self) -> None:
        """Let go of the connection at once."""
        await self._held.close()

    async def _connect(self) -> Connection:
        conninfo = make_conninfo(
            "",
            **{
                **_KEEPALIVE,
                **self._params,
                **await self._password(),
                "application_name": APPLICATION_NAME,
                "client_encoding": "UTF8",
                "connect_timeout": _NO_CONNECT_TIMEOUT,
            },
        )
        connection = await AsyncConnection.connect(
            conninfo,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=AsyncClientCursor,
        )
        for name in ("text", "name", "varchar"):
            connection.adapters.register_loader(name, _LenientText)
        return connection

    async def _password(self) -> dict[str, str]:
        """The password as a parameter; none leaves it to the dsn and libpq's own ways."""
        if self._config.password_file is not None:
            return {"password": read_file(self._config.password_file)}
        if self._config.password_command is not None:
            return {"password": await run_command(self._config.password_command)}
        return {}

    async def _prepare(self, connection: Connection) -> Link:
        version = connection.info.server_version // 10_000
        own = {
            # So a slow server cancels by itself before the poll's deadline drops the connection.
            "statement_timeout": f"{self._config.timeout * 800:.0f}ms",
            "lock_timeout": f"{self._config.timeout * 400:.0f}ms",
        }
        setup = await execute(connection, Batch(statement("setup", version), own))
        return Link(connection, Session(**setup[1][0]), setup)

    def _batch(self, link: Link) -> Batch:
        due = (
            self._settings_session != link.session
            or self._clock() - self._settings_read >= SETTINGS_SECONDS
        )
        names = (*_EVERY_POLL, *STATEMENTS) if due else _EVERY_POLL
        version = link.connection.info.server_version // 10_000
        dropped = self._held.dropped
        return Batch(
            "\n".join(statement(name, version) for name in names),
            {
                "dropped_pid": dropped and dropped.pid,
                "dropped_started": dropped and dropped.started,
                "limit": MOST_ENTRIES + 1,
            },
        )

    def _read_settings(self, link: Link, results: list[Result], now: float) -> None:
        known = [row["setting"] for row in link.setup[0]]
        self._settings, self._settings_left_out = server_settings(results, known, MOST_ENTRIES)
        self._settings_read = now
        self._settings_session = link.session
        self._check_rights(**results[0][0])

    def _check_rights(self, *, sees_all: bool, role: str, **_: Any) -> None:
        """Say once, and again after it has changed, that sessions cannot be seen."""
        if self._sees_all and not sees_all:
            log.warning(
                "the role has no right to see other roles' sessions: their states are unknown",
                server=self._config.name,
                role=role,
                remedy=f"GRANT pg_monitor TO {Identifier(role).as_string()}",
            )
        self._sees_all = sees_all


class _LenientText(TextLoader):
    """Names of databases and roles can be in any encoding: what is not UTF-8 is replaced."""

    def load(self, data: bytes | bytearray | memoryview) -> str:
        return bytes(data).decode("utf-8", "replace")


def _counters(row: dict[str, Any]) -> DatabaseCounters:
    return DatabaseCounters(
        deadlocks=row["deadlocks"],
        sessions=row.get("sessions"),
        ended={reason: row[reason] for reason in SESSION_END_REASONS if reason in row},
    )


def _where(name: str, params: dict[str, Any]) -> str:
    """The server for people: its name, and what libpq will connect to."""
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.get_defaults()
        if option.val
    }
    known = {**defaults, **params}
    host = known.get("host") or known.get("hostaddr") or known.get("service") or "a local socket"
    user = known.get("user", "")
    return (
        f"server {name} ({host}, port {known.get('port', '5432')}, "
        f"database {known.get('dbname') or user}, user {user})"
    )
