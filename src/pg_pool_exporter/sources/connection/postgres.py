"""The exporter's connections to one server, and what it sets for its own sessions."""

from __future__ import annotations

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.connector import Connector
from pg_pool_exporter.sources.connection.held import Batch, Connection, Link, Session, execute
from pg_pool_exporter.sources.queries import statement

_CONSOLE = (
    "what answers is PgBouncer's admin console: list it under `pgbouncers`, or name a database of "
    "a server in the dsn"
)


class ServerConnection(Connector):
    """Opens connections to one server, for a `HeldConnection`.

    The server cancels by itself what takes longer than a poll may, which is `timeout` seconds.
    """

    def __init__(self, config: ServerConfig, timeout: float) -> None:
        super().__init__(f"server {config.name}", config, as_text=("text", "name", "varchar"))
        self._timeout = timeout

    async def prepare(self, connection: Connection) -> Link:
        """Make a connection ready. Raises `psycopg.Error`, and `PollError` for no server."""
        # PgBouncer's console has its own version there; its databases have their server's.
        if (connection.info.parameter_status("server_version") or "").endswith("/bouncer"):
            raise PollError("protocol", f"{self.where}: {_CONSOLE}")
        version = connection.info.server_version // 10_000
        own = {
            # So a slow server cancels by itself before the poll's deadline drops the connection.
            "statement_timeout": f"{self._timeout * 800:.0f}ms",
            "lock_timeout": f"{self._timeout * 400:.0f}ms",
        }
        setup = await execute(connection, Batch(statement("setup", version), own))
        return Link(connection, Session(**setup[1][0]), setup)
