"""What other applications do at the bouncer of a running stand, from the fault on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Thread
from typing import Any

import psycopg

from scenarios.live_stand import Stand
from support.pgbouncer import Bouncer

SESSIONS = 8
"""The bouncer's pool where all of it is kept."""
_Client = psycopg.Connection[Any]


def _bouncer(stand: Stand) -> Bouncer:
    assert stand.bouncer is not None
    return stand.bouncer


def _client(stand: Stand, application: str) -> _Client:
    dsn = _bouncer(stand).dsn("postgres", "app", application_name=application)
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


def _repeat(stand: Stand, application: str, count: int, statement: str) -> None:
    """Clients that each execute the statement again and again, until the run is over."""

    def work(client: _Client) -> None:
        with suppress(psycopg.Error):
            while not stand.ended.wait(0.01):
                client.execute(statement.encode())

    with ExitStack() as stack:
        for _ in range(count):
            client = _client(stand, application)
            stack.callback(client.close)
            thread = Thread(target=work, args=(client,), daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(client.cancel)
        stand.ended.wait()


def forget_transactions(stand: Stand) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(_client(stand, "cron"))
            client.execute("BEGIN")
            client.execute("SELECT 1")
            stand.ended.wait(3)
        stand.ended.wait()


def _keeping(stand: Stand, count: int, then: Callable[[], object]) -> None:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(_client(stand, "greedy")).execute("SELECT 1")
        then()


def keep_some_connections(stand: Stand) -> None:
    """In session mode."""
    _keeping(stand, 9, stand.ended.wait)


def keep_all_connections(stand: Stand) -> None:
    """In session mode: all that are left, and one client more waits."""
    (pool,) = (
        row for row in _bouncer(stand).console("SHOW POOLS") if row["database"] == "postgres"
    )
    used = int(pool["sv_active"]) + int(pool["sv_idle"])
    _keeping(stand, SESSIONS - used, lambda: _repeat(stand, "starved", 1, "SELECT 1"))


def run_long_statements(stand: Stand) -> None:
    _repeat(stand, "exports", 12, "SELECT pg_sleep(6)")


def rush(stand: Stand) -> None:
    _repeat(stand, "rush", 40, "SELECT pg_sleep(0.1)")


def cut_the_link(stand: Stand) -> None:
    """The server still answers the exporter."""
    assert stand.link is not None
    stand.link.newcomers = "are cut"
    stand.link.cut()
    stand.ended.wait()


def pause(stand: Stand) -> None:
    _bouncer(stand).console("PAUSE postgres")
    stand.ended.wait()
    _bouncer(stand).console("RESUME postgres")


def connect_many(stand: Stand) -> None:
    """They log in, and do little."""
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(_client(stand, "crowd"))
        _repeat(stand, "crowd", 3, "SELECT pg_sleep(0.05)")


def connect_for_each_request(stand: Stand) -> None:
    while not stand.ended.wait(1 / 40):
        with _client(stand, "script") as client:
            client.execute("SELECT 1")
