"""The measuring subclasses of SQLAlchemy's pools and of their queues.

A pool makes its successor, at `engine.dispose()`, from its own class: so that is a measuring one,
too, and is told to whom it reports. What is borrowed and given back is the pool's record of a
connection: SQLAlchemy gives it back also when the application drops the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from sqlalchemy.util import queue

from pg_pool_exporter.client.measuring import attach, measuring_subclass
from pg_pool_exporter.client.sites import calling_site
from pg_pool_exporter.client.waiting import Waiting


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
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
            self._pg_pool_exporter_adapter.refused(error)
            raise
        record = connection._connection_record
        if record is not None:  # no listener of the application has taken it out of the pool
            tracker.acquired(record, asked, site)
        return connection

    def _do_return_conn(self: Any, record: Any) -> None:
        # Before, not after: once it is back another thread may have it.
        now = self._pg_pool_exporter_tracker.returning(record)
        if now is not None:
            record._pg_pool_exporter_idle_since = now
        original_return(self, record)

    def recreate(self: Any) -> Any:
        pool = original_recreate(self)
        adapter = self._pg_pool_exporter_adapter
        attach(pool, adapter)
        adapter.succeeded(pool)
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
    """What the pool calls to make a session."""
    return partial(_connect, pool._pg_pool_exporter_adapter, vars(pool)["_invoke_creator"])


def _connect_by(pool: Any, create: Callable[[Any], Any]) -> None:
    vars(pool)["_invoke_creator"] = create


def _connect(adapter: Any, create: Callable[[Any], Any], record: Any) -> Any:
    try:
        connection = create(record)
    except Exception as error:
        adapter.connect_failed(error)
        raise
    adapter.connected(connection)
    return connection


def measure_queue(its: Any, waiting: Waiting) -> None:
    """Have a pool's queue tell who waits in it."""
    its._pg_pool_exporter_waiting = waiting
    its.__class__ = _measuring_queue(its.__class__)


@lru_cache(maxsize=16)
def _measuring_queue(cls: Any) -> Any:
    original_get = cls.get

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            return original_get(self, block, timeout)
        # Taken again by the original, which lets go of it altogether while it waits.
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

    is_async = issubclass(cls, queue.AsyncAdaptedQueue)
    return measuring_subclass(cls, {"get": get_in_loop if is_async else get})
