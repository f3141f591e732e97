"""A pool of psycopg2 that is used like one of psycopg_pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import connection
from psycopg2.pool import ThreadedConnectionPool


class Psycopg2Connection(connection):
    """Executes without a cursor, and begins no transaction by itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.autocommit = True

    def execute(self, statement: str) -> Any:
        """Execute a statement."""
        cursor = self.cursor()
        cursor.execute(statement)
        return cursor

    def transaction(self) -> Any:
        """None of the requests that need it run on this library."""
        raise NotImplementedError


class Psycopg2Pool(ThreadedConnectionPool):
    """Has no queue: raises `PoolError` while all connections are checked out."""

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Check out, and return."""
        connection = self.getconn()
        try:
            yield connection
        finally:
            self.putconn(connection)
