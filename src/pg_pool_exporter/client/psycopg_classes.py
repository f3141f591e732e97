"""The measuring subclasses of psycopg_pool's classes.

A method put on the instance would make a reference cycle and keep the pool alive; an exchanged
class doesn't. It covers `connection()`, Django's `getconn`/`putconn` and `conn.close()` with
`close_returns`, which all call these methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg_pool

from pg_pool_exporter.client.sites import Site, calling_site

if TYPE_CHECKING:
    from pg_pool_exporter.client.psycopg import PsycopgAdapter

_ORIGINAL = "_pg_pool_exporter_original"


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class, under the same name.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    is_async = issubclass(cls, psycopg_pool.AsyncConnectionPool)
    methods = _async_methods(cls) if is_async else _sync_methods(cls)
    for name, method in methods.items():
        # Passing on any arguments would cost a tenth of all that measuring costs.
        if _parameters(method) != _parameters(getattr(cls, name)):
            raise TypeError(f"{cls.__qualname__}.{name} takes other arguments than psycopg_pool's")
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
    common = {"pop_stats": _pop_stats(cls.pop_stats), _ORIGINAL: cls}
    return type(cls.__name__, (cls,), {**names, **common, **methods})


def original(cls: Any) -> Any:
    """The class that a measuring one was made from; None for another class."""
    return cls.__dict__.get(_ORIGINAL)


def attach(pool: Any, adapter: PsycopgAdapter) -> None:
    """Tell the methods of the measuring class what to report to.

    It is never taken off again: a call that is under way would miss it.
    """
    pool._pg_pool_exporter_adapter = adapter
    pool._pg_pool_exporter_tracker = adapter.tracker  # one step less on the hot path


def _parameters(method: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.default) for parameter in parameters]


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
