"""psycopg_pool: `ConnectionPool`, `AsyncConnectionPool` and both null pools.

The pool's own counters of times are not used: they truncate each to whole milliseconds. Private
attributes that are read are the same in psycopg_pool 3.2 and 3.3; the tests run on both.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from math import inf
from typing import Any, Final

import psycopg
import psycopg_pool

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.libraries.adapter import (
    FAILED,
    REJECTED,
    TIMEOUT,
    PoolAdapter,
    PoolGauges,
)
from pg_pool_exporter.client.libraries.books import Sessions
from pg_pool_exporter.client.libraries.measuring import attach, measuring_subclass, restore_class
from pg_pool_exporter.client.libraries.waiting import Waiting, copy
from pg_pool_exporter.client.sites import Site, calling_site

_Pool = psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]

# A null pool makes a session under its lock, for as long as a hung server takes.
_PATIENCE_SECONDS: Final = 1.0


class PsycopgAdapter(PoolAdapter):
    """One pool of psycopg_pool."""

    library = "psycopg_pool"
    version = psycopg_pool.__version__

    def __init__(self, pool: _Pool, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        self._lost = self._lost_popped = self._lost_before = 0
        self.sessions = Sessions()
        self.connecting = Waiting(self.tracker.clock)

    @classmethod
    def find(cls, given: Any) -> _Pool | None:
        """The pool itself."""
        is_pool = isinstance(given, psycopg_pool.ConnectionPool | psycopg_pool.AsyncConnectionPool)
        return given if is_pool else None

    def install(self, pool: _Pool) -> None:
        """Make the pool measure from now on. Raises `TimeoutError` when it is locked for long."""
        own: Any = pool
        # First, as an application's own class can refuse to have a subclass.
        cls = _measuring(own.__class__)
        with _locked(pool):
            # All that can fail comes before anything is exchanged. Connections that it only plans
            # to make will come from our method.
            self.sessions = Sessions(0 if own._closed else own._nconns - _planned(own))
            self._look_at_late_ones(own._pool)
            self._lost_before = _lost(pool.get_stats())
            waiting = _TimedQueue(own._waiting, self.tracker.clock)
            attach(pool, self)
            own.__class__ = cls
            own._waiting = waiting

    def uninstall(self, pool: _Pool) -> None:
        """Restore the pool, unless other code has exchanged its class since."""
        own: Any = pool
        with _locked(pool):
            restore_class(pool)
            if isinstance(own._waiting, _TimedQueue):
                own._waiting = deque(own._waiting)

    def forked(self, pool: _Pool, wake: Callable[[], None]) -> None:
        """Start over in a child process."""
        super().forked(pool, wake)
        own: Any = pool
        if isinstance(own._waiting, _TimedQueue):
            own._waiting.forget()
        self.connecting.forget()
        self._lost, self._lost_popped, self._lost_before = 0, 0, _lost(pool.get_stats())

    def limit(self, pool: _Pool) -> float:
        """The maximum; infinity for a null pool without one."""
        return pool.max_size or inf

    def name_of(self, pool: _Pool) -> str:
        """The name that it was given, else `pool-N`."""
        return pool.name

    def is_closed(self, pool: _Pool) -> bool:
        """Whether it was closed; one that isn't open yet is not."""
        own: Any = pool
        return bool(own._closed and own._opened)

    def refusal(self, error: BaseException) -> str:
        """The kind of an error of `getconn`."""
        if isinstance(error, psycopg_pool.TooManyRequests):
            return REJECTED
        return TIMEOUT if isinstance(error, psycopg_pool.PoolTimeout) else FAILED

    def return_failed(self, pool: _Pool, connection: Any) -> None:
        """Record that a return was cut short, by a signal handler that raised.

        Where the pool has not taken the connection, it is still checked out.
        """
        try:
            if connection._pool is pool and not self.tracker.has(connection):
                self.tracker.acquired(connection, self.tracker.clock(), calling_site())
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "recording a return that was cut short")

    def popped(self, stats: Mapping[str, int]) -> None:
        """Record that the application has reset the pool's own counters, which had these values."""
        try:
            self._lost_popped += _lost(stats)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "reading the counters of a pool")

    def gauges(self, pool: _Pool) -> PoolGauges:
        """The pool's own state."""
        own: Any = pool
        idle = copy(own._pool)
        self._look_at_late_ones(idle)
        queue = own._waiting if isinstance(own._waiting, _TimedQueue) else None
        return PoolGauges(
            idle=self.sessions.since(idle),
            min=pool.min_size,
            waiting=None if queue is None else queue.live(),
            queued=None if queue is None else queue.queued,
        )

    def missing(self, pool: _Pool, leaked: int) -> int:
        """Those in the pool's size without a connection, nor an attempt to connect."""
        own: Any = pool
        if own._closed:
            return 0  # its initial size stands before it is opened
        being_made = len(self.connecting.since()) + _planned(own)
        size: int = own._nconns
        return size - leaked - len(self.sessions) - being_made

    def lost(self, pool: _Pool | None, noted: Mapping[str, int]) -> int:
        """Sessions found dead since the pool was instrumented: only the pool counts them."""
        if pool is None:
            return self._lost
        now = self._lost_popped + _lost(pool.get_stats()) - self._lost_before
        # Less when the application resets the pool's counters at this moment.
        self._lost = max(self._lost, now)
        return self._lost

    def look_at(self, connection: Any) -> None:
        """Read the server's address from a session, unless it is closed already."""
        try:
            super().look_at(connection)
        except psycopg.Error:
            return

    def get_to_know(self, connection: Any) -> None:
        """Look at a session for the first time."""
        try:
            if self.sessions.add(connection):
                self._idle_from_now(connection)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "counting a session")
        super().get_to_know(connection)

    def _idle_from_now(self, connection: Any) -> None:
        self.sessions.idle_since[id(connection)] = self.tracker.clock()

    def _look_at_late_ones(self, idle: Collection[Any]) -> None:
        """Look at sessions that were in use, or being made, when the pool was instrumented.

        The application may be using them by now: nothing here touches the protocol.
        """
        for connection in self.sessions.find(idle):
            self._idle_from_now(connection)
        if not self.is_known:
            for connection in idle:
                super().get_to_know(connection)


class _TimedQueue(deque[Any]):
    """Takes the place of the pool's own queue of waiting requests; knows when each joined.

    The pool touches it under its own lock, and only when no connection is free. `clock` returns
    seconds.
    """

    def __init__(self, waiting: Iterable[Any], clock: Callable[[], float]) -> None:
        super().__init__(waiting)
        self._clock = clock
        # By identity: a request has slots and takes no attribute.
        self._since = {id(request): clock() for request in self}
        self.queued = 0
        """Requests that have joined since the pool was instrumented."""

    def append(self, request: Any) -> None:
        self._since[id(request)] = self._clock()
        self.queued += 1
        super().append(request)

    def popleft(self) -> Any:
        request = super().popleft()
        self._since.pop(id(request), None)
        return request

    def clear(self) -> None:
        super().clear()
        self._since.clear()

    def forget(self) -> None:
        """Start over in a forked child: requests of the parent never end here."""
        self._since.clear()
        self.queued = 0

    def live(self) -> list[float]:
        """When each waiting request joined. One that timed out stays in the queue for a while."""
        known = ((request, self._since.get(id(request))) for request in copy(self))
        return [
            since
            for request, since in known
            if since is not None and request.conn is None and request.error is None
        ]


@contextmanager
def _locked(pool: _Pool) -> Iterator[None]:
    """Keep other threads from joining the queue that is being exchanged.

    An asynchronous pool's queue changes in the thread of its loop alone, between two awaits, which
    is where its application instruments it. Before it is opened, psycopg_pool 3.2 has no lock.
    """
    lock = None
    if isinstance(pool, psycopg_pool.ConnectionPool):
        lock = getattr(pool, "_lock", None)
    if lock is not None and not lock.acquire(timeout=_PATIENCE_SECONDS):
        raise TimeoutError(f"the pool {pool.name!r} is making a session and can't be exchanged")
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _planned(pool: Any) -> int:
    """Connections that the pool counts already and will make soon, or try to make again."""
    tasks, scheduled = copy(_queue_of(pool._tasks)), copy(pool._sched._queue)
    retries = (getattr(one.action, "__self__", None) for one in scheduled)
    return sum(type(one).__name__ == "AddConnection" for one in (*tasks, *retries))


def _queue_of(tasks: Any) -> deque[Any]:
    """What is in a queue of threads, or of a loop."""
    waiting: deque[Any] = tasks.queue if hasattr(tasks, "queue") else tasks._queue
    return waiting


def _lost(stats: Mapping[str, int]) -> int:
    return stats.get("connections_lost", 0) + stats.get("returns_bad", 0)


@lru_cache(maxsize=64)
def _measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    It covers `connection()`, Django's `getconn`/`putconn` and `conn.close()` with `close_returns`,
    which all call these methods. Raises `TypeError` for an application's own class whose methods
    take other arguments.
    """
    is_async = issubclass(cls, psycopg_pool.AsyncConnectionPool)
    methods = _async_methods(cls) if is_async else _sync_methods(cls)
    original_pop_stats = cls.pop_stats

    def pop_stats(self: Any) -> Mapping[str, int]:
        popped: Mapping[str, int] = original_pop_stats(self)
        self._pg_pool_exporter_adapter.popped(popped)
        return popped

    return measuring_subclass(cls, {**methods, "pop_stats": pop_stats})


def _sync_methods(cls: Any) -> dict[str, Any]:
    original_getconn, original_putconn, original_connect = cls.getconn, cls.putconn, cls._connect

    def getconn(self: Any, timeout: float | None = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_getconn(self, timeout)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error, asked)
            raise
        tracker.acquired(connection, asked, site)
        return connection

    def putconn(self: Any, conn: Any) -> None:
        try:
            # Before, not after: once it is back another thread may have it.
            checkout = self._pg_pool_exporter_tracker.returning(conn)
            if checkout is not None:
                sessions = self._pg_pool_exporter_adapter.sessions
                sessions.idle_since[id(conn)] = checkout.ended
            original_putconn(self, conn)
        except BaseException:
            self._pg_pool_exporter_adapter.return_failed(self, conn)
            raise

    def _connect(self: Any, timeout: float | None = None) -> Any:
        adapter = self._pg_pool_exporter_adapter
        with adapter.connecting.request():
            try:
                connection = original_connect(self, timeout)
            except Exception as error:
                adapter.connect_failed(error)
                raise
            adapter.connected(connection)
            return connection

    return {"getconn": getconn, "putconn": putconn, "_connect": _connect}


def _async_methods(cls: Any) -> dict[str, Any]:
    original_getconn, original_putconn, original_connect = cls.getconn, cls.putconn, cls._connect

    # Not a coroutine function itself: it sees the line that asks also where the coroutine is then
    # run by a task of its own, as `asyncio.wait_for` and `gather` do.
    def getconn(self: Any, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        return getconn_at(self, calling_site(), timeout)

    async def getconn_at(self: Any, site: Site, timeout: float | None) -> Any:  # noqa: ASYNC109 - psycopg_pool's
        tracker = self._pg_pool_exporter_tracker
        asked = tracker.clock()
        try:
            connection = await original_getconn(self, timeout)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error, asked)
            raise
        # No await between the pool's return and this: a cancellation can't come in between.
        tracker.acquired(connection, asked, site)
        return connection

    async def putconn(self: Any, conn: Any) -> None:
        try:
            checkout = self._pg_pool_exporter_tracker.returning(conn)
            if checkout is not None:
                sessions = self._pg_pool_exporter_adapter.sessions
                sessions.idle_since[id(conn)] = checkout.ended
            await original_putconn(self, conn)
        except BaseException:
            self._pg_pool_exporter_adapter.return_failed(self, conn)
            raise

    async def _connect(self: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg_pool's
        adapter = self._pg_pool_exporter_adapter
        with adapter.connecting.request():
            try:
                connection = await original_connect(self, timeout)
            except Exception as error:
                adapter.connect_failed(error)
                raise
            adapter.connected(connection)
            return connection

    return {"getconn": getconn, "putconn": putconn, "_connect": _connect}
