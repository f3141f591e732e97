"""asyncpg: its `Pool`, before or after it is initialised.

Private attributes that are read are the same in asyncpg 0.30 and 0.32; the tests run on both.

asyncpg's pool has slots and takes neither attributes nor weak references. But its list of holders
(`PoolConnectionHolder`) can be replaced by a subclass of `list`, which has the adapter and lives as
long as the pool. A holder sees each end of a checkout, also that of a session that has died.

The pool keeps a connection that the application drops, forever: it becomes overdue, and never
counts as leaked.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Generator, Mapping
from functools import lru_cache
from typing import Any

import asyncpg
from asyncpg.pool import PoolAcquireContext

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.libraries.adapter import FAILED, TIMEOUT, PoolAdapter, PoolGauges
from pg_pool_exporter.client.libraries.drivers import KINDS_BY_DRIVER, timeout_kind
from pg_pool_exporter.client.libraries.measuring import measuring_subclass, restore_class
from pg_pool_exporter.client.libraries.waiting import Waiting, copy
from pg_pool_exporter.client.sites import Site, calling_site

_CONNECTING = "_pg_pool_exporter_connecting"
_COUNTED = "_pg_pool_exporter_counted"


class AsyncpgAdapter(PoolAdapter):
    """One pool of asyncpg, represented by its list of holders in `pool` and in readings."""

    library = "asyncpg"
    version = asyncpg.__version__
    loses_slots = False
    error_timeouts = KINDS_BY_DRIVER["asyncpg"]

    def __init__(self, pool: Any, *, leak_after: float, server: str) -> None:
        self._min: int = pool._minsize
        self._max: int = pool._maxsize
        super().__init__(pool, leak_after=leak_after, server=server)
        self.waiting = Waiting(self.tracker.clock)
        self._untracked: dict[int, float | None] = {}  # since when each was last idle, by holder

    @classmethod
    def find(cls, given: Any) -> Any:
        """The pool itself."""
        return given if isinstance(given, asyncpg.Pool) else None

    def follow(self, pool: Any) -> None:
        """Make this the pool that is measured."""
        self._reference = weakref.ref(pool._holders) if _is_measured(pool) else lambda: None

    def measures(self, pool: Any) -> bool:
        """Whether this is the pool, which may be another library's."""
        own = self.find(pool)
        return own is not None and _is_measured(own) and self._reference() is own._holders

    def install(self, pool: Any) -> None:
        """Make the pool measure from now on."""
        # First, as an application's own class can refuse to have a subclass.
        cls = _measuring(pool.__class__)
        holders = _Holders(pool._holders, self)
        now = self.tracker.clock()
        for holder in holders:
            holders.idle_since[id(holder)] = now
        pool._holders = holders
        pool.__class__ = cls
        self.follow(pool)
        for holder in holders:
            if holder.is_connected():
                self.get_to_know(holder._con)

    def uninstall(self, pool: Any) -> None:
        """Restore the pool, unless other code has exchanged its class since.

        Its list stays: a call that is under way would miss it.
        """
        restore_class(pool)
        for holder in pool._holders:
            restore_class(holder)
            if holder.is_connected():
                restore_class(holder._con)

    def forked(self, pool: _Holders, wake: Callable[[], None]) -> None:
        """Start over in a child process."""
        super().forked(pool, wake)
        self.waiting.forget()

    def limit(self, pool: Any) -> float:
        """The maximum, which every pool has."""
        return self._max

    def is_closed(self, pool: _Holders) -> bool:
        """Whether it is closed; not while it waits for connections to be returned."""
        return any(holder._pool._closed for holder in pool[:1])

    def refusal(self, error: BaseException) -> str:
        """The kind of an error of `acquire`, which times out only where a timeout is given."""
        if isinstance(error, TimeoutError) and not hasattr(error, _CONNECTING):
            return TIMEOUT
        return FAILED

    def connect_failed(self, error: Exception) -> None:
        """Record that the pool could not make a session."""
        super().connect_failed(error)
        try:
            # It ends a request, too, and is no timeout of that.
            setattr(error, _CONNECTING, True)
        except Exception as fault:  # noqa: BLE001 - measuring never costs the application anything
            absorb(fault, "marking a failure to connect")

    def look_at(self, connection: Any) -> None:
        """Read the server's address from a session, and have it report its statements' timeouts.

        Not by a query logger: it costs some 5 microseconds a statement, also for those that reset
        a connection, and ten times what this does.
        """
        super().look_at(connection)
        connection.__class__ = _measuring_connection(connection.__class__)

    def gauges(self, pool: _Holders) -> PoolGauges:
        """The pool's own state."""
        idle = [holder for holder in copy(pool) if holder.is_connected() and holder.is_idle()]
        return PoolGauges(
            idle=[pool.idle_since.get(id(holder)) for holder in idle],
            min=self._min,
            waiting=self.waiting.since(),
            queued=self.waiting.queued,
        )

    def missing(self, pool: _Holders, leaked: int) -> int:
        """Holders that are in use at two readings in a row, without a checkout."""
        before, self._untracked = self._untracked, {
            id(holder): pool.idle_since.get(id(holder))
            for holder in copy(pool)
            if not holder.is_idle() and id(holder) not in pool.in_use_before
            and holder._con is not None and not self.tracker.has(holder._con)
        }  # fmt: skip
        return len(before.items() & self._untracked.items())

    def lost(self, pool: _Holders | None, noted: Mapping[str, int]) -> None:
        """Unknown: a session that has died is replaced like one that was idle for long."""
        return

    def tracked(self, connection: Any) -> object:
        """The connection behind the pool's proxy."""
        return getattr(connection, "_con", connection)

    def failed(self, error: Exception) -> None:
        """Record that a statement of a checked-out connection has failed."""
        try:
            kind = "statement" if isinstance(error, TimeoutError) else timeout_kind(error)
            if kind is not None and not hasattr(error, _COUNTED):
                self.tracker.note(kind)
                # The same error can pass through both methods.
                setattr(error, _COUNTED, True)
        except Exception as fault:  # noqa: BLE001 - measuring never costs the application anything
            absorb(fault, "looking at the error of a statement")


class _Holders(list[Any]):
    """Takes the place of the pool's own list, which is empty until the pool is initialised."""

    __slots__ = ("__weakref__", "adapter", "idle_since", "in_use_before")

    def __init__(self, holders: Collection[Any], adapter: AsyncpgAdapter) -> None:
        super().__init__()
        self.adapter = adapter
        self.idle_since: dict[int, float] = {}
        """By identity: a holder has slots, and stays as long as its pool."""
        self.in_use_before = {id(holder) for holder in holders if not holder.is_idle()}
        """Those checked out before the pool was instrumented, until they are returned."""
        for holder in holders:
            self.append(holder)

    def append(self, holder: Any) -> None:
        try:
            holder.__class__ = _measuring_holder(holder.__class__)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "measuring a holder of connections")
        super().append(holder)


def _is_measured(pool: Any) -> bool:
    return isinstance(pool._holders, _Holders)


@lru_cache(maxsize=64)
def _measuring(cls: Any) -> Any:
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
        adapter.refused(error, asked)
        raise
    # No await between the pool's return and this: a cancellation can't come in between.
    tracker.acquired(adapter.tracked(connection), asked, site)
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
        checkout = holders.adapter.tracker.returning(self._con)
        holders.in_use_before.discard(id(self))
        if checkout is not None:
            holders.idle_since[id(self)] = checkout.ended
        original_release(self)

    return measuring_subclass(cls, {"connect": connect, "_release": _release})


@lru_cache(maxsize=16)
def _measuring_connection(cls: Any) -> Any:
    original_execute, original_do_execute = cls.execute, cls._do_execute

    async def execute(self: Any, query: str, *args: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - asyncpg's
        proxy = self._proxy
        try:
            return await original_execute(self, query, *args, timeout=timeout)
        except Exception as error:
            _failed(proxy, error)
            raise

    # Of all that has arguments or returns rows.
    async def _do_execute(self: Any, query: Any, executor: Any, *options: Any, **named: Any) -> Any:
        proxy = self._proxy
        try:
            return await original_do_execute(self, query, executor, *options, **named)
        except Exception as error:
            _failed(proxy, error)
            raise

    subclass = measuring_subclass(cls, {"execute": execute})
    subclass._do_execute = _do_execute
    return subclass


def _failed(proxy: Any, error: Exception) -> None:
    # The connection itself forgets its proxy when it is closed. None while it is not checked out.
    if proxy is not None:
        proxy._holder._pool._holders.adapter.failed(error)
