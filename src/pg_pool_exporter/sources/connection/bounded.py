"""A connection of the driver that reads at most as much as an answer to our queries can have."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Generator, Sequence
from itertools import repeat
from time import thread_time
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from pg_pool_exporter.sources.connection.results import CHUNK, AnswerError, load
from pg_pool_exporter.sources.queries import Batch

MOST_BYTES = 16 * 1024 * 1024
"""Most bytes of one answer, and of everything that is sent while connecting."""
MOST_SECONDS = 0.5
"""Most CPU time of libpq for one answer: some messages cost it the square of their number (names of
parameters)."""
MOST_CELLS = 1_000_000
"""Most values of one answer: rows times columns."""
MOST_RESULTS = 20
"""Most results of one answer: more than any batch of ours has statements."""
MOST_UNASKED_BYTES = 16 * 1024 * 1024
"""Most bytes over the life of a connection that are not in a row: libpq keeps each parameter that
the server reports, and the driver each notification."""

# Overhead of TLS and message ends.
_FRAMING = 1 / 32

T = TypeVar("T")


class BoundedConnection(AsyncConnection[Any]):
    """A connection that ends when the other side sends without end. Open it with `open`.

    It executes simple queries, by `execute_batch` only. The kernel says how much has arrived before
    libpq reads it; what arrives in between can exceed a bound, by one buffer of the socket a time.
    """

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        pgconn.notify_handler = None  # the driver would keep notifications
        self._meter = _Meter()
        self._unasked = 0.0

    @classmethod
    async def open(cls, conninfo: str) -> Self:
        """Connect. Raises `psycopg.Error`."""
        return cls(await _drive(generators.connect(conninfo), _Meter()))

    @property
    def has_answered(self) -> bool:
        """Whether a part of the answer has arrived, to the batch that is being executed."""
        return self._meter.has_any

    async def execute_batch(self, batch: Batch) -> list[list[Any]]:
        """The rows of each statement that has any, in one round trip.

        Raises `psycopg.Error`. A connection that is lost, or whose answer breaks a bound, is closed
        here, even when no caller waits for it any more.
        """
        text = AsyncClientCursor(self).mogrify(batch.statements.encode(), batch.params)
        try:
            self.pgconn.send_query(text.encode())
            results = await _drive(_answer(self.pgconn), self._meter, self.pgconn.socket)
            await self._count_unasked(results)
            for result in results:
                if result.status == ExecStatus.FATAL_ERROR:
                    raise psycopg.errors.error_from_result(result)
            return await load(self, results, batch.rows)
        except AnswerError:
            await self.close()
            raise
        finally:
            self._meter = _Meter()
            if self.broken:
                await self.close()

    async def _count_unasked(self, results: Sequence[PGresult]) -> None:
        received = self._meter.received
        asked = received * _FRAMING
        for result in results:
            asked += await _size(result)
        self._unasked += max(0.0, received - asked)
        if self._unasked > MOST_UNASKED_BYTES:
            raise AnswerError("it sends data that no query asked for")


def _answer(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """All results of a query that has been sent."""
    yield from generators.send(pgconn)
    results: list[PGresult] = []
    while len(results) <= MOST_RESULTS:
        try:
            result = yield from generators.fetch(pgconn)
        except psycopg.DatabaseError:
            # An error that names the reason came before the server closed the connection.
            if any(one.status == ExecStatus.FATAL_ERROR for one in results):
                return results
            raise
        if result is None:
            return results
        if result.ntuples * result.nfields > MOST_CELLS:
            raise AnswerError(f"the answer has {result.ntuples} rows, which is too many")
        results.append(result)
    raise AnswerError("its answer does not fit the query")


async def _size(result: PGresult) -> int:
    """Bytes of a result as it was sent. The loop goes on between its rows."""
    columns = range(result.nfields)
    size = sum(19 + len(result.fname(column) or b"") for column in columns)
    for row in range(result.ntuples):
        if row and row % CHUNK == 0:
            await asyncio.sleep(0)
        values = map(result.get_value, repeat(row), columns)
        size += 7 + 4 * result.nfields + sum(map(len, filter(None, values)))
    return size


class _Meter:
    """What an answer costs: bytes, and CPU time of the driver."""

    def __init__(self) -> None:
        self.received = 0
        """Bytes that libpq has read."""
        self._waiting = 0
        self._seconds = 0.0

    @property
    def has_any(self) -> bool:
        """Whether a byte has arrived."""
        return self.received + self._waiting > 0

    @property
    def has_waiting(self) -> bool:
        """Whether libpq had something to read at last."""
        return self._waiting > 0

    def see(self, waiting: int) -> None:
        """Bytes have arrived that libpq will read. Raises `AnswerError` when they are too many."""
        self._waiting = waiting
        if self.received + waiting > MOST_BYTES:
            raise AnswerError(f"the answer is larger than {MOST_BYTES >> 20} MiB")

    def count(self, left: int) -> None:
        """Libpq has read what had arrived, but for these bytes: it reads a part at a time."""
        self.received += max(0, self._waiting - left)
        self._waiting = 0

    def add_seconds(self, seconds: float) -> None:
        """Count CPU time. Raises `AnswerError` when it is too much."""
        self._seconds += seconds
        if self._seconds > MOST_SECONDS:
            raise AnswerError(f"reading the answer takes more than {MOST_SECONDS:g} s of CPU time")


async def _drive(gen: Generator[Any, Any, T], meter: _Meter, fileno: int = -1) -> T:
    """Run a generator of the driver, which yields what it waits for; while connecting, on which
    socket, too. Raises what the generator does, and `AnswerError` when the meter does.
    """
    ready: Ready | None = None
    try:
        while True:
            started = thread_time()
            wanted = gen.send(ready)
            meter.add_seconds(thread_time() - started)
            if meter.has_waiting:
                meter.count(_waiting(fileno))
            if isinstance(wanted, tuple):
                fileno, wanted = wanted
            ready = await _ready(fileno, wanted)
            if ready & Ready.R:
                meter.see(_waiting(fileno))
    except StopIteration as end:
        meter.count(0)
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
    """Bytes that the kernel has for the socket; 0 where libpq has closed it meanwhile."""
    try:
        (size,) = struct.unpack("i", fcntl.ioctl(fileno, termios.FIONREAD, b"\0\0\0\0"))
    except OSError:
        return 0
    return int(size)
