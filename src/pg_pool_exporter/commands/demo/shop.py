"""The demonstration's application: correct, with bursts of requests, or with a bug.

    python -m pg_pool_exporter.commands.demo.shop healthy|bursty|leaky DSN [SECONDS]

Ordinary code with psycopg_pool and threads. Only the line with `instrument` is about monitoring.
SECONDS is the time between two leaks.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from psycopg_pool import ConnectionPool, PoolTimeout

from pg_pool_exporter.client import instrument

Pool = ConnectionPool[Any]
Handler = Callable[[Pool], None]

_LEAK_SECONDS = 4.0
_BURSTS_SECONDS = 5.0
_BURST_SECONDS = 0.5
_empty_reports = threading.Semaphore(0)  # how many of the next reports have no rows


def show_product(pool: Pool) -> None:
    """A correct handler: the block returns the connection, whatever happens in it."""
    with pool.connection() as connection:
        connection.execute("select pg_sleep(%s)", [random.uniform(0.001, 0.02)])


def show_report(pool: Pool) -> None:
    """A handler with a bug: its early return leaks the connection."""
    connection = pool.getconn()
    some = not _empty_reports.acquire(blocking=False)
    rows = connection.execute("select 1 where %s", [some]).fetchall()
    if not rows:
        return
    pool.putconn(connection)


def show_offer(pool: Pool) -> None:
    """A correct handler whose requests come all at once, more than the pool has connections."""
    while time.time() % _BURSTS_SECONDS < _BURST_SECONDS:
        show_product(pool)


def serve(handlers: list[Handler], pool: Pool, stop: threading.Event) -> None:
    """One worker: a request now and then, until `stop`."""
    while not stop.wait(random.uniform(0.01, 0.1)):
        try:
            random.choice(handlers)(pool)
        except PoolTimeout:
            continue  # a real application would answer 503


# Number of workers and their handlers, by kind of application.
_KINDS: dict[str, tuple[int, list[Handler]]] = {
    "healthy": (5, [show_product]),
    "bursty": (14, [show_offer]),
    "leaky": (5, [show_product, show_report]),
}


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    kind, dsn, *more = sys.argv[1:]
    number_of_workers, handlers = _KINDS[kind]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    with ConnectionPool(
        dsn, name="main", min_size=2, max_size=10, timeout=2, kwargs={"autocommit": True}, open=True
    ) as pool:
        instrument(pool, app=f"shop-{kind}")
        workers = [
            threading.Thread(target=serve, args=(handlers, pool, stop))
            for _ in range(number_of_workers)
        ]
        for worker in workers:
            worker.start()
        while not stop.wait(float(more[0]) if more else _LEAK_SECONDS):
            _empty_reports.release()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
