"""SQLAlchemy: the pools of engines and asynchronous engines, whichever driver they use.

Private attributes that are read are the same in SQLAlchemy 2.0 and 2.1; the tests run on both.

SQLAlchemy returns a connection that the application drops, as soon as it is collected: no slot is
lost, and such a return is counted as reclaimed. An asynchronous connection can't be used again, as
nothing may be awaited there, and costs its session.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from math import inf
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc, pool as pools
from sqlalchemy.engine import Dialect
from sqlalchemy.util import queue as queues

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.libraries.adapter import FAILED, LOST, TIMEOUT, PoolAdapter, PoolGauges
from pg_pool_exporter.client.libraries.books import Sessions
from pg_pool_exporter.client.libraries.drivers import KINDS_BY_DRIVER, timeout_kind
from pg_pool_exporter.client.libraries.measuring import attach, measuring_subclass, restore_class
from pg_pool_exporter.client.libraries.waiting import Waiting, copy
from pg_pool_exporter.client.sites import calling_site


class SqlalchemyAdapter(PoolAdapter):
    """The pool of one engine, and its successors when the engine is disposed of."""

    library = "sqlalchemy"
    version = sqlalchemy.__version__

    def __init__(self, pool: pools.Pool, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        self._waiting = Waiting(self.tracker.clock)
        # The pool's records of connections, also of those that are being made.
        self.records = Sessions()
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

        Raises `TypeError` for one whose connection is used by several callers at a time, and for
        one of another database.
        """
        # An asynchronous engine has one. Not by its class, whose module takes greenlet to import.
        given = getattr(given, "sync_engine", given)
        pool = given.pool if isinstance(given, sqlalchemy.Engine) else given
        if not isinstance(pool, pools.Pool):
            return None
        if not isinstance(pool, pools.QueuePool | pools.NullPool):
            raise TypeError(
                f"a {type(pool).__name__} of SQLAlchemy has no connections to check out and "
                "return: QueuePool, AsyncAdaptedQueuePool and NullPool can be instrumented"
            )
        database = getattr(pool._dialect, "name", "postgresql")
        if database != "postgresql":
            raise TypeError(f"an engine for {database}: only PostgreSQL's can be instrumented")
        return pool

    def install(self, pool: pools.Pool) -> None:
        """Make the pool measure from now on."""
        own: Any = pool
        # First, as an application's own class can refuse to have a subclass.
        cls = _measuring(own.__class__)
        now = self.tracker.clock()
        self.records = Sessions(_size(pool))
        for record in _idle(pool):
            self.records.find([record])
            self.records.idle_since[id(record)] = now
            self.get_to_know(record)
        attach(pool, self)
        own.__class__ = cls
        self._measure_queue(pool)
        dialect = self._dialect()
        if dialect is not None:
            event.listen(dialect, "handle_error", self._failed)

    def uninstall(self, pool: pools.Pool) -> None:
        """Restore the pool, unless other code has exchanged its class since."""
        restore_class(pool)
        if isinstance(pool, pools.QueuePool):
            restore_class(pool._pool)
        dialect = self._dialect()
        if dialect is not None:
            event.remove(dialect, "handle_error", self._failed)

    def recreated(self, pool: pools.Pool) -> None:
        """Measure the successor of the pool, made when its engine was disposed of."""
        try:
            attach(pool, self)
            self._measure_queue(pool)
            self.follow(pool)
            self.records = Sessions()
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "measuring the pool of an engine that was disposed of")

    def forked(self, pool: pools.Pool, wake: Callable[[], None]) -> None:
        """Start over in a child process."""
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
        """The kind of an error of `connect`."""
        return TIMEOUT if isinstance(error, exc.TimeoutError) else FAILED

    def about_to_connect(self, record: Any) -> None:
        """Record that a session is about to be made for this record of the pool."""
        try:
            self.records.add(record)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "counting a session")

    def look_at(self, connection: Any) -> None:
        """Read the server's address from the driver's connection behind SQLAlchemy's."""
        super().look_at(getattr(connection, "driver_connection", connection))

    def gauges(self, pool: pools.Pool) -> PoolGauges:
        """The pool's own state."""
        return PoolGauges(
            idle=self.records.since(_idle(pool)),
            waiting=self._waiting.since(),
            queued=self._waiting.queued,
        )

    def missing(self, pool: pools.Pool, leaked: int) -> int:
        """Those that the pool counts without a record."""
        self.records.find(_records(pool))
        return _size(pool) - len(self.records)

    def lost(self, pool: pools.Pool | None, noted: Mapping[str, int]) -> int | None:
        """Sessions found dead; unknown for a pool without an engine."""
        return noted[LOST] if self._has_engine else None

    def tracked(self, connection: Any) -> object:
        """The pool's record behind a connection of an engine."""
        connection = getattr(connection, "sync_connection", connection)
        if isinstance(connection, sqlalchemy.Connection):
            connection = connection.connection
        return getattr(connection, "_connection_record", connection)

    def _measure_queue(self, pool: pools.Pool) -> None:
        if isinstance(pool, pools.QueuePool):
            queue: Any = pool._pool
            queue._pg_pool_exporter_waiting = self._waiting
            queue.__class__ = _measuring_queue(queue.__class__)

    def _failed(self, context: Any) -> None:
        """Record a failed statement, ping before a checkout, or attempt to connect."""
        try:
            if context.is_disconnect and (context.connection is not None or context.is_pre_ping):
                self.tracker.note(LOST)
            kind = timeout_kind(context.original_exception)
            if kind is not None:
                self.tracker.note(kind)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "looking at the error of a statement")


def _size(pool: pools.Pool) -> int:
    """How many connections the pool counts; 0 for a pool that keeps none."""
    # `overflow()` is 0 for a pool without a limit.
    return pool.size() + pool._overflow if isinstance(pool, pools.QueuePool) else 0


def _idle(pool: pools.Pool) -> Sequence[Any]:
    """The records of idle connections, without those that have lost their session."""
    return [record for record in _records(pool) if record.dbapi_connection is not None]


def _records(pool: pools.Pool) -> Sequence[Any]:
    """The records in the pool's queue."""
    if not isinstance(pool, pools.QueuePool):
        return ()
    queue: Any = pool._pool
    if isinstance(pool, pools.AsyncAdaptedQueuePool):
        # It is made when it is first used, in the loop, and not by us.
        queue = vars(queue).get("_queue")
        records = [] if queue is None else queue._queue
    else:
        records = queue.queue
    return copy(records)


@lru_cache(maxsize=64)
def _measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    At `engine.dispose()` a pool makes its successor from its own class, so it measures, too. The
    pool's record of a connection is tracked: SQLAlchemy returns it also when the application
    drops the connection. Raises `TypeError` for an application's own class whose methods take
    other arguments.
    """
    original_connect, original_return = cls.connect, cls._do_return_conn
    original_recreate = cls.recreate

    def connect(self: Any) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_connect(self)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error, asked)
            raise
        try:
            # The pool's own class may return something else than SQLAlchemy's.
            record = connection._connection_record
            holder = None if record is None else record.fairy_ref
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "looking at what a pool has checked out")
            return connection
        if record is not None:  # no listener of the application has taken it out of the pool
            tracker.acquired(record, asked, site, holder)
        return connection

    def _do_return_conn(self: Any, record: Any) -> None:
        # Before, not after: once it is back another thread may have it.
        checkout = self._pg_pool_exporter_tracker.returning(record)
        if checkout is not None:
            self._pg_pool_exporter_adapter.records.idle_since[id(record)] = checkout.ended
        original_return(self, record)

    def recreate(self: Any) -> Any:
        pool = original_recreate(self)
        self._pg_pool_exporter_adapter.recreated(pool)
        return pool

    # Not a method: the pool puts the function that connects on itself, and may put another.
    connecting = property(_connecting, _connect_by)
    methods = {
        "connect": connect,
        "_do_return_conn": _do_return_conn,
        "recreate": recreate,
        "_invoke_creator": connecting,
    }
    return measuring_subclass(cls, methods)


def _connecting(pool: Any) -> Callable[[Any], Any]:
    """The function that the pool calls to make a session."""
    return partial(_connect, pool._pg_pool_exporter_adapter, vars(pool)["_invoke_creator"])


def _connect_by(pool: Any, create: Callable[[Any], Any]) -> None:
    vars(pool)["_invoke_creator"] = create


def _connect(adapter: SqlalchemyAdapter, create: Callable[[Any], Any], record: Any) -> Any:
    adapter.about_to_connect(record)
    try:
        connection = create(record)
    except Exception as error:
        adapter.connect_failed(error)
        raise
    adapter.connected(connection)
    return connection


@lru_cache(maxsize=16)
def _measuring_queue(cls: Any) -> Any:
    """The measuring subclass of the class of a pool's queue: it records who waits in it."""
    original_get = cls.get

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            return original_get(self, block, timeout)
        # Re-entrant: the original takes it too, and releases it completely while it waits.
        with self.mutex:
            if self.queue:
                return original_get(self, block, timeout)
            with self._pg_pool_exporter_waiting.request():
                return original_get(self, block, timeout)

    def get_in_loop(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        if not block or not self.empty():
            return original_get(self, block, timeout)
        with self._pg_pool_exporter_waiting.request():
            return original_get(self, block, timeout)

    is_async = issubclass(cls, queues.AsyncAdaptedQueue)
    return measuring_subclass(cls, {"get": get_in_loop if is_async else get})
