"""An instrumented application with one pool, which works until it is ended.

    python -m bench.soak.shop DSN APP FIGURES

One checkout in a hundred is held for two seconds, which is overdue. The server goes away now and
then: its errors are part of the run.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from bench.soak.figures import report_on_signal
from pg_pool_exporter.client import instrument

SIZE = 4


def work(pool: ConnectionPool[psycopg.Connection[Any]]) -> None:
    """Check out, query and return, over and over."""
    while True:
        try:
            with pool.connection(timeout=1) as connection:
                held = 2.0 if random.random() < 0.01 else 0.01
                connection.execute("SELECT pg_sleep(%s)", (held,))
        except (psycopg.Error, PoolTimeout):
            time.sleep(0.2)
        time.sleep(random.uniform(0, 0.1))


def main(dsn: str, app: str, figures: str) -> None:
    """Run it."""
    report_on_signal(Path(figures))
    with ConnectionPool(
        dsn, min_size=1, max_size=SIZE, kwargs={"application_name": app}, reconnect_timeout=5
    ) as pool:
        instrument(pool, app=app, leak_after=1.0)
        for _ in range(SIZE + 1):
            Thread(target=work, args=(pool,), daemon=True).start()
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
