"""An application with one pool and a workload, for the live scenarios.

    workload.py DSN PLAN [PORT]

PLAN is a JSON object: `app`, `most`, `least`, `rate` (requests a second), `otherwise` (what a
request does), and after `fault_after` seconds `faulty_rate` and `fault`, which each `one_in`
requests does. What a request can do are the functions below. With PORT the pool is not
instrumented: its page is another library's, at that port.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from pg_pool_exporter.client import instrument, long_lived

kept: list[psycopg.Connection[Any]] = []
Pool = ConnectionPool[psycopg.Connection[Any]]


def work(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT 1")


def drop(pool: Pool) -> None:
    connection = pool.getconn()
    connection.execute("SELECT 1")


def keep(pool: Pool) -> None:
    connection = pool.getconn()
    connection.execute("SELECT 1")
    kept.append(connection)


def exception(pool: Pool) -> None:
    connection = pool.getconn()
    connection.execute("SELECT 1/0")
    pool.putconn(connection)


def early_return(pool: Pool) -> None:
    connection = pool.getconn()
    if connection.execute("SELECT 1 WHERE false").fetchone() is None:
        return
    pool.putconn(connection)


def zombie(pool: Pool) -> None:
    connection = pool.getconn()
    connection.execute("BEGIN")
    kept.append(connection)


def hold(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(0.03)")
        connection.execute("SELECT 1")


def slow(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(0.5)")


def long_query(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(10)")


def lock(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("UPDATE stock SET number = number + 1 WHERE id = 1")


def migrate(pool: Pool) -> None:
    with pool.connection() as connection, connection.transaction():
        connection.execute("LOCK TABLE stock")
        connection.execute("SELECT pg_sleep(30)")


def deadlock(pool: Pool) -> None:
    """Two transactions that take two locks in different orders."""
    both = threading.Barrier(2)

    def take(first: int, second: int) -> None:
        with (
            suppress(psycopg.errors.DeadlockDetected),
            pool.connection() as connection,
            connection.transaction(),
        ):
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [first])
            both.wait(10)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [second])

    threads = [threading.Thread(target=take, args=each) for each in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def burst(pool: Pool) -> None:
    """More than the pool has, for a moment."""
    threads = [threading.Thread(target=hold, args=(pool,)) for _ in range(20)]
    for thread in threads:
        thread.start()


def listen(pool: Pool) -> None:
    connection = long_lived(pool.getconn())
    connection.execute("LISTEN orders")
    kept.append(connection)


def nothing(pool: Pool) -> None:
    pass


def attempt(request: Callable[[Pool], None], pool: Pool) -> None:
    """Whatever comes of a request, the next one has its turn."""
    with suppress(PoolTimeout, psycopg.Error):
        request(pool)


def serve_foreign_page(pool: Pool, port: int) -> None:
    """The pool as HikariCP's by Micrometer."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stats = pool.get_stats()
            idle = stats["pool_available"]
            values = {
                "active": stats["pool_size"] - idle,
                "idle": idle,
                "pending": stats["requests_waiting"],
                "max": stats["pool_max"],
                "min": stats["pool_min"],
            }
            lines = [
                f"# TYPE hikaricp_connections_{name} gauge\n"
                f'hikaricp_connections_{name}{{pool="main"}} {value}\n'
                for name, value in values.items()
            ]
            lines.append(
                "# TYPE hikaricp_connections_timeout_total counter\n"
                'hikaricp_connections_timeout_total{pool="main"} '
                f"{stats.get('requests_errors', 0)}\n"
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write("".join(lines).encode())

        def log_message(self, *arguments: Any) -> None:
            """Nothing: nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    dsn, plan = sys.argv[1], json.loads(sys.argv[2])
    requests = {name: value for name, value in globals().items() if callable(value)}
    pool: Pool = ConnectionPool(
        dsn, min_size=plan["least"], max_size=plan["most"], timeout=plan["timeout"], open=True,
        kwargs={"autocommit": True}, num_workers=6,
    )  # fmt: skip
    pool.wait()
    if len(sys.argv) > 3:
        serve_foreign_page(pool, int(sys.argv[3]))
    else:
        instrument(pool, app=plan["app"], name="main", leak_after=plan["leak_after"])
    for name in plan["at_start"]:
        requests[name](pool)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begun, number = time.monotonic(), 0
    with ThreadPoolExecutor(60) as threads:
        while True:
            faulty = time.monotonic() - begun >= plan["fault_after"]
            rate = plan["faulty_rate"] if faulty else plan["rate"]
            time.sleep(random.expovariate(rate) if rate else 0.1)
            if not rate:
                continue
            name = plan["otherwise"]
            if faulty:
                name = plan["fault"] if number % plan["one_in"] == 0 else name
                number += 1
            threads.submit(attempt, requests[name], pool)


if __name__ == "__main__":
    main()
