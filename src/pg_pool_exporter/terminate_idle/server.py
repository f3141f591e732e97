"""A connection of its own to the server: lists sessions, and ends those that are meant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncClientCursor

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.connecting import Connector
from pg_pool_exporter.sources.held_connection import Batch, Connection, execute
from pg_pool_exporter.sources.password import PasswordError
from pg_pool_exporter.sources.statements import statement
from pg_pool_exporter.terminate_idle.sessions import Choice, Ended, ListedSession

# For everything together: a server in trouble may be slow, and somebody waits.
_SECONDS = 15.0
# An idle session ends within milliseconds; how often it is looked for, in seconds.
_LOOK_SECONDS = 0.05
_OWN = Batch("SELECT set_config('statement_timeout', '10s', false)", {})


class TerminateError(Exception):
    """The server can't be asked, or refuses; the message says why, and holds no secret."""


class Server:
    """A server that is connected to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def sessions(self, choice: Choice) -> list[ListedSession]:
        """The sessions that a choice may mean, the longest idle first."""
        query = statement("idle_sessions", self._version)
        (rows,) = await execute(self._connection, Batch(query, choice._asdict()))
        return [ListedSession(**row) for row in rows]

    def statement(self, sessions: Collection[ListedSession]) -> str:
        """The SQL that ends the sessions, with their values in it."""
        cursor = AsyncClientCursor(self._connection)
        text = cursor.mogrify(self._ending.encode(), _listed(sessions))
        return "\n".join(line for line in text.splitlines() if not line.startswith("--"))

    async def end(self, sessions: Collection[ListedSession], patience: float) -> Ended:
        """End those that are still idle as they were, and look for so many seconds at most whether
        they are gone.
        """
        (rows,) = await execute(self._connection, Batch(self._ending, _listed(sessions)))
        signalled = frozenset(row["pid"] for row in rows if row["ended"])
        told = [one for one in sessions if one.pid in signalled]
        last_look = time.monotonic() + patience
        while remaining := await self._remaining(told):
            if time.monotonic() >= last_look:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return Ended(signalled, remaining)

    async def _remaining(self, sessions: Collection[ListedSession]) -> frozenset[int]:
        query = statement("remaining_sessions", self._version)
        (rows,) = await execute(self._connection, Batch(query, _listed(sessions)))
        return frozenset(row["pid"] for row in rows)

    @property
    def _ending(self) -> str:
        return statement("terminate_idle", self._version)

    @property
    def _version(self) -> int:
        return self._connection.info.server_version // 10_000


@asynccontextmanager
async def connected(config: ServerConfig) -> AsyncIterator[Server]:
    """A server, connected to for the block. Raises `TerminateError` for whatever goes wrong."""
    connector = Connector(f"server {config.name}", config, as_text=("text", "name", "varchar"))
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await connector.connect()
            try:
                await execute(connection, _OWN)
                yield Server(connection)
            finally:
                await connection.close()
    except TimeoutError:
        raise TerminateError(f"server {config.name}: no answer within {_SECONDS:g} s") from None
    except psycopg.errors.InsufficientPrivilege:
        raise TerminateError(
            f"server {config.name}: a right is missing, and not all sessions have been told to "
            "end: GRANT pg_signal_backend to the role that asks (a superuser's session only a "
            "superuser can end)"
        ) from None
    except (psycopg.Error, PasswordError) as error:
        raise TerminateError(str(connector.failure(error))) from None


def _listed(sessions: Collection[ListedSession]) -> dict[str, Any]:
    return {
        "pids": [one.pid for one in sessions],
        "starts": [one.backend_start for one in sessions],
        "changes": [one.state_change for one in sessions],
    }
