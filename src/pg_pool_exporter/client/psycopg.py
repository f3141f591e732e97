"""psycopg_pool: `ConnectionPool`, `AsyncConnectionPool` and both null pools.

The pool's own counters of times are not used: they truncate each to whole milliseconds. What is
read from private attributes is the same in psycopg_pool 3.2 and 3.3; the tests run on both.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import inf, isfinite
from typing import Any, Final

import psycopg
import psycopg_pool

from pg_pool_exporter.client.psycopg_classes import attach, measuring, original
from pg_pool_exporter.client.psycopg_queue import TimedQueue, copy
from pg_pool_exporter.client.tracker import Tracker
from pg_pool_exporter.model import PoolInfo, PoolKey, PoolSample

_Pool = psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]

log = logging.getLogger("pg_pool_exporter.client")

# A null pool makes a session under its lock, and a server that hangs lets that take its time.
_PATIENCE_SECONDS: Final = 1.0

_IDLE_SINCE: Final = "_pg_pool_exporter_idle_since"

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
        self._info = PoolInfo(
            client="psycopg_pool",
            client_version=psycopg_pool.__version__,
            source="instrumented",
            server=server,
        )
        self._lost = self._lost_popped = self._lost_before = 0
        self._told = False  # the log, that a session can't be looked at

    def install(self, pool: _Pool) -> None:
        """Make the pool measure from now on. Raises `TimeoutError` when it is locked for long."""
        own: Any = pool
        # First, as an application's own class can refuse to have a subclass.
        cls = measuring(own.__class__)
        with _locked(pool):
            # All that can fail comes before anything is exchanged.
            for connection in own._pool:
                self._idle_from_now(connection)
                self._look_where_it_leads(connection)
            self._lost_before = _lost(pool.get_stats())
            waiting = TimedQueue(own._waiting, self.tracker.clock)
            attach(pool, self)
            own.__class__ = cls
            own._waiting = waiting

    def uninstall(self, pool: _Pool) -> None:
        """Make the pool what it was, unless somebody else has exchanged its class since."""
        own: Any = pool
        with _locked(pool):
            before = original(type(pool))
            if before is not None:
                own.__class__ = before
            if isinstance(own._waiting, TimedQueue):
                own._waiting = deque(own._waiting)

    def forked(self, pool: _Pool, wake: Callable[[], None]) -> None:
        """Start anew in a child process, see `Tracker.forked`."""
        self.tracker.forked(wake)
        own: Any = pool
        if isinstance(own._waiting, TimedQueue):
            own._waiting.forget()
        self._lost, self._lost_popped, self._lost_before = 0, 0, _lost(pool.get_stats())

    def refused(self, error: BaseException) -> None:
        """A request ended without a connection."""
        if isinstance(error, psycopg_pool.TooManyRequests):
            self.tracker.note(_REJECTED)
        elif isinstance(error, psycopg_pool.PoolTimeout):
            self.tracker.note(_TIMEOUT)
        else:
            self.tracker.note(_FAILED)

    def connected(self, connection: Any) -> None:
        """The pool has a new session, which nobody else uses yet."""
        self.tracker.note(_CONNECTED)
        self._get_to_know(connection)

    def connect_failed(self, error: Exception) -> None:
        """The pool could not make a session."""
        late = isinstance(error, psycopg.errors.ConnectionTimeout)
        self.tracker.note(_CONNECT_TIMEOUT if late else _CONNECT_ERROR)

    def popped(self, stats: Mapping[str, int]) -> None:
        """The application has reset the pool's own counters, which had these values."""
        self._lost_popped += _lost(stats)

    def in_use(self, pool: _Pool) -> bool:
        """Whether the pool isn't closed, nor inherited over a fork and not used since."""
        own: Any = pool
        return not (own._closed and own._opened) and not self.tracker.inherited

    def sample(self, pool: _Pool, key: PoolKey) -> PoolSample:
        """How the pool stands."""
        own: Any = pool
        self.tracker.limit = _limit(pool)
        limited = isfinite(self.tracker.limit)
        idle = copy(own._pool)
        self._look_at_late_ones(idle)
        idle_since = [
            since for one in idle if (since := getattr(one, _IDLE_SINCE, None)) is not None
        ]
        queue = own._waiting if isinstance(own._waiting, TimedQueue) else None
        waiting = None if queue is None else queue.live()
        reading = self.tracker.read()
        noted = reading.noted
        now = self.tracker.clock()
        failed = noted[_TIMEOUT] + noted[_REJECTED] + noted[_FAILED]
        return PoolSample(
            key=key,
            idle=len(idle),
            active=reading.active,
            max=self.tracker.limit if limited else None,
            min=pool.min_size,
            waiting=None if waiting is None else len(waiting),
            oldest_idle=now - min(idle_since) if idle_since else None,
            oldest_active=reading.oldest_active,
            oldest_waiting=now - min(waiting) if waiting else None,
            active_seconds=reading.active_seconds,
            saturated_seconds=reading.saturated_seconds if limited else None,
            requests=reading.acquire.count + failed,
            queued=None if queue is None else queue.queued,
            rejected=noted[_REJECTED],
            acquire_wait=reading.acquire.total,
            acquired=reading.acquire.count,
            held=reading.hold.total,
            returned=reading.hold.count,
            connects=noted[_CONNECTED],
            connect_errors=noted[_CONNECT_ERROR] + noted[_CONNECT_TIMEOUT],
            lost=self._lost_connections(pool),
            leaked=reading.leaked,
            leak_after=self.tracker.leak_after,
            long_lived=reading.long_lived,
            timeouts={"pool": noted[_TIMEOUT], "connect": noted[_CONNECT_TIMEOUT]},
            leaked_slots=reading.leaked_slots,
            overdue=reading.overdue,
            acquire=reading.acquire,
            hold=reading.hold,
            info=replace(self._info, pid=str(os.getpid())),
        )

    def _lost_connections(self, pool: _Pool) -> int:
        """Sessions found dead since the pool was instrumented: only the pool counts them."""
        now = self._lost_popped + _lost(pool.get_stats()) - self._lost_before
        # Less when the application resets the pool's counters at this moment.
        self._lost = max(self._lost, now)
        return self._lost

    def _idle_from_now(self, connection: Any) -> None:
        setattr(connection, _IDLE_SINCE, self.tracker.clock())

    def _get_to_know(self, connection: Any) -> None:
        """Look at a session for the first time. Raises nothing: in the midst of connecting the
        pool would take it for a failure to connect, and try again for ever.
        """
        try:
            if not hasattr(connection, _IDLE_SINCE):
                self._idle_from_now(connection)
            self._look_where_it_leads(connection)
        except Exception:
            if not self._told:
                log.warning("a session of pool %r can't be looked at", self.default_name,
                            exc_info=True)  # fmt: skip
            self._told = True

    def _look_at_late_ones(self, idle: list[Any]) -> None:
        """Sessions that were being made while the pool was instrumented have passed us by.

        The application may be using them by now: what is asked of them doesn't touch the protocol.
        """
        for connection in idle:
            if not hasattr(connection, _IDLE_SINCE) or not (self._info.port or self._told):
                self._get_to_know(connection)

    def _look_where_it_leads(self, connection: Any) -> None:
        """Ask a live session: a conninfo may be a callable, and what it doesn't say comes from a
        service file, the environment or libpq's defaults.
        """
        # Not `connection.info`: it decodes the names by the session's encoding, and fails where
        # that is SQL_ASCII.
        session = connection.pgconn
        try:
            self._info = replace(
                self._info,
                host=_text(session.host),
                port=str(connection.info.port),
                database=_text(session.db),
                user=_text(session.user),
                application=_text(session.parameter_status(b"application_name") or b""),
            )
        except psycopg.Error:  # it is closed already
            return


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


def _limit(pool: _Pool) -> float:
    """The maximum; infinity for a null pool without one."""
    return pool.max_size or inf


def _text(name: bytes) -> str:
    """A name as psycopg has sent it to the server."""
    return name.decode("utf-8", "replace")


def _lost(stats: Mapping[str, int]) -> int:
    return stats.get("connections_lost", 0) + stats.get("returns_bad", 0)
