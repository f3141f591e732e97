"""An application with one pool and a workload, for the live scenarios.

    python -m apps.workload DSN PLAN [PORT DISCIPLINE]

PLAN is a JSON object: `app`, `library`, `most`, `least`, `rate` (requests a second), `otherwise`
(what a request does), and from the first line at its input on `faulty_rate` and `fault`, which each
`one_in` requests does. A rate is kept up for `busy` seconds of each `period`, where there is one;
in the others it is a fiftieth. What a request can do are the functions below. With PORT the pool is
not instrumented: its page is another library's, at that port of `host`, and its DISCIPLINE is FIFO
or LIFO.
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
from functools import cache
from typing import Any

import psycopg
import sqlalchemy
from psycopg2.pool import PoolError
from psycopg_pool import ConnectionPool, PoolTimeout

from apps.foreign_pool import LIBRARIES, ForeignPool
from apps.psycopg2_pool import Psycopg2Connection, Psycopg2Pool
from pg_pool_exporter.client import instrument, long_lived

Pool = Any
"""A `ConnectionPool`, or one that is used like it."""
kept: list[Any] = []


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


def keep_in_transaction(pool: Pool) -> None:
    """As in SQLAlchemy, and in psycopg by default: the first statement begins a transaction."""
    connection = pool.getconn()
    connection.autocommit = False
    connection.execute("SELECT 1")
    kept.append(connection)


def keep_beside_reports(pool: Pool) -> None:
    """The first connection is kept, all others come back after a long statement."""
    if kept:
        with pool.connection() as connection:
            connection.execute("SELECT pg_sleep(15)")
    else:
        keep(pool)


def batch(pool: Pool) -> None:
    with pool.connection() as connection, connection.transaction():
        for _ in range(200):
            connection.execute("SELECT pg_sleep(0.1)")


def think(pool: Pool) -> None:
    with pool.connection() as connection, connection.transaction():
        for _ in range(4):
            connection.execute("SELECT 1")
            time.sleep(random.uniform(0.5, 2.0))


def hold(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(0.2)")
        connection.execute("SELECT pg_sleep(0.2)")


def half(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(0.5)")


def slow(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(2)")


def long_query(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SELECT pg_sleep(6)")


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
    threads = [threading.Thread(target=hold, args=(pool,)) for _ in range(12)]
    for thread in threads:
        thread.start()


def listen(pool: Pool) -> None:
    connection = long_lived(pool.getconn())
    connection.execute("LISTEN orders")
    kept.append(connection)


def lose(pool: Pool) -> None:
    """As a fault of the library does: it counts the connection, and nobody has it."""
    assert isinstance(pool, ConnectionPool)
    with suppress(IndexError):
        pool._pool.popleft().close()


@cache
def engine_of(dsn: str) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), pool_size=5
    )
    return instrument(engine, app="orders", name="engine")


def forget(pool: Pool) -> None:
    """A connection of SQLAlchemy, which returns it when it is collected."""
    assert isinstance(pool, ConnectionPool)
    engine_of(str(pool.conninfo)).connect()


def own_pool(pool: Pool) -> None:
    assert isinstance(pool, ConnectionPool)
    with ConnectionPool(pool.conninfo, min_size=1, max_size=2, open=True) as own:
        instrument(own, app="orders", name="own")
        with own.connection() as connection:
            connection.execute("SELECT 1")


def keep_pool(pool: Pool) -> None:
    assert isinstance(pool, ConnectionPool)
    own = ConnectionPool(pool.conninfo, min_size=1, max_size=1, num_workers=1, open=True)
    instrument(own, app="orders", name="own")
    with own.connection() as connection:
        connection.execute("SELECT 1")
    kept.append(own)


def tenants(pool: Pool) -> None:
    for _ in range(15):
        keep_pool(pool)


def attempt(request: Callable[[Pool], None], pool: Pool) -> None:
    """Whatever comes of a request, the next one has its turn."""
    with suppress(PoolTimeout, psycopg.Error, PoolError):
        request(pool)


def open_pool(dsn: str, plan: dict[str, Any], foreign: list[str]) -> Pool:
    """The pool, which can be read from now on."""
    least, most, timeout = plan["least"], plan["most"], plan["timeout"]
    if foreign:
        port, discipline = foreign
        other = ForeignPool(LIBRARIES[discipline](dsn, least, most, timeout), least, most)
        other.serve(plan["host"], int(port))
        return other
    if plan["library"] == "psycopg2":
        return instrument(
            Psycopg2Pool(least, most, dsn, connection_factory=Psycopg2Connection),
            app=plan["app"], name="main", leak_after=plan["leak_after"],
        )  # fmt: skip
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        dsn, min_size=least, max_size=most, timeout=timeout, max_idle=plan["max_idle"], open=True,
        kwargs={"autocommit": True, "prepare_threshold": None}, num_workers=6,
    )  # fmt: skip
    pool.wait()
    instrument(pool, app=plan["app"], name="main", leak_after=plan["leak_after"])
    return pool


def wait_for_the_fault(begins: threading.Event) -> None:
    if sys.stdin.readline():
        begins.set()


def main() -> None:
    dsn, plan = sys.argv[1], json.loads(sys.argv[2])
    requests = {name: value for name, value in globals().items() if callable(value)}
    pool = open_pool(dsn, plan, sys.argv[3:])
    for name in plan["at_start"]:
        requests[name](pool)
    fault = threading.Event()
    threading.Thread(target=wait_for_the_fault, args=(fault,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begun, number = time.monotonic(), 0
    with ThreadPoolExecutor(60) as threads:
        while True:
            faulty = fault.is_set()
            rate = plan["faulty_rate"] if faulty else plan["rate"]
            if plan["period"] and (time.monotonic() - begun) % plan["period"] > plan["busy"]:
                rate /= 50
            if not rate:
                time.sleep(0.1)
                continue
            if not faulty:
                fault.wait(random.expovariate(rate))
            elif number > 0:  # the fault itself is punctual
                time.sleep(random.expovariate(rate))
            name = plan["otherwise"]
            if faulty:
                name = plan["fault"] if number % plan["one_in"] == 0 else name
                number += 1
            threads.submit(attempt, requests[name], pool)


if __name__ == "__main__":
    main()
