"""psycopg_pool: `ConnectionPool`, `AsyncConnectionPool` and both null pools.

The pool's own counters of times are not used: they truncate each to whole milliseconds. What is
read from private attributes is the same in psycopg_pool 3.2 and 3.3; the tests run on both.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any, Final

import psycopg
import psycopg_pool

from pg_pool_exporter.client.libraries.adapter import (
    FAILED,
    REJECTED,
    TIMEOUT,
    PoolAdapter,
    Standing,
)
from pg_pool_exporter.client.libraries.psycopg_classes import measuring
from pg_pool_exporter.client.libraries.psycopg_queue import TimedQueue
from pg_pool_exporter.client.measuring import attach, make_plain
from pg_pool_exporter.client.waiting import copy

_Pool = psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]

# A null pool makes a session under its lock, and a server that hangs lets that take its time.
_PATIENCE_SECONDS: Final = 1.0

_IDLE_SINCE: Final = "_pg_pool_exporter_idle_since"


class PsycopgAdapter(PoolAdapter):
    """One pool of psycopg_pool."""

    library = "psycopg_pool"
    version = psycopg_pool.__version__

    def __init__(self, pool: _Pool, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        self._lost = self._lost_popped = self._lost_before = 0

    @classmethod
    def find(cls, given: Any) -> _Pool | None:
        """The pool itself."""
        is_pool = isinstance(given, psycopg_pool.ConnectionPool | psycopg_pool.AsyncConnectionPool)
        return given if is_pool else None

    def install(self, pool: _Pool) -> None:
        """Make the pool measure from now on. Raises `TimeoutError` when it is locked for long."""
        own: Any = pool
        # First, as an application's own class can refuse to have a subclass.
        cls = measuring(own.__class__)
        with _locked(pool):
            # All that can fail comes before anything is exchanged.
            for connection in own._pool:
                self._idle_from_now(connection)
                self.look_at(connection)
            self._lost_before = _lost(pool.get_stats())
            waiting = TimedQueue(own._waiting, self.tracker.clock)
            attach(pool, self)
            own.__class__ = cls
            own._waiting = waiting

    def uninstall(self, pool: _Pool) -> None:
        """Make the pool what it was, unless somebody else has exchanged its class since."""
        own: Any = pool
        with _locked(pool):
            make_plain(pool)
            if isinstance(own._waiting, TimedQueue):
                own._waiting = deque(own._waiting)

    def forked(self, pool: _Pool, wake: Callable[[], None]) -> None:
        """Start anew in a child process."""
        super().forked(pool, wake)
        own: Any = pool
        if isinstance(own._waiting, TimedQueue):
            own._waiting.forget()
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
        """What an error is that `getconn` raises."""
        if isinstance(error, psycopg_pool.TooManyRequests):
            return REJECTED
        return TIMEOUT if isinstance(error, psycopg_pool.PoolTimeout) else FAILED

    def popped(self, stats: Mapping[str, int]) -> None:
        """The application has reset the pool's own counters, which had these values."""
        self._lost_popped += _lost(stats)

    def standing(self, pool: _Pool) -> Standing:
        """What the pool tells of itself."""
        own: Any = pool
        idle = copy(own._pool)
        self._look_at_late_ones(idle)
        queue = own._waiting if isinstance(own._waiting, TimedQueue) else None
        return Standing(
            idle=[getattr(connection, _IDLE_SINCE, None) for connection in idle],
            min=pool.min_size,
            waiting=None if queue is None else queue.live(),
            queued=None if queue is None else queue.queued,
        )

    def lost(self, pool: _Pool, noted: Mapping[str, int]) -> int:
        """Sessions found dead since the pool was instrumented: only the pool counts them."""
        now = self._lost_popped + _lost(pool.get_stats()) - self._lost_before
        # Less when the application resets the pool's counters at this moment.
        self._lost = max(self._lost, now)
        return self._lost

    def look_at(self, connection: Any) -> None:
        """Learn from a session where it leads, unless it is closed already."""
        try:
            super().look_at(connection)
        except psycopg.Error:
            return

    def get_to_know(self, connection: Any) -> None:
        """Look at a session for the first time."""
        if not hasattr(connection, _IDLE_SINCE):
            self._idle_from_now(connection)
        super().get_to_know(connection)

    def _idle_from_now(self, connection: Any) -> None:
        setattr(connection, _IDLE_SINCE, self.tracker.clock())

    def _look_at_late_ones(self, idle: list[Any]) -> None:
        """Sessions that were being made while the pool was instrumented have passed us by.

        The application may be using them by now: what is asked of them doesn't touch the protocol.
        """
        for connection in idle:
            if not hasattr(connection, _IDLE_SINCE) or not self.is_known:
                self.get_to_know(connection)


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


def _lost(stats: Mapping[str, int]) -> int:
    return stats.get("connections_lost", 0) + stats.get("returns_bad", 0)
