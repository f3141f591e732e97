"""Connects to one server, and prepares the exporter's own sessions there."""

from __future__ import annotations

import psycopg

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.connector import Connector
from pg_pool_exporter.sources.connection.held import ReadyConnection, Results
from pg_pool_exporter.sources.connection.refusals import NOT_THERE
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.queries import Batch, batch

_CONSOLE = (
    "the other side is PgBouncer's admin console: list it under `pgbouncers`, or name a database "
    "of a server in the dsn"
)
# Timeouts by the SQLSTATE of the statement or session that they end.
_ENDS_SET_UP = {
    "57014": "statement_timeout",
    "55P03": "lock_timeout",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}


_UNCONVERTED = Batch("SET client_encoding = SQL_ASCII", {}, ())


class ServerConnector(Connector):
    """Opens connections to one server, for a `HeldConnection`.

    The server cancels statements that take longer than a poll may, which is `timeout` seconds.
    """

    def __init__(self, config: ServerConfig, timeout: float) -> None:
        super().__init__(f"server {config.name}", config, as_text=("text", "name", "varchar"))
        self._timeout = timeout

    async def connect(self) -> BoundedConnection:
        """A new connection, on which names in any encoding arrive as they are.

        To another encoding than the database's own the server converts them, and fails the whole
        statement for one that it can't. Raises `psycopg.Error` and `PasswordError`.
        """
        connection = await super().connect()
        if connection.info.parameter_status("server_encoding") not in (None, "UTF8"):
            try:
                await connection.execute_batch(_UNCONVERTED)
            except BaseException:
                await connection.close()
                raise
        return connection

    async def prepare(self, connection: BoundedConnection) -> ReadyConnection:
        """Make a connection ready. Raises `psycopg.Error`, and `PollError` for no server."""
        # PgBouncer's console has its own version there; its databases have their server's.
        if (connection.info.parameter_status("server_version") or "").endswith("/bouncer"):
            raise PollError("protocol", f"{self.where}: {_CONSOLE}")
        try:
            try:
                own_timeouts, sessions, _ = await self._set_up(connection, "own_timeouts", "setup")
            except NOT_THERE:
                own_timeouts, (sessions, _) = [], await self._set_up(connection, "setup")
        except psycopg.Error as error:
            # A timeout of our role, or of the database, ends what would have replaced it. Not
            # lifted always: then the server's own timeouts could not be read.
            if (setting := _ENDS_SET_UP.get(error.sqlstate or "")) is not None:
                self.lift(setting)
            raise
        return ReadyConnection(connection, only(sessions), {row.setting for row in own_timeouts})

    async def _set_up(self, connection: BoundedConnection, *names: str) -> Results:
        return await connection.execute_batch(
            batch(
                *names,
                version=connection.info.server_version // 10_000,
                # So a slow server cancels before the poll's deadline drops the connection.
                statement_timeout=f"{self._timeout * 800:.0f}ms",
                lock_timeout=f"{self._timeout * 400:.0f}ms",
            )
        )
