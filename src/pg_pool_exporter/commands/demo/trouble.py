"""Applications in trouble, one kind per process.

    python -m pg_pool_exporter.commands.demo.trouble keeping|small|stuck DSN

Each does one thing wrong, as real ones do.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from pg_pool_exporter.client import instrument

Pool = ConnectionPool[Any]
Handler = Callable[[Pool, threading.Event], None]

_ORDER: LiteralString = "update stock set amount = amount - 1 where item = 1"
_kept: list[Any] = []


def keep_for_later(pool: Pool, stop: threading.Event) -> None:
    """Check out three connections, keep them in a module's variable and never use them again."""
    while not stop.wait(3) and len(_kept) < 3:
        connection = pool.getconn()
        connection.execute("select 1")
        _kept.append(connection)
    stop.wait()


def browse(pool: Pool, stop: threading.Event) -> None:
    """Ordinary requests."""
    while not stop.wait(random.uniform(0.02, 0.1)):
        with suppress(PoolTimeout), pool.connection() as connection:
            connection.execute("select pg_sleep(%s)", [random.uniform(0.001, 0.02)])


def search(pool: Pool, stop: threading.Event) -> None:
    """Requests without a pause, each of a fifth of a second."""
    while not stop.is_set():
        with suppress(PoolTimeout), pool.connection(timeout=0.5) as connection:
            connection.execute("select pg_sleep(0.2)")


def leave_open(pool: Pool, stop: threading.Event) -> None:
    """Change a row and do something else without commit: idle in transaction.

    On a connection of its own: one of the pool would be a leak.
    """
    assert isinstance(pool.conninfo, str)
    with psycopg.connect(pool.conninfo) as connection:
        connection.execute(_ORDER)
        stop.wait()


def order(pool: Pool, stop: threading.Event) -> None:
    """Wait for the lock of the same row."""
    while not stop.wait(0.5):
        _attempt(pool, _ORDER)


def order_with_timeout(pool: Pool, stop: threading.Event) -> None:
    """Wait for it until the lock timeout."""
    while not stop.wait(1):
        _attempt(pool, "set local lock_timeout = '500ms'", _ORDER)


def count_everything(pool: Pool, stop: threading.Event) -> None:
    """A query that runs into its statement timeout."""
    while not stop.wait(2):
        _attempt(pool, "set local statement_timeout = '300ms'", "select pg_sleep(10)")


def _attempt(pool: Pool, *statements: LiteralString) -> None:
    """Run them in one transaction. Ignore timeouts: the next request comes anyway."""
    with (
        suppress(PoolTimeout, psycopg.OperationalError),
        pool.connection() as connection,
        connection.transaction(),
    ):
        for statement in statements:
            connection.execute(statement)


class Kind(NamedTuple):
    """A kind of application: size of its pool, handler of each thread, tables to create."""

    max_size: int
    handlers: list[Handler]
    tables: tuple[LiteralString, ...] = ()


_KINDS = {
    "keeping": Kind(10, [keep_for_later, browse, browse]),
    "small": Kind(2, [search] * 8),
    "stuck": Kind(
        10,
        [leave_open, order, order, order_with_timeout, count_everything],
        (
            "create table if not exists stock (item int primary key, amount int)",
            "insert into stock values (1, 100) on conflict do nothing",
        ),
    ),
}


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    kind, dsn = sys.argv[1:]
    max_size, handlers, tables = _KINDS[kind]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in tables:
            connection.execute(statement)
    with ConnectionPool(
        dsn, name="main", min_size=2, max_size=max_size, kwargs={"autocommit": True}, open=True
    ) as pool:
        # A minute, the default, is long in a demonstration.
        instrument(pool, app=f"shop-{kind}", leak_after="10s")
        # Daemon threads: one that waits for a lock would delay the exit.
        for handler in handlers:
            threading.Thread(target=handler, args=(pool, stop), daemon=True).start()
        stop.wait()


if __name__ == "__main__":
    main()
