"""Settings that a session keeps from its start, as sessions have them that begin now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

import psycopg

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.queries import batch
from pg_pool_exporter.sources.queries.rows import FixedSettingsRow

RETRY_SECONDS = 60.0
"""After a login that failed, the next one is tried at the earliest then."""


class FixedSettings:
    """Follows these settings, though the exporter keeps its session for weeks.

    After a reload the held session still has the values of its start. Only superusers may read the
    server's files, so another session asks, and ends at once: one for each reload. At most one at a
    time: each that hangs becomes a session when the server goes on. `clock` is monotonic, in
    seconds.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[BoundedConnection]], clock: Callable[[], float]
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._begun = -inf
        self._asked_for = ""
        self._answer: FixedSettingsRow | None = None

    def latest(self, own: FixedSettingsRow) -> FixedSettingsRow | None:
        """The settings as they are now; None while they are unknown.

        `own` are those of the held session. When the configuration was loaded since that began,
        new ones are asked for, and are known at a later poll.
        """
        if own.is_current:
            return own
        if self._asked_for != own.loaded:
            self._answer = None
            self._begun = -inf
        if self._answer is None and self._may_ask():
            self._asked_for = own.loaded
            self._begun = self._clock()
            self._task = asyncio.create_task(self._ask())
        return self._answer

    async def close(self) -> None:
        """End the login under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _may_ask(self) -> bool:
        asks = self._task is not None and not self._task.done()
        return not asks and self._clock() - self._begun >= RETRY_SECONDS

    async def _ask(self) -> None:
        # A refused login is another finding; without an answer the settings are unknown.
        with suppress(psycopg.Error, PasswordError):
            connection = await self._connect()
            try:
                version = connection.info.server_version // 10_000
                (rows,) = await connection.execute_batch(batch("fixed_settings", version=version))
                self._answer = only(rows)
            finally:
                await connection.close()
