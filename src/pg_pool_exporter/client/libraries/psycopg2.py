"""psycopg2: `SimpleConnectionPool` and `ThreadedConnectionPool`.

There is no queue: an exhausted pool refuses at once. The pool keeps checked-out connections in a
dictionary: one that the application drops is kept forever, becomes overdue, and never counts as
leaked.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import psycopg2
from psycopg2 import pool as pools

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.libraries.adapter import (
    FAILED,
    LOST,
    REJECTED,
    PoolAdapter,
    PoolGauges,
)
from pg_pool_exporter.client.libraries.measuring import attach, measuring_subclass, restore_class
from pg_pool_exporter.client.libraries.waiting import copy
from pg_pool_exporter.client.sites import calling_site


class Psycopg2Adapter(PoolAdapter):
    """One pool of psycopg2."""

    library = "psycopg2"
    version = psycopg2.__version__.partition(" ")[0]  # type: ignore[attr-defined]  # its stubs miss it
    loses_slots = False

    def __init__(self, pool: Any, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        # By identity: a connection takes no attributes.
        self._idle_since: dict[int, float] = {}
        self._out_before: set[int] = set()  # checked out before the pool was instrumented

    @classmethod
    def find(cls, given: Any) -> Any:
        """The pool itself."""
        return given if isinstance(given, pools.AbstractConnectionPool) else None

    def install(self, pool: Any) -> None:
        """Make the pool measure from now on."""
        # First, as an application's own class can refuse to have a subclass.
        cls = _measuring(pool.__class__)
        now = self.tracker.clock()
        self._out_before = {id(connection) for connection in _out(pool)}
        for connection in copy(pool._pool):
            self._idle_since[id(connection)] = now
            self.get_to_know(connection)
        attach(pool, self)
        pool.__class__ = cls

    def uninstall(self, pool: Any) -> None:
        """Restore the pool, unless other code has exchanged its class since."""
        restore_class(pool)

    def limit(self, pool: Any) -> float:
        """The maximum, which every pool has."""
        maximum: int = pool.maxconn
        return maximum

    def is_closed(self, pool: Any) -> bool:
        """Whether it was closed."""
        return bool(pool.closed)

    def refusal(self, error: BaseException) -> str:
        """The kind of an error of `getconn`: an exhausted pool is recognised by its text alone."""
        exhausted = isinstance(error, pools.PoolError) and "exhausted" in str(error)
        return REJECTED if exhausted else FAILED

    def returned(self, connection: Any, expected: bool) -> None:
        """Record a return. Where the pool was `expected` to keep the connection and has closed it,
        it had lost its session.
        """
        checkout = self.tracker.returning(connection)
        if checkout is not None and checkout.ended is not None:
            self._idle_since[id(connection)] = checkout.ended
        try:
            if expected and connection.closed:
                self.tracker.note(LOST)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "looking at a connection that was returned")

    def gauges(self, pool: Any) -> PoolGauges:
        """The pool's own state."""
        idle = [id(connection) for connection in copy(pool._pool)]
        since = self._idle_since
        # Connections closed since are forgotten.
        for gone in since.keys() - {*idle, *pool._rused.copy()}:
            since.pop(gone, None)
        return PoolGauges(idle=[since.get(one) for one in idle], min=pool.minconn)

    def missing(self, pool: Any, leaked: int) -> int:
        """Connections that the pool counts as checked out, without a checkout."""
        out = _out(pool)
        self._out_before &= {id(connection) for connection in out}
        return sum(
            id(connection) not in self._out_before and not self.tracker.has(connection)
            for connection in out
        )


def _out(pool: Any) -> Collection[Any]:
    """The connections that the pool counts as checked out."""
    out: Collection[Any] = pool._used.copy().values()
    return out


@lru_cache(maxsize=64)
def _measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    original_getconn, original_connect = cls.getconn, cls._connect
    # A `ThreadedConnectionPool` returns under its lock, which the public method takes.
    putconn_name = "putconn" if issubclass(cls, pools.SimpleConnectionPool) else "_putconn"
    original_putconn = getattr(cls, putconn_name)

    def getconn(self: Any, key: Any = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_getconn(self, key)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error, asked)
            raise
        # A request with the key of a checked-out connection gets the same one once more.
        if key is None or not tracker.has(connection):
            tracker.acquired(connection, asked, site)
        return connection

    # Recorded afterwards: no other thread has the connection yet, and a return that fails, such as
    # by a failed rollback, does not count.
    def putconn(self: Any, conn: Any, key: Any = None, close: bool = False) -> None:
        try:
            expected = not close and len(self._pool) < self.minconn
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "looking at the idle connections of a pool")
            expected = False
        original_putconn(self, conn, key, close)
        self._pg_pool_exporter_adapter.returned(conn, expected)

    def _connect(self: Any, key: Any = None) -> Any:
        try:
            connection = original_connect(self, key)
        except Exception as error:
            self._pg_pool_exporter_adapter.connect_failed(error)
            raise
        self._pg_pool_exporter_adapter.connected(connection)
        return connection

    methods = {"getconn": getconn, putconn_name: putconn, "_connect": _connect}
    return measuring_subclass(cls, methods)
