"""SQLAlchemy: the pools of engines and asynchronous engines, whichever driver they use.

What is read from private attributes is the same in SQLAlchemy 2.0 and 2.1; the tests run on both.

SQLAlchemy gives back a connection that the application drops, as soon as it is collected: no slot
is lost. An asynchronous one can't be used again, as nothing may be awaited there, and so costs its
session.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy import pool as pools
from sqlalchemy.engine import Dialect

from pg_pool_exporter.client.libraries.adapter import FAILED, LOST, TIMEOUT, PoolAdapter, Standing
from pg_pool_exporter.client.libraries.sqlalchemy_classes import measure_queue, measuring
from pg_pool_exporter.client.measuring import attach, make_plain
from pg_pool_exporter.client.sqlstates import KINDS_BY_DRIVER, timeout_kind
from pg_pool_exporter.client.waiting import Waiting, copy


class SqlalchemyAdapter(PoolAdapter):
    """The pool of one engine, and those that follow it when the engine is disposed of."""

    library = "sqlalchemy"
    version = sqlalchemy.__version__

    def __init__(self, pool: pools.Pool, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        self._waiting = Waiting(self.tracker.clock)
        # Weak, as the application's listeners stand there, and know their engine most of the time.
        self._dialect: Callable[[], Dialect | None] = lambda: None
        # A pool without an engine has none.
        dialect = pool._dialect
        self._has_engine = isinstance(dialect, Dialect)
        if isinstance(dialect, Dialect):
            self._dialect = weakref.ref(dialect)
            driver = dialect.driver.removesuffix("_async")
            self.error_timeouts = KINDS_BY_DRIVER.get(driver, ())

    @classmethod
    def find(cls, given: Any) -> pools.Pool | None:
        """The pool of an engine, or the pool itself.

        Raises `TypeError` for one that lends the same connection to several at a time, and for one
        of another database.
        """
        # An asynchronous engine has one. Not by its class, whose module takes greenlet to import.
        given = getattr(given, "sync_engine", given)
        pool = given.pool if isinstance(given, sqlalchemy.Engine) else given
        if not isinstance(pool, pools.Pool):
            return None
        if not isinstance(pool, pools.QueuePool | pools.NullPool):
            raise TypeError(
                f"a {type(pool).__name__} of SQLAlchemy is no pool whose connections are borrowed "
                "and given back: QueuePool, AsyncAdaptedQueuePool and NullPool can be instrumented"
            )
        database = getattr(pool._dialect, "name", "postgresql")
        if database != "postgresql":
            raise TypeError(f"an engine for {database}: only PostgreSQL's can be instrumented")
        return pool

    def install(self, pool: pools.Pool) -> None:
        """Make the pool measure from now on."""
        own: Any = pool
        # First, as an application's own class can refuse to have a subclass.
        cls = measuring(own.__class__)
        now = self.tracker.clock()
        for record in _idle(pool):
            record._pg_pool_exporter_idle_since = now
            self.get_to_know(record.driver_connection)
        attach(pool, self)
        own.__class__ = cls
        self._measure_queue(pool)
        dialect = self._dialect()
        if dialect is not None:
            event.listen(dialect, "handle_error", self._failed)

    def uninstall(self, pool: pools.Pool) -> None:
        """Make the pool what it was, unless somebody else has exchanged its class since."""
        make_plain(pool)
        if isinstance(pool, pools.QueuePool):
            make_plain(pool._pool)
        dialect = self._dialect()
        if dialect is not None:
            event.remove(dialect, "handle_error", self._failed)

    def succeeded(self, pool: pools.Pool) -> None:
        """The engine is disposed of, and this is its pool from now on."""
        self._measure_queue(pool)
        self.follow(pool)

    def forked(self, pool: pools.Pool, wake: Callable[[], None]) -> None:
        """Start anew in a child process."""
        super().forked(pool, wake)
        self._waiting.forget()

    def limit(self, pool: pools.Pool) -> float:
        """The pool's size with its overflow; infinity where one of them isn't limited."""
        if not isinstance(pool, pools.QueuePool) or pool._max_overflow < 0:
            return inf
        return pool.size() + pool._max_overflow

    def name_of(self, pool: pools.Pool) -> str:
        """The name that the engine was given for its pool's log, else the library's."""
        return pool._orig_logging_name or self.library

    def refusal(self, error: BaseException) -> str:
        """What an error is that `connect` raises."""
        return TIMEOUT if isinstance(error, exc.TimeoutError) else FAILED

    def connected(self, connection: Any) -> None:
        """The pool has a new session, behind what SQLAlchemy makes of the driver's connection."""
        super().connected(getattr(connection, "driver_connection", connection))

    def standing(self, pool: pools.Pool) -> Standing:
        """What the pool tells of itself."""
        return Standing(
            idle=[getattr(record, "_pg_pool_exporter_idle_since", None) for record in _idle(pool)],
            waiting=self._waiting.since(),
            queued=self._waiting.queued,
        )

    def lost(self, pool: pools.Pool, noted: Mapping[str, int]) -> int | None:
        """Sessions found dead; not known of a pool without an engine."""
        return noted[LOST] if self._has_engine else None

    def borrowed(self, connection: Any) -> object:
        """The pool's record behind a connection of an engine."""
        connection = getattr(connection, "sync_connection", connection)
        if isinstance(connection, sqlalchemy.Connection):
            connection = connection.connection
        return getattr(connection, "_connection_record", connection)

    def _measure_queue(self, pool: pools.Pool) -> None:
        if isinstance(pool, pools.QueuePool):
            measure_queue(pool._pool, self._waiting)

    def _failed(self, context: Any) -> None:
        """A statement, a ping before a checkout, or an attempt to connect has failed."""
        if context.is_disconnect and (context.connection is not None or context.is_pre_ping):
            self.tracker.note(LOST)
        kind = timeout_kind(context.original_exception)
        if kind is not None:
            self.tracker.note(kind)


def _idle(pool: pools.Pool) -> Sequence[Any]:
    """The records of the idle connections; one that has lost its session has none."""
    if not isinstance(pool, pools.QueuePool):
        return ()
    queue: Any = pool._pool
    if isinstance(pool, pools.AsyncAdaptedQueuePool):
        # It is made when it is first used, in the loop, and not by us.
        queue = vars(queue).get("_queue")
        records = [] if queue is None else queue._queue
    else:
        records = queue.queue
    return [record for record in copy(records) if record.dbapi_connection is not None]
