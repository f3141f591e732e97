"""psycopg_pool: `ConnectionPool`, `AsyncConnectionPool` and both null pools.

The pool's class is exchanged for a subclass of it that measures. Unlike a method put on the
instance, that makes no reference cycle, so it keeps no pool alive; it covers `connection()`,
Django's `getconn`/`putconn` and `conn.close()` with `close_returns`, which all call these methods.

The pool's own counters of times are not used: they truncate each to whole milliseconds. What is
read from private attributes is the same in psycopg_pool 3.2 and 3.3; the tests run on both.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import inf, isfinite
from typing import Any, Final

import psycopg
import psycopg_pool

from pg_pool_exporter.client.sites import calling_site
from pg_pool_exporter.client.tracker import Tracker
from pg_pool_exporter.model import PoolInfo, PoolKey, PoolSample

_Pool = psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]

_TRACKER: Final = "_pg_pool_exporter_tracker"
_IDLE_SINCE: Final = "_pg_pool_exporter_idle_since"
_ORIGINAL: Final = "_pg_pool_exporter_original"

# What the tracker counts for us, besides checkouts.
_TIMEOUT: Final = "timeout"
_REJECTED: Final = "rejected"
_FAILED: Final = "failed"
_CONNECTED: Final = "connected"
_CONNECT_ERROR: Final = "connect error"
_CONNECT_TIMEOUT: Final = "connect timeout"


def accepts(pool: object) -> bool:
    """Whether this adapter knows the pool."""
    return isinstance(pool, psycopg_pool.ConnectionPool | psycopg_pool.AsyncConnectionPool)


class PsycopgAdapter:
    """One pool: makes it measure, and reads it."""

    def __init__(self, pool: _Pool, *, leak_after: float, server: str) -> None:
        self.tracker = Tracker(limit=_limit(pool), leak_after=leak_after)
        self.default_name: str = pool.name
        self._server = server
        self._info: PoolInfo | None = None
        self._lost = self._lost_before = 0

    def install(self, pool: _Pool) -> None:
        """Make the pool measure from now on."""
        own: Any = pool
        setattr(own, _TRACKER, self.tracker)
        own._waiting = _Queue(own._waiting, self.tracker.clock)
        for connection in _copy(own._pool):
            setattr(connection, _IDLE_SINCE, self.tracker.clock())
        self._lost_before = _lost_connections(pool)
        cls: Any = type(pool)
        own.__class__ = _measuring(cls)

    def uninstall(self, pool: _Pool) -> None:
        """Make the pool what it was, unless somebody else has exchanged its class since."""
        own: Any = pool
        original = type(pool).__dict__.get(_ORIGINAL)
        if original is not None:
            own.__class__ = original
        if isinstance(own._waiting, _Queue):
            own._waiting = deque(own._waiting)

    def forked(self, pool: _Pool, wake: Callable[[], None]) -> None:
        """Start anew in a child process, see `Tracker.forked`."""
        self.tracker.forked(wake)
        own: Any = pool
        own._waiting = _Queue(own._waiting, self.tracker.clock)
        self._lost, self._lost_before = 0, _lost_connections(pool)

    def sample(self, pool: _Pool, key: PoolKey) -> PoolSample | None:
        """How the pool stands; None once it is closed."""
        own: Any = pool
        if own._closed and own._opened:
            return None
        self.tracker.limit = _limit(pool)
        idle = _copy(own._pool)
        queue = own._waiting
        waiting = queue.live() if isinstance(queue, _Queue) else None
        reading = self.tracker.read(slots_lost=True)
        noted = reading.noted
        now = self.tracker.clock()
        failed = noted[_TIMEOUT] + noted[_REJECTED] + noted[_FAILED]
        return PoolSample(
            key=key,
            idle=len(idle),
            active=reading.active,
            max=self.tracker.limit if isfinite(self.tracker.limit) else None,
            min=pool.min_size,
            waiting=None if waiting is None else len(waiting),
            oldest_idle=max((now - getattr(one, _IDLE_SINCE, now) for one in idle), default=None),
            oldest_active=reading.oldest_active,
            oldest_waiting=now - min(waiting) if waiting else None,
            active_seconds=reading.active_seconds,
            saturated_seconds=reading.saturated_seconds if isfinite(self.tracker.limit) else None,
            requests=reading.acquire.count + failed,
            queued=queue.queued if isinstance(queue, _Queue) else None,
            rejected=noted[_REJECTED],
            acquire_wait=reading.acquire.total,
            acquired=reading.acquire.count,
            held=reading.hold.total,
            returned=reading.hold.count,
            connects=noted[_CONNECTED],
            connect_errors=noted[_CONNECT_ERROR] + noted[_CONNECT_TIMEOUT],
            lost=self._lost_connections(pool),
            leaked=reading.leaked,
            timeouts={"pool": noted[_TIMEOUT], "connect": noted[_CONNECT_TIMEOUT]},
            leaked_slots=reading.leaked_slots,
            overdue=reading.overdue,
            acquire=reading.acquire,
            hold=reading.hold,
            info=self._pool_info(idle),
        )

    def _lost_connections(self, pool: _Pool) -> int:
        """Sessions found dead since the pool was instrumented.

        Only the pool knows them. Its counters start again at 0 when the application pops them.
        """
        now = _lost_connections(pool)
        self._lost += now - self._lost_before if now >= self._lost_before else now
        self._lost_before = now
        return self._lost

    def _pool_info(self, idle: list[Any]) -> PoolInfo:
        known = PoolInfo(
            client="psycopg_pool",
            client_version=psycopg_pool.__version__,
            source="instrumented",
            pid=str(os.getpid()),
            server=self._server,
        )
        if self._info is not None and self._info.pid == known.pid:
            return self._info
        for connection in idle:
            # Where a live session really leads: a conninfo may be a callable, and what it doesn't
            # say comes from a service file, the environment or libpq's defaults.
            try:
                info = connection.info
                self._info = PoolInfo(
                    client=known.client,
                    client_version=known.client_version,
                    source=known.source,
                    pid=known.pid,
                    server=known.server,
                    host=info.host,
                    port=str(info.port),
                    database=info.dbname,
                    user=info.user,
                    application=info.parameter_status("application_name") or "",
                )
            except psycopg.Error:  # it was closed meanwhile
                continue
            return self._info
        return known


class _Queue(deque[Any]):
    """The pool's queue of waiting requests, with the time at which each joined it.

    The pool touches it under its own lock, and only when no connection is free.
    """

    def __init__(self, waiting: Iterable[Any], clock: Callable[[], float]) -> None:
        super().__init__(waiting)
        self._clock = clock
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

    def live(self) -> list[float]:
        """When those joined that still wait. One that has given up stays in for a while."""
        now = self._clock()
        return [
            self._since.get(id(request), now)
            for request in _copy(self)
            if request.conn is None and request.error is None
        ]


def _copy(queue: deque[Any]) -> list[Any]:
    """A copy of a queue that other threads may change meanwhile."""
    while True:
        try:
            return list(queue)
        except RuntimeError:  # changed during iteration
            continue


def _limit(pool: _Pool) -> float:
    """The maximum; infinity for a null pool without one."""
    return pool.max_size or inf


def _lost_connections(pool: _Pool) -> int:
    stats = pool.get_stats()
    return stats.get("connections_lost", 0) + stats.get("returns_bad", 0)


def _note_failure(tracker: Tracker, error: BaseException) -> None:
    if isinstance(error, psycopg_pool.TooManyRequests):
        tracker.note(_REJECTED)
    elif isinstance(error, psycopg_pool.PoolTimeout):
        tracker.note(_TIMEOUT)
    else:
        tracker.note(_FAILED)


def _note_connect_failure(tracker: Tracker, error: BaseException) -> None:
    late = isinstance(error, psycopg.errors.ConnectionTimeout)
    tracker.note(_CONNECT_TIMEOUT if late else _CONNECT_ERROR)


def _note_connected(tracker: Tracker, connection: Any) -> None:
    tracker.note(_CONNECTED)
    setattr(connection, _IDLE_SINCE, tracker.clock())


@lru_cache(maxsize=64)
def _measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class, under the same name."""
    methods = (
        _async_methods(cls)
        if issubclass(cls, psycopg_pool.AsyncConnectionPool)
        else (_sync_methods(cls))
    )
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
    return type(cls.__name__, (cls,), {**names, **methods, _ORIGINAL: cls})


def _sync_methods(cls: Any) -> dict[str, Any]:
    original_getconn, original_putconn, original_connect = cls.getconn, cls.putconn, cls._connect

    def getconn(self: Any, timeout: float | None = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_getconn(self, timeout)
        except BaseException as error:
            _note_failure(tracker, error)
            raise
        tracker.acquired(connection, asked, site)
        return connection

    def putconn(self: Any, conn: Any) -> None:
        # Before, not after: once it is back another thread may have it.
        conn._pg_pool_exporter_idle_since = self._pg_pool_exporter_tracker.returning(conn)
        original_putconn(self, conn)

    def _connect(self: Any, timeout: float | None = None) -> Any:
        try:
            connection = original_connect(self, timeout)
        except BaseException as error:
            _note_connect_failure(self._pg_pool_exporter_tracker, error)
            raise
        _note_connected(self._pg_pool_exporter_tracker, connection)
        return connection

    return {"getconn": getconn, "putconn": putconn, "_connect": _connect}


def _async_methods(cls: Any) -> dict[str, Any]:
    original_getconn, original_putconn, original_connect = cls.getconn, cls.putconn, cls._connect

    async def getconn(self: Any, timeout: float | None = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = await original_getconn(self, timeout)
        except BaseException as error:
            _note_failure(tracker, error)
            raise
        # No await between the pool's return and this: a cancellation can't come in between.
        tracker.acquired(connection, asked, site)
        return connection

    async def putconn(self: Any, conn: Any) -> None:
        conn._pg_pool_exporter_idle_since = self._pg_pool_exporter_tracker.returning(conn)
        await original_putconn(self, conn)

    async def _connect(self: Any, timeout: float | None = None) -> Any:
        try:
            connection = await original_connect(self, timeout)
        except BaseException as error:
            _note_connect_failure(self._pg_pool_exporter_tracker, error)
            raise
        _note_connected(self._pg_pool_exporter_tracker, connection)
        return connection

    return {"getconn": getconn, "putconn": putconn, "_connect": _connect}
