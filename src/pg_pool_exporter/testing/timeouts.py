"""Provokes each kind of timeout, so that a test sees its application's reaction.

The server's are short while a block lasts (`AFTER`), so that no test waits long for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pg_pool_exporter.testing.locks import table_locked
from pg_pool_exporter.testing.server import BreakableServer

AFTER = "100ms"
_LONGER_SECONDS = 0.4


def connect_timeout(server: BreakableServer) -> AbstractContextManager[None]:
    """New connections get no answer, until their own `connect_timeout`."""
    return server.hangs()


@contextmanager
def statement_timeout(
    server: BreakableServer, connect: Callable[[], Any], table: str
) -> Iterator[None]:
    """Statements on the table end by the server's `statement_timeout` (57014).

    `connect` and `table` are those of `table_locked`.
    """
    with table_locked(connect, table), server.settings(statement_timeout=AFTER):
        yield


@contextmanager
def lock_timeout(server: BreakableServer, connect: Callable[[], Any], table: str) -> Iterator[None]:
    """Statements on the table end by the server's `lock_timeout` (55P03)."""
    with table_locked(connect, table), server.settings(lock_timeout=AFTER):
        yield


@contextmanager
def idle_in_transaction_timeout(server: BreakableServer) -> Iterator[None]:
    """Transactions of more than one statement are ended between them (25P03), with their session.

    The server waits for the second one longer than its `idle_in_transaction_session_timeout`.
    """
    with (
        server.settings(idle_in_transaction_session_timeout=AFTER),
        server.slow(_LONGER_SECONDS),
    ):
        yield
