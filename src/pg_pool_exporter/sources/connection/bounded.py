"""A connection of the driver that never reads more than an answer of ours can have."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable, Generator, Sequence
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from pg_pool_exporter.sources.connection.results import AnswerError, load
from pg_pool_exporter.sources.queries import Batch

MOST_BYTES = 16 * 1024 * 1024
"""Most bytes of one answer, and of everything that is sent while connecting."""
MOST_CELLS = 1_000_000
"""Most values of one answer: rows times columns."""
MOST_RESULTS = 20
"""Most results of one answer: more than statements in any batch of ours."""
MOST_UNASKED_BYTES = 16 * 1024 * 1024
"""Most bytes over the life of a connection that are not in a row: libpq keeps each parameter that
the server reports, and the driver each notification."""

# What TLS and the ends of messages add to the rows.
_FRAMING = 1 / 32

T = TypeVar("T")


class BoundedConnection(AsyncConnection[Any]):
    """A connection that ends when the other side sends without end. Open it with `open`.

    It executes simple queries only, and by `execute` only. How much has arrived is asked of the
    kernel before libpq reads it, so what arrives in between can exceed a bound: by one buffer of
    the socket at a time.
    """

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        pgconn.notify_handler = None  # the driver would keep notifications
        self._received = 0
        self._unasked = 0.0

    @classmethod
    async def open(cls, conninfo: str) -> Self:
        """Connect. Raises `psycopg.Error`."""
        received = 0

        def count(size: int) -> None:
            nonlocal received
            received += size
            _check_size(received)

        return cls(await _drive(generators.connect(conninfo), count))

    @property
    def has_answered(self) -> bool:
        """Whether a part of the answer to the latest batch has arrived."""
        return self._received > 0

    async def execute_batch(self, batch: Batch) -> list[list[Any]]:
        """The rows of each statement that has any, in one round trip.

        Raises `psycopg.Error`. A connection that is lost, or whose answer breaks a bound, is closed
        here, even when nobody waits for it any more.
        """
        text = AsyncClientCursor(self).mogrify(batch.statements.encode(), batch.params)
        self._received = 0
        try:
            self.pgconn.send_query(text.encode())
            results = await _drive(_answer(self.pgconn), self._count, self.pgconn.socket)
            self._count_unasked(results)
            for result in results:
                if result.status == ExecStatus.FATAL_ERROR:
                    raise psycopg.errors.error_from_result(result)
            return await load(self, results, batch.rows)
        except AnswerError:
            await self.close()
            raise
        finally:
            self._received = 0
            if self.broken:
                await self.close()

    def _count(self, size: int) -> None:
        self._received += size
        _check_size(self._received)

    def _count_unasked(self, results: Sequence[PGresult]) -> None:
        asked = sum(map(_size, results)) + self._received * _FRAMING
        self._unasked += max(0.0, self._received - asked)
        if self._unasked > MOST_UNASKED_BYTES:
            raise AnswerError("it sends what was not asked for")


def _answer(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """All results of a query that has been sent."""
    yield from generators.send(pgconn)
    results: list[PGresult] = []
    while len(results) <= MOST_RESULTS:
        try:
            result = yield from generators.fetch(pgconn)
        except psycopg.DatabaseError:
            # The server has told why before it closed the connection.
            if any(one.status == ExecStatus.FATAL_ERROR for one in results):
                return results
            raise
        if result is None:
            return results
        if result.ntuples * result.nfields > MOST_CELLS:
            raise AnswerError(f"the answer has {result.ntuples} rows, which is too many")
        results.append(result)
    raise AnswerError("it answers what was not asked")


def _size(result: PGresult) -> int:
    """Bytes of a result as it was sent."""
    columns = range(result.nfields)
    head = sum(19 + len(result.fname(column) or b"") for column in columns)
    return head + sum(
        7 + sum(4 + len(result.get_value(row, column) or b"") for column in columns)
        for row in range(result.ntuples)
    )


def _check_size(received: int) -> None:
    if received > MOST_BYTES:
        raise AnswerError(f"the answer is larger than {MOST_BYTES >> 20} MiB")


async def _drive(gen: Generator[Any, Any, T], count: Callable[[int], None], fileno: int = -1) -> T:
    """Run a generator of the driver, which yields what it waits for; while connecting, on which
    socket, too. `count` gets the number of bytes that have arrived, before they are read.
    """
    ready: Ready | None = None
    try:
        while True:
            wanted = gen.send(ready)
            if isinstance(wanted, tuple):
                fileno, wanted = wanted
            ready = await _ready(fileno, wanted)
            if ready & Ready.R:
                count(_waiting(fileno))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        gen.close()


async def _ready(fileno: int, wanted: int) -> Ready:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ready] = loop.create_future()

    def done(state: Ready) -> None:
        if not future.done():
            future.set_result(state)

    try:
        if wanted & Wait.R:
            loop.add_reader(fileno, done, Ready.R)
        if wanted & Wait.W:
            loop.add_writer(fileno, done, Ready.W)
        return await future
    finally:
        loop.remove_reader(fileno)
        loop.remove_writer(fileno)


def _waiting(fileno: int) -> int:
    """Bytes that the kernel has for the socket."""
    (size,) = struct.unpack("i", fcntl.ioctl(fileno, termios.FIONREAD, b"\0\0\0\0"))
    return int(size)
