"""Whether a server that answers over a held session still accepts new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

import psycopg

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.sources.connection.bounded import BoundedConnection

TRIAL_SECONDS = 60.0
"""After this time without a login one is tried; at most once in this time."""


class LoginTrial:
    """Logs in and ends the session at once, where no login has succeeded for a while.

    At most one login at a time: each that hangs becomes a session when the server goes on. `clock`
    is monotonic, in seconds.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[BoundedConnection]], clock: Callable[[], float]
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._begun = self._accepted = -inf

    @property
    def waiting(self) -> float | None:
        """Seconds for which the login under way has waited; None without one."""
        if self._task is None or self._task.done():
            return None
        return self._clock() - self._begun

    def follow(self, last_login: float | None) -> float | None:
        """The age of the last login, its own ones included, and try one if that is long ago.

        `last_login` is the age of the last one that the server shows.
        """
        if last_login is None:
            return None
        now = self._clock()
        age = min(last_login, now - self._accepted)
        if age >= TRIAL_SECONDS and self.waiting is None and now - self._begun >= TRIAL_SECONDS:
            self._begun = now
            self._task = asyncio.create_task(self._try())
        return age

    async def close(self) -> None:
        """End the login under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _try(self) -> None:
        # A refused login is another finding: here any answer counts.
        with suppress(psycopg.Error, PasswordError):
            connection = await self._connect()
            self._accepted = self._clock()
            await connection.close()
