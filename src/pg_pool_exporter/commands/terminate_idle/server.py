"""Lists and ends sessions, over a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncClientCursor

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.commands.terminate_idle.sessions import Choice, Ended
from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.server import ServerConnector
from pg_pool_exporter.sources.queries import as_script, batch, statement
from pg_pool_exporter.sources.queries.rows import ListedSession

# Timeout of everything together: a server in trouble may be slow.
_SECONDS = 15.0
# Interval of the checks whether a session is gone: an idle one ends within milliseconds.
_LOOK_SECONDS = 0.05
# For one transaction only: behind a bouncer others use the session after it.
_BOUNDED = "SET LOCAL statement_timeout = '10s';"


class TerminateError(Exception):
    """The server is not reachable, or refuses; the message says why, without a secret."""


class Server:
    """A server, over one connection."""

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection

    async def sessions(self, choice: Choice) -> list[ListedSession]:
        """Sessions that may belong to a choice, the longest idle first."""
        return await self._rows("idle_sessions", **choice._asdict())

    async def applications(self, choice: Choice) -> dict[str, int]:
        """Numbers of client sessions by application_name, the choice's first.

        They distinguish a mistyped name from an application whose sessions are not idle.
        """
        rows = await self._rows("applications", **choice._asdict())
        return {row.application: row.sessions for row in rows}

    def statement(self, sessions: Collection[ListedSession]) -> str:
        """The SQL that ends the sessions, with their values in it."""
        text = statement("terminate_idle", self._version)
        cursor = AsyncClientCursor(self._connection)
        return as_script(cursor.mogrify(text.encode(), _listed(sessions)))

    async def end(self, sessions: Collection[ListedSession], patience: float) -> Ended:
        """End sessions that are still idle as listed, and wait until they are gone.

        Waits at most `patience` seconds.
        """
        rows = await self._rows("terminate_idle", **_listed(sessions))
        signalled = frozenset(row.pid for row in rows if row.ended)
        ending = [one for one in sessions if one.pid in signalled]
        last_look = time.monotonic() + patience
        while remaining := await self._remaining(ending):
            if time.monotonic() >= last_look:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return Ended(signalled, remaining)

    async def _remaining(self, sessions: Collection[ListedSession]) -> frozenset[int]:
        rows = await self._rows("remaining_sessions", **_listed(sessions))
        return frozenset(row.pid for row in rows)

    async def _rows(self, name: str, **params: Any) -> list[Any]:
        (rows,) = await self._connection.execute_batch(
            batch(name, version=self._version, settings=_BOUNDED, **params)
        )
        return rows

    @property
    def _version(self) -> int:
        return self._connection.info.server_version // 10_000


@asynccontextmanager
async def connected(config: ServerConfig) -> AsyncIterator[Server]:
    """Connect to a server for the block. Raises `TerminateError` for all errors."""
    connector = ServerConnector(config, _SECONDS)
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await connector.connect()
            try:
                yield Server(connection)
            finally:
                await connection.close()
    except TimeoutError:
        raise TerminateError(f"server {config.name}: no answer within {_SECONDS:g} s") from None
    except psycopg.errors.InsufficientPrivilege:
        raise TerminateError(
            f"server {config.name}: permission denied, not all sessions were signalled: GRANT "
            "pg_signal_backend to the exporter's role (only a superuser can end a superuser's "
            "session)"
        ) from None
    except (psycopg.Error, PasswordError) as error:
        raise TerminateError(str(connector.failure(error))) from None


def _listed(sessions: Collection[ListedSession]) -> dict[str, Any]:
    return {
        "pids": [one.pid for one in sessions],
        "starts": [one.backend_start for one in sessions],
        "changes": [one.state_change for one in sessions],
    }
