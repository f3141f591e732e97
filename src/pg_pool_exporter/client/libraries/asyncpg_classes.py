"""The measuring subclasses of asyncpg's pool, of the holders of its connections, and of these.

asyncpg's pool has slots and takes neither attributes nor weak references. But it has a list of
holders of its own, which can be a list that knows more: what a pool reports to stands there, and
dies with it. A holder tells each end of a checkout, also that of a session that has died.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from asyncpg.pool import PoolAcquireContext

from pg_pool_exporter.client.measuring import measuring_subclass
from pg_pool_exporter.client.sites import Site, calling_site

if TYPE_CHECKING:
    from pg_pool_exporter.client.libraries.asyncpg import AsyncpgAdapter


class Holders(list[Any]):
    """Takes the place of the pool's own list, which is empty until the pool is initialised."""

    __slots__ = ("__weakref__", "adapter", "idle_since")

    def __init__(self, holders: Iterable[Any], adapter: AsyncpgAdapter) -> None:
        super().__init__()
        self.adapter = adapter
        self.idle_since: dict[int, float] = {}
        """By identity: a holder has slots, and stays as long as its pool."""
        for holder in holders:
            self.append(holder)

    def append(self, holder: Any) -> None:
        holder.__class__ = _measuring_holder(holder.__class__)
        super().append(holder)


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    original_connect = cls._get_new_connection

    def acquire(self: Any, *, timeout: float | None = None) -> Any:
        acquiring = _Acquiring(self, timeout)
        acquiring.site = calling_site()
        return acquiring

    async def _get_new_connection(self: Any) -> Any:
        adapter = self._holders.adapter
        try:
            connection = await original_connect(self)
        except Exception as error:
            adapter.connect_failed(error)
            raise
        adapter.connected(connection)
        return connection

    methods = {"acquire": acquire, "_get_new_connection": _get_new_connection}
    return measuring_subclass(cls, methods)


class _Acquiring(PoolAcquireContext):
    """Knows the line that asked, also where it is awaited by a task of its own."""

    __slots__ = ("site",)

    site: Site

    async def __aenter__(self) -> Any:
        if self.connection is not None or self.done:
            return await super().__aenter__()  # which is an error
        self.connection = await _acquire(self.pool, self.site, self.timeout)
        return self.connection

    def __await__(self) -> Generator[Any, Any, Any]:
        self.done = True
        return _acquire(self.pool, self.site, self.timeout).__await__()


async def _acquire(pool: Any, site: Site, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
    adapter = pool._holders.adapter
    tracker = adapter.tracker
    asked = tracker.clock()
    try:
        if pool._initialized and pool._queue.empty():
            with adapter.waiting.request():
                connection = await pool._acquire(timeout)
        else:
            connection = await pool._acquire(timeout)
    except BaseException as error:
        adapter.refused(error)
        raise
    # No await between the pool's return and this: a cancellation can't come in between.
    tracker.acquired(connection._con, asked, site)
    return connection


@lru_cache(maxsize=16)
def _measuring_holder(cls: Any) -> Any:
    original_connect, original_release = cls.connect, cls._release

    async def connect(self: Any) -> None:
        await original_connect(self)
        holders = self._pool._holders
        holders.idle_since[id(self)] = holders.adapter.tracker.clock()

    def _release(self: Any) -> None:
        holders = self._pool._holders
        now = holders.adapter.tracker.returning(self._con)
        if now is not None:
            holders.idle_since[id(self)] = now
        original_release(self)

    return measuring_subclass(cls, {"connect": connect, "_release": _release})


def measure_statements(connection: Any) -> None:
    """Have a connection tell which of its statements time out.

    Not by a query logger: it costs some 5 microseconds a statement, also of those that give a
    connection back, and ten times what this does.
    """
    connection.__class__ = _measuring_connection(connection.__class__)


@lru_cache(maxsize=16)
def _measuring_connection(cls: Any) -> Any:
    original_execute, original_do_execute = cls.execute, cls._do_execute

    async def execute(self: Any, query: str, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - asyncpg's
        lent = self._proxy
        try:
            return await original_execute(self, query, *args, timeout=timeout)
        except Exception as error:
            _failed(lent, error)
            raise

    # Of all that has arguments or gives rows.
    async def _do_execute(self: Any, query: Any, executor: Any, *options: Any, **named: Any) -> Any:
        lent = self._proxy
        try:
            return await original_do_execute(self, query, executor, *options, **named)
        except Exception as error:
            _failed(lent, error)
            raise

    subclass = measuring_subclass(cls, {"execute": execute})
    subclass._do_execute = _do_execute
    return subclass


def _failed(lent: Any, error: Exception) -> None:
    # What the pool has lent; the connection itself forgets it when it is closed. None while nobody
    # has borrowed it.
    if lent is not None:
        lent._holder._pool._holders.adapter.failed(error)
