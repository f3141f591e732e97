"""One connection that is opened once and kept, whatever the server does."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]
Result = list[DictRow]


class Session(NamedTuple):
    """A session on the server. Process ids are used again; a pid with its start is not."""

    pid: int
    started: str


class Batch(NamedTuple):
    """Statements, sent as one message and executed in one transaction, and their parameters."""

    statements: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A connection that is ready, and what was read when it was opened."""

    connection: Connection
    session: Session
    setup: list[Result]


async def execute(connection: Connection, batch: Batch) -> list[Result]:
    """The rows of each statement, in one round trip. Raises `psycopg.Error`.

    A connection that is lost meanwhile is closed here, whoever still waits.
    """
    try:
        cursor = await connection.execute(batch.statements.encode(), batch.params)
        results = [await cursor.fetchall()]
        while cursor.nextset():
            results.append(await cursor.fetchall())
        return results
    finally:
        if connection.broken:
            await connection.close()


class HeldConnection:
    """Executes batches over one connection at most, and never waits for the driver.

    `connect` opens a connection, `prepare` makes it ready. `fetch` may be cancelled at any time
    and returns at once. Neither a hung connection attempt nor a hung query is cancelled in the
    driver: that would wait for the server.

    - An attempt that hangs is kept, and taken over when it completes: under a stopped postmaster
      each new one would become one more session when it continues.
    - A connection whose query hangs is dropped: its socket is shut, and the next `fetch` opens
      another. Its session may stay on the server (`dropped`). Until the caller has seen that it is
      gone (`forget_dropped`), a second one that hangs is kept, and used again once it has
      answered. So there are never more than two sessions of ours.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        prepare: Callable[[Connection], Awaitable[Link]],
    ) -> None:
        self._connect = connect
        self._prepare = prepare
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._link: Link | None = None
        self._late: asyncio.Task[list[Result]] | None = None
        self._ending: set[asyncio.Task[list[Result]]] = set()
        self.dropped: Session | None = None

    def __repr__(self) -> str:
        state = "open" if self._link else "opening" if self._opening else "closed"
        late = ", waits for a late answer" if self._late else ""
        return f"<HeldConnection {state}{late}, dropped={self.dropped}>"

    def forget_dropped(self) -> None:
        """The session that was dropped has been seen to be gone."""
        self.dropped = None

    async def fetch(self, compose: Callable[[Link], Batch]) -> tuple[Link, list[Result]]:
        """The results of the batch that `compose` makes for the connection in use.

        Opens the connection when there is none. One that turns out to be dead (the server was
        restarted, a firewall forgot it) is replaced at once, one time. Raises `psycopg.Error`, and
        whatever `connect` and `prepare` raise.
        """
        if self._link is not None:
            link = self._link
            try:
                return link, await self._query(link, compose)
            except psycopg.OperationalError:
                if not link.connection.closed:
                    raise
        link = await self._open()
        return link, await self._query(link, compose)

    async def close(self) -> None:
        """Let go of everything at once."""
        busy = {task for task in (self._opening, self._late) if task is not None}
        if self._connection is None:
            for attempt in busy:
                attempt.cancel()
        elif any(not task.done() for task in busy):
            _shut(self._connection)
        if tasks := busy | self._ending:
            await asyncio.wait(tasks)
        for task in busy:
            _retrieve(task)
        if self._connection is not None:
            await self._connection.close()
        self._connection = self._link = self._opening = self._late = None

    async def _open(self) -> Link:
        """A link, by the attempt that is under way or a new one."""
        if self._opening is None:
            self._connection = self._link = None
            self._opening = asyncio.create_task(self._attempt())
        # Cancelling this leaves the attempt under way: it belongs to the next fetch then.
        await asyncio.wait({self._opening})
        opening, self._opening = self._opening, None
        self._link = opening.result()
        return self._link

    async def _attempt(self) -> Link:
        connection = self._connection = await self._connect()
        try:
            return await self._prepare(connection)
        except BaseException:
            await connection.close()
            raise

    async def _query(self, link: Link, compose: Callable[[Link], Batch]) -> list[Result]:
        if self._late is not None:
            await asyncio.wait({self._late})
            late, self._late = self._late, None
            _retrieve(late)
        task = asyncio.create_task(execute(link.connection, compose(link)))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            self._let_go(link, task)
            raise
        return task.result()

    def _let_go(self, link: Link, task: asyncio.Task[list[Result]]) -> None:
        if task.done():
            _retrieve(task)
        elif self.dropped is None:
            self.dropped = link.session
            self._connection = self._link = None
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.add_done_callback(_retrieve)
            _shut(link.connection)
        else:
            self._late = task


def _shut(connection: Connection) -> None:
    """End the connection under the driver, which then finds it lost and closes it by itself."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        try:
            same.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was quicker


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome that nobody waits for any more, or asyncio complains about it."""
    if not task.cancelled():
        task.exception()
