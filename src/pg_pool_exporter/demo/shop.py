"""The demonstration's application, run twice: once as it should be, once with a bug.

    python -m pg_pool_exporter.demo.shop healthy|leaky DSN

Ordinary code with psycopg_pool and threads. The one line about monitoring is the one with
`instrument`.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from psycopg_pool import ConnectionPool, PoolTimeout

from pg_pool_exporter.client import instrument

Pool = ConnectionPool[Any]
Handler = Callable[[Pool], None]

_WORKERS = 5
_EMPTY_EVERY = 200  # one in so many reports has no rows: a few seconds apart
_reports = count(1)


def show_product(pool: Pool) -> None:
    """A correct handler: the block gives the connection back, whatever happens in it."""
    with pool.connection() as connection:
        connection.execute("select pg_sleep(%s)", [random.uniform(0.001, 0.02)])


def show_report(pool: Pool) -> None:
    """A handler with a bug: it returns early and forgets its connection."""
    connection = pool.getconn()
    rows = connection.execute("select 1 where %s", [next(_reports) % _EMPTY_EVERY > 0]).fetchall()
    if not rows:
        return
    pool.putconn(connection)


def serve(handlers: list[Handler], pool: Pool, stop: threading.Event) -> None:
    """One worker: a request now and then, until told to stop."""
    while not stop.wait(random.uniform(0.01, 0.1)):
        try:
            random.choice(handlers)(pool)
        except PoolTimeout:
            continue  # a real application would answer 503


def main() -> None:
    kind, dsn = sys.argv[1:]
    handlers = {"healthy": [show_product], "leaky": [show_product, show_report]}[kind]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    with ConnectionPool(
        dsn, name="main", min_size=2, max_size=10, timeout=2, kwargs={"autocommit": True}, open=True
    ) as pool:
        instrument(pool, app=f"shop-{kind}")
        workers = [
            threading.Thread(target=serve, args=(handlers, pool, stop)) for _ in range(_WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
