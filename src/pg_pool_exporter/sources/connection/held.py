"""One connection that is opened once and kept."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import psycopg

from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.connector import Connector
from pg_pool_exporter.sources.connection.moved_name import MovedName
from pg_pool_exporter.sources.connection.results import AnswerError
from pg_pool_exporter.sources.queries import Batch
from pg_pool_exporter.sources.queries.rows import Session

Results = list[list[Any]]

KEEP_SECONDS = 600.0
"""How long the next connection that hangs is kept, after one was abandoned."""
CLOSE_SECONDS = 1.0
"""How long `HeldConnection.close` waits for tasks to end."""
_MOST_ABANDONED = 8


@dataclass(frozen=True, slots=True)
class ReadyConnection:
    """A connection that is ready for batches, and the facts read when it was opened."""

    connection: BoundedConnection
    session: Session
    own_settings: Collection[str] = ()
    """Timeouts whose value in our session was the server's own."""

    @property
    def version(self) -> int:
        """The server's major version."""
        return self.connection.info.server_version // 10_000


@dataclass(frozen=True, slots=True)
class _Abandoned:
    """A connection that was left to the server, and when. No session: it was not open yet."""

    session: Session | None
    at: float


class HeldConnection:
    """Executes batches over one connection at most, and never waits for the driver.

    `connector` opens a connection, `prepare` makes it ready. `fetch` may be cancelled at any time
    and returns at once. A hung attempt to connect, or a hung query, is then abandoned or kept:

    - Abandoned: its socket is shut, and the next `fetch` opens another connection. A backend that
      hangs costs one poll. Its session may stay on the server until it runs again.
    - Kept: later calls wait for it. An attempt is used when it completes; the late answer of a
      query is discarded, and its connection is used again. A query whose answer has begun is never
      kept: the other side could send without end.

    One is kept while an earlier one that was abandoned may still be on the server: until
    `forget_gone` finds it gone, or for `KEEP_SECONDS`. So normally there is one session; two while
    a backend hangs; on a server that hangs as a whole one more every ten minutes.
    There is never more than one socket. When the host's name has moved to another server, the next
    `fetch` connects to that.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        connector: Connector,
        prepare: Callable[[BoundedConnection], Awaitable[ReadyConnection]],
        clock: Callable[[], float],
    ) -> None:
        self._connector = connector
        self._name = MovedName(connector.addresses, clock)
        self._prepare = prepare
        self._clock = clock
        self._connection: BoundedConnection | None = None
        self._ready: ReadyConnection | None = None
        self._attempt: asyncio.Task[ReadyConnection] | None = None
        self._answer: asyncio.Task[Results] | None = None
        self._ending: set[asyncio.Task[Any]] = set()
        self._abandoned: deque[_Abandoned] = deque(maxlen=_MOST_ABANDONED)

    def __repr__(self) -> str:
        state = "open" if self._ready else "opening" if self._attempt else "closed"
        waits = ", waits for an answer" if self._answer else ""
        return f"<HeldConnection {state}{waits}, {len(self._abandoned)} abandoned>"

    @property
    def abandoned(self) -> list[Session]:
        """Sessions of ours that may still be on the server, besides the one in use.

        Without those of abandoned attempts, whose process ids are unknown.
        """
        return [one.session for one in self._abandoned if one.session is not None]

    def forget_gone(self, present: Collection[int]) -> None:
        """Forget the abandoned sessions whose process id is not `present` on the server now."""
        for one in list(self._abandoned):
            if one.session is not None and one.session.pid not in present:
                self._abandoned.remove(one)

    async def fetch(
        self, compose: Callable[[ReadyConnection], Batch]
    ) -> tuple[ReadyConnection, Results]:
        """The results of the batch that `compose` makes for the connection in use.

        Opens the connection when there is none. One from before that turns out to be dead (the
        server was restarted, a firewall forgot it) is replaced at once. Raises `psycopg.Error`, and
        whatever `connector` and `prepare` raise.
        """
        await self._leave_former_server()
        new = self._ready is None and self._attempt is None
        ready = self._ready or await self._open()
        try:
            return ready, await self._query(ready, compose)
        except AnswerError:
            raise
        except psycopg.OperationalError:
            if new or not ready.connection.closed:
                raise
        self._abandon()
        ready = await self._open()
        return ready, await self._query(ready, compose)

    async def close(self) -> None:
        """Close the connection and end all tasks, within `CLOSE_SECONDS`."""
        for task in (self._attempt, self._answer):
            if task is not None:
                self._end(task)
        await self._name.close()
        if self._ending:
            await asyncio.wait(self._ending, timeout=CLOSE_SECONDS)
        if self._connection is not None:
            await self._connection.close()
        self._forget()

    async def _leave_former_server(self) -> None:
        ready = self._ready
        if ready is None or self._answer is not None or ready.connection.closed:
            return
        if self._name.has_left(ready.connection.info.hostaddr):
            await ready.connection.close()
            self._forget()

    async def _open(self) -> ReadyConnection:
        """Wait for the attempt under way, or a new one."""
        if self._attempt is None:
            self._forget()
            self._attempt = asyncio.create_task(self._make_ready())
        await self._wait(self._attempt)
        attempt, self._attempt = self._attempt, None
        self._ready = attempt.result()
        return self._ready

    async def _make_ready(self) -> ReadyConnection:
        connection = self._connection = await self._connector.connect()
        try:
            return await self._prepare(connection)
        except BaseException:
            await connection.close()
            raise

    async def _query(
        self, ready: ReadyConnection, compose: Callable[[ReadyConnection], Batch]
    ) -> Results:
        if self._answer is not None:
            await self._wait(self._answer)
            _retrieve(self._answer)
        self._answer = asyncio.create_task(ready.connection.execute_batch(compose(ready)))
        await self._wait(self._answer)
        answer, self._answer = self._answer, None
        return answer.result()

    async def _wait(self, task: asyncio.Task[Any]) -> None:
        """Wait for the task. When cancelled, abandon it, or keep it for a later fetch."""
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if not task.done() and (self._may_abandon() or self._has_begun(task)):
                self._end(task)
                self._abandon()
            raise

    def _may_abandon(self) -> bool:
        now = self._clock()
        return all(now - one.at >= KEEP_SECONDS for one in self._abandoned)

    def _has_begun(self, task: asyncio.Task[Any]) -> bool:
        """Whether it is an answer that has begun: kept, it could go on without end."""
        ready = self._ready
        return task is self._answer and ready is not None and ready.connection.has_answered

    def _abandon(self) -> None:
        """Abandon the session in use, or the one that is being opened."""
        session = self._ready.session if self._ready is not None else None
        self._abandoned.append(_Abandoned(session, self._clock()))
        self._forget()

    def _forget(self) -> None:
        self._connection = self._ready = self._attempt = self._answer = None

    def _end(self, task: asyncio.Task[Any]) -> None:
        """End the task soon, without the driver's own way to cancel, which asks the server."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.add_done_callback(_retrieve)
        connection = self._connection
        if connection is None:
            task.cancel()
            return
        # An answer that was there already ends the task, and leaves the connection open.
        task.add_done_callback(lambda _: connection.pgconn.finish())
        if not task.done():
            _shut(connection)


def _shut(connection: BoundedConnection) -> None:
    """Shut the socket under the driver, which then finds the connection lost and closes it."""
    if connection.closed:
        return
    # No descriptor of our own: none may be left, and this must not fail.
    sharing = socket.socket(fileno=connection.fileno())
    try:
        sharing.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed by the other side already
    finally:
        sharing.detach()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve an unused outcome, or asyncio logs it."""
    if not task.cancelled():
        task.exception()
