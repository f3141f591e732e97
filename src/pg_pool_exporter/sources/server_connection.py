"""How the exporter connects to a server, and what it sets for its own session."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.held_connection import Batch, Connection, Link, Session, execute
from pg_pool_exporter.sources.host_addresses import libpq_defaults, with_addresses
from pg_pool_exporter.sources.password import read_file, run_command
from pg_pool_exporter.sources.statements import statement

APPLICATION_NAME = "pg_pool_exporter"

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


class ServerConnection:
    """Opens connections to one server, for a `HeldConnection`.

    The server cancels by itself what takes longer than a poll may, which is `timeout` seconds.
    """

    def __init__(self, config: ServerConfig, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        self._params = conninfo_to_dict(config.dsn.get_secret_value())
        self.where = _where(config.name, self._params)
        """The server for people."""

    async def connect(self) -> Connection:
        """A new connection. Raises `psycopg.Error` and `PasswordError`."""
        conninfo = make_conninfo(
            "",
            **{
                **_KEEPALIVE,
                **await with_addresses(self._params),
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

    async def prepare(self, connection: Connection) -> Link:
        """Make it ready. Raises `psycopg.Error`."""
        version = connection.info.server_version // 10_000
        own = {
            # So a slow server cancels by itself before the poll's deadline drops the connection.
            "statement_timeout": f"{self._timeout * 800:.0f}ms",
            "lock_timeout": f"{self._timeout * 400:.0f}ms",
        }
        setup = await execute(connection, Batch(statement("setup", version), own))
        return Link(connection, Session(**setup[1][0]), setup)

    async def _password(self) -> dict[str, str]:
        """The password as a parameter; none leaves it to the dsn and libpq's own ways."""
        if self._config.password_file is not None:
            return {"password": read_file(self._config.password_file)}
        if self._config.password_command is not None:
            return {"password": await run_command(self._config.password_command)}
        return {}


class _LenientText(TextLoader):
    """Names of databases and roles can be in any encoding: what is not UTF-8 is replaced."""

    def load(self, data: bytes | bytearray | memoryview) -> str:
        return bytes(data).decode("utf-8", "replace")


def _where(name: str, params: dict[str, Any]) -> str:
    """The server for people: its name, and what libpq will connect to."""
    known = {**libpq_defaults(), **params}
    host = known.get("host") or known.get("hostaddr") or known.get("service") or "a local socket"
    user = known.get("user", "")
    return (
        f"server {name} ({host}, port {known.get('port', '5432')}, "
        f"database {known.get('dbname') or user}, user {user})"
    )
