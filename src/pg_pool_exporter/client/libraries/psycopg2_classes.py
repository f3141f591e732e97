"""The measuring subclasses of psycopg2's pools."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from psycopg2 import pool as pools

from pg_pool_exporter.client.measuring import measuring_subclass
from pg_pool_exporter.client.sites import calling_site


@lru_cache(maxsize=64)
def measuring(cls: Any) -> Any:
    """The measuring subclass of a pool's class.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    original_getconn, original_connect = cls.getconn, cls._connect
    # Giving back runs in a `ThreadedConnectionPool` under its lock, which the public method takes.
    giving_back = "putconn" if issubclass(cls, pools.SimpleConnectionPool) else "_putconn"
    original_putconn = getattr(cls, giving_back)

    def getconn(self: Any, key: Any = None) -> Any:
        tracker = self._pg_pool_exporter_tracker
        site = calling_site()
        asked = tracker.clock()
        try:
            connection = original_getconn(self, key)
        except BaseException as error:
            self._pg_pool_exporter_adapter.refused(error)
            raise
        # Who asks with the key of a connection that is out gets the same one once more.
        if key is None or not tracker.has(connection):
            tracker.acquired(connection, asked, site)
        return connection

    # Afterwards nobody else has the connection yet, and what fails, as a rollback can, has not
    # given it back.
    def putconn(self: Any, conn: Any, key: Any = None, close: bool = False) -> None:
        keeps = not close and len(self._pool) < self.minconn
        original_putconn(self, conn, key, close)
        dead = keeps and bool(conn.closed)
        self._pg_pool_exporter_adapter.returned(conn, dead=dead)

    def _connect(self: Any, key: Any = None) -> Any:
        try:
            connection = original_connect(self, key)
        except Exception as error:
            self._pg_pool_exporter_adapter.connect_failed(error)
            raise
        self._pg_pool_exporter_adapter.connected(connection)
        return connection

    methods = {"getconn": getconn, giving_back: putconn, "_connect": _connect}
    return measuring_subclass(cls, methods)
