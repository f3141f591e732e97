"""Makes a real server log each event that is counted, and some that are not."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import psycopg

from pg_pool_exporter.commands.demo.postgres import wait_until
from support.postgres import Cluster

LOGGING = {
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_destination": "stderr,csvlog,jsonlog",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_connections": "on",
    "log_disconnections": "on",
    "max_connections": "12",
    "superuser_reserved_connections": "3",
    "authentication_timeout": "1s",
}
PASSWORD = "right"


def prepare(cluster: Cluster) -> None:
    """The database and the roles that `provoke` uses."""
    for statement in (
        "CREATE ROLE app LOGIN",
        f"CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'",
        "CREATE ROLE limited LOGIN CONNECTION LIMIT 0",
        "CREATE DATABASE shop OWNER app",
        "CREATE DATABASE full_house CONNECTION LIMIT 0",
    ):
        cluster.run(statement)
    # What the server logs about a reload is in its collector's files, not where `hba` looks.
    path = cluster.directory / "data/pg_hba.conf"
    path.write_text("host all secret all scram-sha-256\n" + path.read_text())
    cluster.run("SELECT pg_reload_conf()")
    wait_until(lambda: _is_asked_for_a_password(cluster), "pg_hba.conf is read")


def timeouts(cluster: Cluster) -> dict[str, int]:
    """Provoke each timeout in the database shop; how many of each kind."""
    with session(cluster) as one:
        one.execute("SET statement_timeout = '20ms'")
        for _ in range(2):
            fails(one, "SELECT pg_sleep(5)", psycopg.errors.QueryCanceled)
    with session(cluster) as one, session(cluster) as other:
        other.execute("CREATE TABLE IF NOT EXISTS stock (item text)")
        other.execute("BEGIN")
        other.execute("LOCK TABLE stock")
        one.execute("SET lock_timeout = '20ms'")
        fails(one, "TABLE stock", psycopg.errors.LockNotAvailable)
    for setting, begin in (
        ("idle_in_transaction_session_timeout", True),
        ("idle_session_timeout", False),
        *([("transaction_timeout", True)] if cluster.version >= 17 else []),
    ):
        with session(cluster) as one:
            one.execute(f"SET {setting} = '20ms'".encode())
            if begin:
                one.execute("BEGIN")
            wait_until(partial(_is_ended, one), f"{setting} ends the session")
    _never_answer(cluster)
    return {
        "statement": 2,
        "lock": 1,
        "idle_in_transaction": 1,
        "idle_session": 1,
        "transaction": int(cluster.version >= 17),
        "authentication": 1,
    }


def refusals(cluster: Cluster) -> dict[str, int]:
    """Provoke each reason for a refused connection; how many of each."""
    refused(cluster, user="limited", dbname="shop")
    refused(cluster, user="app", dbname="full_house")
    refused(cluster, user="secret", dbname="shop", password="wrong")
    refused(cluster, user="nobody_there", dbname="shop")
    refused(cluster, user="app", dbname="no_such_database")
    crowds = {}
    with ExitStack() as stack:
        for user in ("app", "postgres"):
            while True:
                try:
                    stack.enter_context(session(cluster, user=user))
                except psycopg.OperationalError as error:
                    crowds[user] = str(error)
                    break
    assert "reserved" in crowds["app"]
    assert "too many clients" in crowds["postgres"]
    return {
        "role_limit": 1,
        "database_limit": 1,
        "authentication": 2,
        "other": 1,
        "too_many_connections": 2,
    }


def look_alikes(cluster: Cluster) -> None:
    """Provoke what has the same SQLSTATE or the same words, and is no event."""
    with session(cluster) as one, session(cluster) as other:
        one.execute("CREATE TABLE IF NOT EXISTS stock (item text)")
        one.execute("BEGIN")
        one.execute("LOCK TABLE stock")
        other.execute("BEGIN")
        fails(other, "LOCK TABLE stock NOWAIT", psycopg.errors.LockNotAvailable)
        other.execute("ROLLBACK")
        fake = "\n2026-11-24 10:00:00.123 UTC [1] app@shop x ERROR:  canceling statement due to"
        fails(other, f"SELECT '{fake} statement timeout\n', no_such_column", psycopg.Error)
        cancelled = "DO $$ BEGIN PERFORM pg_cancel_backend(pg_backend_pid()), pg_sleep(5); END $$"
        fails(other, cancelled, psycopg.errors.QueryCanceled)


@contextmanager
def session(cluster: Cluster, **params: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session of the role app in the database shop, unless reported otherwise."""
    with closing(cluster.connect(**{"user": "app", "dbname": "shop", **params})) as connection:
        yield connection


def fails(connection: psycopg.Connection[Any], statement: str, error: type[psycopg.Error]) -> None:
    """Execute a statement that fails."""
    try:
        connection.execute(statement.encode())
    except error:
        return
    raise AssertionError(f"{statement} did not fail")


def refused(cluster: Cluster, **params: Any) -> None:
    """An attempt to connect that the server refuses."""
    try:
        cluster.connect(**params).close()
    except psycopg.OperationalError:
        return
    raise AssertionError(f"{params} were accepted")


def _is_ended(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has closed the connection; asks nothing of it."""
    try:
        return connection.pgconn.socket >= 0 and _has_input(connection.pgconn.socket)
    except psycopg.Error:
        return True


def _has_input(descriptor: int) -> bool:
    with socket.socket(fileno=descriptor) as shared:
        try:
            shared.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        finally:
            shared.detach()
    return True


def _never_answer(cluster: Cluster) -> None:
    """Ask to be let in as `secret`, and say nothing when asked for the password."""
    with socket.create_connection((cluster.host, cluster.port)) as connection:
        text = b"user\0secret\0database\0shop\0\0"
        connection.sendall(struct.pack("!ii", 8 + len(text), 3 << 16) + text)
        connection.settimeout(30)
        while connection.recv(4096):
            pass


def _is_asked_for_a_password(cluster: Cluster) -> bool:
    try:
        cluster.connect(user="secret").close()
    except psycopg.OperationalError:
        return True
    return False
