"""The measuring subclasses of asyncpg's pool, of the holders of its connections, of its queue.

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
    from pg_pool_exporter.client.asyncpg import AsyncpgAdapter


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
        holder.__class__ = _measuring_holder(type(holder))
        super().append(holder)


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    original_connect, original_initialize = cls._get_new_connection, cls._initialize

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

    async def _initialize(self: Any) -> None:
        await original_initialize(self)
        measure_queue(self)

    methods = {
        "acquire": acquire,
        "_get_new_connection": _get_new_connection,
        "_initialize": _initialize,
    }
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


def measure_queue(pool: Any) -> None:
    """Have the pool's queue tell who waits in it, if it has one yet."""
    queue = getattr(pool, "_queue", None)
    if queue is not None:
        queue._pg_pool_exporter_waiting = pool._holders.adapter.waiting
        queue.__class__ = _measuring_queue(type(queue))


@lru_cache(maxsize=16)
def _measuring_queue(cls: Any) -> Any:
    original_get = cls.get

    async def get(self: Any) -> Any:
        if not self.empty():
            return await original_get(self)
        with self._pg_pool_exporter_waiting.request():
            return await original_get(self)

    return measuring_subclass(cls, {"get": get})
