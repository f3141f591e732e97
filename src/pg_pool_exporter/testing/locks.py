"""A table that another session has locked, so that statements on it wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def table_locked(connect: Callable[[], Any], table: str) -> Iterator[None]:
    """Lock a table for the length of the block: each statement on it waits.

    With a `lock_timeout` or a `statement_timeout` (`BreakableServer.settings`) it then ends in that
    error. `connect` makes a connection of its own by any driver with Python's database API, such as
    `lambda: psycopg.connect(dsn)`; `table` is its name, with a schema or without.
    """
    connection = connect()
    try:
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
        connection.cursor().execute(f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()
