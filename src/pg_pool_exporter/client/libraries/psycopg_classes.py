"""The measuring subclasses of psycopg_pool's classes.

They cover `connection()`, Django's `getconn`/`putconn` and `conn.close()` with `close_returns`,
which all call these methods.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any

import psycopg_pool

from pg_pool_exporter.client.measuring import measuring_subclass
from pg_pool_exporter.client.sites import Site, calling_site


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    is_async = issubclass(cls, psycopg_pool.AsyncConnectionPool)
    methods = _async_methods(cls) if is_async else _sync_methods(cls)
    return measuring_subclass(cls, {**methods, "pop_stats": _pop_stats(cls.pop_stats)})


def _pop_stats(original_pop_stats: Callable[[Any], Mapping[str, int]]) -> Callable[[Any], Any]:
    def pop_stats(self: Any) -> Mapping[str, int]:
        popped = original_pop_stats(self)
        self._pg_pool_exporter_adapter.popped(popped)
        return popped

    return pop_stats


def _sync_methods(cls: Any) -> dict[str, Any]:
    original_getconn, original_putconn, original_connect = cls.getconn, cls.putconn, cls._connect

    def getconn(self: Any, timeout: float | None = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_getconn(self, timeout)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error)
            raise
        tracker.acquired(connection, asked, site)
        return connection

    def putconn(self: Any, conn: Any) -> None:
        # Before, not after: once it is back another thread may have it.
        now = self._pg_pool_exporter_tracker.returning(conn)
        if now is not None:
            conn._pg_pool_exporter_idle_since = now
        original_putconn(self, conn)

    def _connect(self: Any, timeout: float | None = None) -> Any:
        try:
            connection = original_connect(self, timeout)
        except Exception as error:
            self._pg_pool_exporter_adapter.connect_failed(error)
            raise
        self._pg_pool_exporter_adapter.connected(connection)
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
            self._pg_pool_exporter_adapter.refused(error)
            raise
        # No await between the pool's return and this: a cancellation can't come in between.
        tracker.acquired(connection, asked, site)
        return connection

    async def putconn(self: Any, conn: Any) -> None:
        now = self._pg_pool_exporter_tracker.returning(conn)
        if now is not None:
            conn._pg_pool_exporter_idle_since = now
        await original_putconn(self, conn)

    async def _connect(self: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg_pool's
        try:
            connection = await original_connect(self, timeout)
        except Exception as error:
            self._pg_pool_exporter_adapter.connect_failed(error)
            raise
        self._pg_pool_exporter_adapter.connected(connection)
        return connection

    return {"getconn": getconn, "putconn": putconn, "_connect": _connect}
