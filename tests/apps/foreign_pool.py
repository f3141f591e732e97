"""A pool that nobody has instrumented; its page is another library's: HikariCP's by Micrometer.

Like most libraries' pools it keeps what is checked out: a connection that is dropped is not lost,
but checked out forever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import psycopg
import sqlalchemy.pool
from psycopg_pool import ConnectionPool, PoolTimeout

Connection = psycopg.Connection[Any]


class Library(Protocol):
    """A library's pool. `check_out` raises `PoolTimeout`."""

    def check_out(self) -> Connection: ...

    def put_back(self, connection: Connection) -> None: ...

    def counts(self) -> tuple[int, int]:
        """How many are idle, and how many are checked out."""


class Fifo:
    """psycopg_pool checks out the connection that has been in it for longest."""

    def __init__(self, dsn: str, least: int, most: int, timeout: float) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn, min_size=least, max_size=most, timeout=timeout, open=True, num_workers=6,
            kwargs={"autocommit": True},
        )  # fmt: skip
        self._pool.wait()

    def check_out(self) -> Connection:
        return self._pool.getconn()

    def put_back(self, connection: Connection) -> None:
        self._pool.putconn(connection)

    def counts(self) -> tuple[int, int]:
        stats = self._pool.get_stats()
        return stats["pool_available"], stats["pool_size"] - stats["pool_available"]


class Lifo:
    """SQLAlchemy's pool, configured so, checks out the one that came back last."""

    def __init__(self, dsn: str, least: int, most: int, timeout: float) -> None:
        self._pool = sqlalchemy.pool.QueuePool(
            lambda: psycopg.connect(dsn, autocommit=True),  # type: ignore[arg-type] # its protocol of a connection is narrower
            pool_size=most, max_overflow=0, timeout=timeout, use_lifo=True,
        )  # fmt: skip
        self._checked_out: dict[int, sqlalchemy.pool.PoolProxiedConnection] = {}
        for one in [self._pool.connect() for _ in range(least)]:
            one.close()

    def check_out(self) -> Connection:
        try:
            proxy = self._pool.connect()
        except sqlalchemy.exc.TimeoutError as error:
            raise PoolTimeout from error
        connection: Any = proxy.dbapi_connection
        self._checked_out[id(connection)] = proxy
        return connection  # type: ignore[no-any-return] # as `creator` made it

    def put_back(self, connection: Connection) -> None:
        self._checked_out.pop(id(connection)).close()

    def counts(self) -> tuple[int, int]:
        return self._pool.checkedin(), self._pool.checkedout()


LIBRARIES: dict[str, Callable[[str, int, int, float], Library]] = {"FIFO": Fifo, "LIFO": Lifo}


class ForeignPool:
    """A library with the figures that HikariCP keeps, used like a psycopg_pool."""

    def __init__(self, library: Library, least: int, most: int) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._sizes = {"min": least, "max": most}
        self._since: dict[Connection, float] = {}
        self._waiting = self._timeouts = 0
        self._acquired = self._used = (0.0, 0)

    def getconn(self) -> Connection:
        began = time.monotonic()
        with self._lock:
            self._waiting += 1
        try:
            connection = self._library.check_out()
        except PoolTimeout:
            with self._lock:
                self._timeouts += 1
            raise
        finally:
            with self._lock:
                self._waiting -= 1
        now = time.monotonic()
        with self._lock:
            self._acquired = _more(self._acquired, now - began)
            self._since[connection] = now
        return connection

    def putconn(self, connection: Connection) -> None:
        with self._lock:
            self._used = _more(self._used, time.monotonic() - self._since.pop(connection))
        self._library.put_back(connection)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        connection = self.getconn()
        try:
            yield connection
        finally:
            self.putconn(connection)

    def page(self) -> str:
        """In the text format of Prometheus."""
        idle, active = self._library.counts()
        gauges = {"idle": idle, "active": active, "pending": self._waiting, **self._sizes}
        sums = {"acquire": self._acquired, "usage": self._used}
        lines = [_sample("gauge", name, value) for name, value in gauges.items()]
        lines.append(_sample("counter", "timeout_total", self._timeouts))
        for name, (seconds, count) in sums.items():
            lines.append(_sample("untyped", f"{name}_seconds_sum", seconds))
            lines.append(_sample("untyped", f"{name}_seconds_count", count))
        return "".join(lines)

    def serve(self, host: str, port: int) -> None:
        """Serve the page at an address of the loopback."""
        pool = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(pool.page().encode())

            def log_message(self, *arguments: Any) -> None:
                """Nothing: nobody reads it."""

        server = ThreadingHTTPServer((host, port), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def _more(total: tuple[float, int], seconds: float) -> tuple[float, int]:
    return total[0] + seconds, total[1] + 1


def _sample(kind: str, name: str, value: float) -> str:
    metric = f"hikaricp_connections_{name}"
    return f'# TYPE {metric} {kind}\n{metric}{{pool="main"}} {value}\n'
