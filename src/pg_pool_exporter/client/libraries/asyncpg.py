"""asyncpg: its `Pool`, before or after it is initialised.

What is read from private attributes is the same in asyncpg 0.30 and 0.32; the tests run on both.

The pool keeps a connection that the application drops, for ever: it becomes overdue, and is never
found to be lost.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg

from pg_pool_exporter.client.libraries.adapter import FAILED, TIMEOUT, PoolAdapter, Standing
from pg_pool_exporter.client.libraries.asyncpg_classes import Holders, measure_statements, measuring
from pg_pool_exporter.client.measuring import make_plain
from pg_pool_exporter.client.sqlstates import KINDS_BY_DRIVER, timeout_kind
from pg_pool_exporter.client.waiting import Waiting, copy

_CONNECTING = "_pg_pool_exporter_connecting"
_COUNTED = "_pg_pool_exporter_counted"


class AsyncpgAdapter(PoolAdapter):
    """One pool of asyncpg. What `pool` gives, and is read, is the list of its holders."""

    library = "asyncpg"
    version = asyncpg.__version__
    loses_slots = False
    error_timeouts = KINDS_BY_DRIVER["asyncpg"]

    def __init__(self, pool: Any, *, leak_after: float, server: str) -> None:
        self._min: int = pool._minsize
        self._max: int = pool._maxsize
        super().__init__(pool, leak_after=leak_after, server=server)
        self.waiting = Waiting(self.tracker.clock)

    @classmethod
    def find(cls, given: Any) -> Any:
        """The pool itself."""
        return given if isinstance(given, asyncpg.Pool) else None

    def follow(self, pool: Any) -> None:
        """Make this the pool that is measured."""
        self._reference = weakref.ref(pool._holders) if _is_measured(pool) else lambda: None

    def measures(self, pool: Any) -> bool:
        """Whether this is the pool."""
        return _is_measured(pool) and self._reference() is pool._holders

    def install(self, pool: Any) -> None:
        """Make the pool measure from now on."""
        # First, as an application's own class can refuse to have a subclass.
        cls = measuring(pool.__class__)
        holders = Holders(pool._holders, self)
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
        """Make the pool what it was, unless somebody else has exchanged its class since.

        Its list stays: a call that is under way would miss it.
        """
        make_plain(pool)
        for holder in pool._holders:
            make_plain(holder)
            if holder.is_connected():
                make_plain(holder._con)

    def forked(self, pool: Holders, wake: Callable[[], None]) -> None:
        """Start anew in a child process."""
        super().forked(pool, wake)
        self.waiting.forget()

    def limit(self, pool: Any) -> float:
        """The maximum, which every pool has."""
        return self._max

    def is_closed(self, pool: Holders) -> bool:
        """Whether it is closed; while it waits for connections to come back it isn't yet."""
        return any(holder._pool._closed for holder in pool[:1])

    def refusal(self, error: BaseException) -> str:
        """What an error is that `acquire` raises. It has a time-out only where it is given one."""
        if isinstance(error, TimeoutError) and not hasattr(error, _CONNECTING):
            return TIMEOUT
        return FAILED

    def connect_failed(self, error: Exception) -> None:
        """The pool could not make a session."""
        super().connect_failed(error)
        # To be told from that of the request which it ends.
        setattr(error, _CONNECTING, True)

    def look_at(self, connection: Any) -> None:
        """Learn from a session where it leads, and what becomes of its statements."""
        super().look_at(connection)
        measure_statements(connection)

    def standing(self, pool: Holders) -> Standing:
        """What the pool tells of itself."""
        idle = [holder for holder in copy(pool) if holder.is_connected() and holder.is_idle()]
        return Standing(
            idle=[pool.idle_since.get(id(holder)) for holder in idle],
            min=self._min,
            waiting=self.waiting.since(),
            queued=self.waiting.queued,
        )

    def lost(self, pool: Holders, noted: Mapping[str, int]) -> None:
        """Not known: a session that has died is replaced like one that was idle for long."""
        return

    def borrowed(self, connection: Any) -> object:
        """The connection behind what the pool has lent."""
        return getattr(connection, "_con", connection)

    def failed(self, error: Exception) -> None:
        """A statement of a checked-out connection has failed."""
        kind = "statement" if isinstance(error, TimeoutError) else timeout_kind(error)
        if kind is not None and not hasattr(error, _COUNTED):
            self.tracker.note(kind)
            # It may pass by once more.
            setattr(error, _COUNTED, True)


def _is_measured(pool: Any) -> bool:
    return isinstance(pool._holders, Holders)
