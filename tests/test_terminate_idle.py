"""`terminate-idle`, against real servers: what it ends, and above all what it leaves alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.pq import PGconn
from psycopg.rows import TupleRow
from pydantic import SecretStr

from conftest import require
from pg_pool_exporter.commands import terminate_idle
from pg_pool_exporter.commands.command_line import parse
from pg_pool_exporter.commands.options import UsageError
from pg_pool_exporter.commands.terminate_idle import Choice, Outcome, TerminateError
from pg_pool_exporter.commands.terminate_idle.server import connected
from pg_pool_exporter.commands.terminate_idle.sessions import Ended
from pg_pool_exporter.config import ServerConfig
from support.pgbouncer import PGBOUNCER, Bouncer
from support.polling import SECRET
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import run_command

Session = psycopg.Connection[TupleRow]
NOW = 0.0
HOSTILE = "x' OR true; --\"%(pid)s"


def run(
    cluster: Cluster,
    choice: Choice,
    *,
    end: bool = False,
    patience: float = 5.0,
    **params: str | int,
) -> Outcome:
    config = ServerConfig(name="main", dsn=SecretStr(cluster.dsn(**params)))
    return asyncio.run(terminate_idle.run(config, choice, end=end, patience=patience))


def pid(session: Session) -> int:
    return session.info.backend_pid


def lives(session: Session) -> bool:
    """Whether its server still answers it."""
    try:
        return session.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def state(cluster: Cluster, session: Session) -> str:
    ((found,),) = cluster.run(f"SELECT state FROM pg_stat_activity WHERE pid = {pid(session)}")
    return str(found)


def _is_idle(cluster: Cluster, session: Session) -> bool:
    return state(cluster, session) == "idle"


@contextmanager
def idle(cluster: Cluster, *applications: str, **params: Any) -> Iterator[list[Session]]:
    """A session of each application, idle for a moment."""
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(closing(cluster.connect(application_name=name, **params)))
            for name in applications
        ]
        for session in sessions:
            session.execute("SELECT 1")
            wait_until(partial(_is_idle, cluster, session), "the session is idle")
        yield sessions


def test_it_shows_what_it_would_end_and_does_nothing(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders", "billing") as (orders, billing):
        shown = run(every_postgres, Choice(NOW, "orders"))
        assert shown.successful
        assert lives(orders)
        assert lives(billing)
        lines = shown.text.splitlines()
        assert lines[0] == "Server main, application orders: 1 session to end, 0 left alone."
        assert re.fullmatch(
            rf"  pid {pid(orders)}, idle for \d+ ms, role postgres, database postgres, "
            r"application orders, from 127\.0\.0\.1: would be ended", lines[1],
        )  # fmt: skip
        assert "Nothing has been done. The same command with --yes ends them." in lines
        assert "does not return a leaked connection" in shown.text


def test_the_sql_that_it_shows_does_the_same(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders", "billing") as (orders, billing):
        text = run(every_postgres, Choice(NOW, "orders")).text
        sql = text.partition("The SQL that ends them:")[2].partition("Nothing has been done")[0]
        every_postgres.run(sql)
        wait_until(lambda: not lives(orders), "the session is gone")
        assert lives(billing)


def test_it_ends_the_applications_idle_sessions_and_no_others(every_postgres: Cluster) -> None:
    with (
        idle(every_postgres, "orders", "orders", "billing") as (first, second, billing),
        closing(every_postgres.connect(application_name="orders")) as active,
        closing(every_postgres.connect(application_name="orders")) as in_transaction,
    ):
        in_transaction.execute("BEGIN")
        active.pgconn.send_query(b"SELECT pg_sleep(60)")
        wait_until(lambda: state(every_postgres, active) == "active", "a session works")
        done = run(every_postgres, Choice(NOW, "orders"), end=True)
        assert done.successful
        assert done.text.count(": ended") == 2
        assert done.text.startswith("Server main, application orders: 2 sessions to end")
        assert "does not return a leaked connection" in done.text
        assert not lives(first)
        assert not lives(second)
        assert lives(billing)
        assert lives(in_transaction)
        assert state(every_postgres, active) == "active"
        every_postgres.terminate(pid(active))


def test_a_session_that_does_not_end_is_reported(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders", "orders") as (stopped, other):
        every_postgres.pause_backend(pid(stopped))
        try:
            done = run(every_postgres, Choice(NOW, "orders"), end=True, patience=0.2)
        finally:
            every_postgres.resume()
        assert not done.successful
        assert re.search(rf"pid {pid(stopped)},.*: signalled, but still there", done.text)
        assert re.search(rf"pid {pid(other)},.*: ended\n", done.text)


def test_younger_sessions_are_left_alone(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders") as (orders,):
        done = run(every_postgres, Choice(3600.0, "orders"), end=True)
        assert done == Outcome(
            "Server main: no session of application orders is idle for 60 min or longer.\n"
            "It has 1 other session.\n",
            True,
        )
        assert lives(orders)


def test_a_mistyped_application_is_reported_apart_from_one_that_works(
    every_postgres: Cluster,
) -> None:
    with idle(every_postgres, "orders", "orders", "bill\x1b[2Jing"):
        done = run(every_postgres, Choice(NOW, "order"), end=True)
    text = done.text
    assert not done.successful
    assert "No session has that application_name. There are: orders (2), " in text
    assert "\x1b" not in text


def test_an_application_that_works_is_found_though_many_others_have_more_sessions() -> None:
    others = [f"other-{number}" for number in range(12) for _ in range(2)]
    with Cluster(EMBEDDED_16) as cluster, idle(cluster, *others, "orders"):
        text = run(cluster, Choice(3600, "orders")).text
    assert text.endswith("It has 1 other session.\n")


def test_what_was_done_is_shown_as_sql_too(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders") as (orders,):
        done = run(every_postgres, Choice(NOW, "orders"), end=True)
        assert f"'{{{pid(orders)}}}'" in done.text.partition("The SQL that ended them:")[2]


@pytest.mark.parametrize("change", ["works again", "is another"])
def test_what_is_not_as_it_was_listed_is_left_alone(every_postgres: Cluster, change: str) -> None:
    """Between listing and ending: a statement has come, or the process id was used again."""

    async def main(session: Session) -> Ended:
        config = ServerConfig(name="main", dsn=SecretStr(every_postgres.dsn()))
        async with connected(config) as server:
            listed = await server.sessions(Choice(NOW, "orders"))
            assert [one.pid for one in listed] == [pid(session)]
            if change == "works again":
                session.execute("SELECT 1")
            else:
                listed = [replace(one, backend_start=1_577_836_800_000_000) for one in listed]
            return await server.end(listed, 5.0)

    with idle(every_postgres, "orders") as (orders,):
        assert asyncio.run(main(orders)) == Ended(frozenset(), frozenset())
        assert lives(orders)


def test_a_session_in_the_middle_of_a_statement_is_left_alone(every_postgres: Cluster) -> None:
    async def main(session: Session) -> Ended:
        config = ServerConfig(name="main", dsn=SecretStr(every_postgres.dsn()))
        async with connected(config) as server:
            listed = await server.sessions(Choice(NOW, "orders"))
            session.execute("BEGIN")
            return await server.end(listed, 5.0)

    with idle(every_postgres, "orders") as (orders,):
        assert asyncio.run(main(orders)) == Ended(frozenset(), frozenset())
        assert lives(orders)


def test_one_session_by_its_process_id(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders", "orders") as (one, other):
        done = run(every_postgres, Choice(NOW, pid=pid(one)), end=True)
        assert done.successful
        assert done.text.startswith(f"Server main, process {pid(one)}: 1 session to end")
        assert not lives(one)
        assert lives(other)


@pytest.mark.parametrize(
    ("older_than", "begin", "reason"),
    [(NOW, True, "it is idle in transaction"), (3600.0, False, "ms only")],
)
def test_a_process_id_is_no_reason_to_end_what_is_not_idle_for_long(
    every_postgres: Cluster, older_than: float, begin: bool, reason: str
) -> None:
    with idle(every_postgres, "orders") as (orders,):
        if begin:
            orders.execute("BEGIN")
        done = run(every_postgres, Choice(older_than, pid=pid(orders)), end=True)
        assert not done.successful
        assert re.search(rf"left alone, .*{reason}", done.text)
        assert lives(orders)


def test_a_process_that_is_no_clients_is_left_alone(every_postgres: Cluster) -> None:
    ((other,),) = every_postgres.run(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
    )
    done = run(every_postgres, Choice(NOW, pid=other), end=True)
    assert "it is no client backend but a checkpointer" in done.text
    assert not done.successful


def test_a_process_id_that_nobody_has(every_postgres: Cluster) -> None:
    done = run(every_postgres, Choice(NOW, pid=2**31 - 1), end=True)
    assert not done.successful
    assert "no session of process 2147483647" in done.text


def test_it_never_ends_itself(every_postgres: Cluster) -> None:
    with idle(every_postgres, "pg_pool_exporter") as (other,):
        done = run(every_postgres, Choice(NOW, "pg_pool_exporter"), end=True)
        assert done.text.count(": ended") == 1
        assert f"pid {pid(other)}," in done.text


@pytest.fixture
def roles(every_postgres: Cluster) -> Iterator[Cluster]:
    """A server with a role that owns sessions, and one that asks."""
    every_postgres.run("CREATE ROLE owner LOGIN; CREATE ROLE helper LOGIN")
    yield every_postgres
    every_postgres.run("DROP ROLE owner, helper")


def test_without_the_right_to_see_them_nothing_is_ended(roles: Cluster) -> None:
    with idle(roles, "orders", user="owner") as (orders,):
        done = run(roles, Choice(NOW, "orders"), end=True, user="helper")
        assert not done.successful
        assert "hidden: GRANT pg_monitor" in done.text
        assert lives(orders)


def test_without_the_right_to_end_them_the_grant_is_named(roles: Cluster) -> None:
    roles.run("GRANT pg_monitor TO helper")
    with idle(roles, "orders", user="owner") as (orders,):
        done = run(roles, Choice(NOW, "orders"), end=True, user="helper")
        assert not done.successful
        assert "no right to end a session of role owner: GRANT pg_signal_backend" in done.text
        assert lives(orders)


def test_with_the_rights_it_ends_others_but_no_superusers(roles: Cluster) -> None:
    roles.run("GRANT pg_monitor, pg_signal_backend TO helper")
    with (
        idle(roles, "orders", user="owner") as (orders,),
        idle(roles, "orders") as (superusers,),
    ):
        done = run(roles, Choice(NOW, "orders"), end=True, user="helper")
        assert not lives(orders)
        assert lives(superusers)
        assert not done.successful
        assert "only a superuser can end a superuser's" in done.text


def test_a_right_that_is_taken_meanwhile_is_an_error_with_the_grant(roles: Cluster) -> None:
    roles.run("GRANT pg_monitor TO helper")

    async def main() -> None:
        config = ServerConfig(name="main", dsn=SecretStr(roles.dsn(user="helper")))
        async with connected(config) as server:
            await server.end(await server.sessions(Choice(NOW, "orders")), 5.0)

    with (
        idle(roles, "orders", user="owner"),
        pytest.raises(TerminateError, match="GRANT pg_signal_backend"),
    ):
        asyncio.run(main())


def test_names_are_values_and_no_sql(every_postgres: Cluster) -> None:
    with idle(every_postgres, "orders", HOSTILE) as (orders, hostile):
        done = run(every_postgres, Choice(NOW, HOSTILE), end=True)
        assert done.text.count(": ended") == 1
        assert lives(orders)
        assert not lives(hostile)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_names_in_any_encoding_are_no_obstacle(cluster: Cluster, encoding: str) -> None:
    cluster.run(f"CREATE DATABASE plain ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    with cluster.connect(dbname="plain", client_encoding="SQL_ASCII") as connection:
        connection.execute(b'CREATE ROLE "raw\xff" LOGIN')
    conninfo = b"host=127.0.0.1 port=%d dbname=plain user='raw\xff' application_name=orders"
    session = PGconn.connect(conninfo % cluster.port)

    def found() -> Outcome:
        return run(cluster, Choice(NOW, "orders"), dbname="plain")

    wait_until(lambda: "1 session to end" in found().text, "the session is idle")
    done = run(cluster, Choice(NOW, "orders"), end=True, dbname="plain")
    session.finish()
    assert done.text.count(": ended") == 1
    nobody = run(cluster, Choice(NOW, "Ünï"), dbname="plain")
    assert "No session has that application_name" in nobody.text


@pytest.mark.debian
def test_through_a_bouncer_it_leaves_nothing_behind_in_the_session_that_others_get() -> None:
    require(PGBOUNCER.exists(), "PgBouncer from Debian's packages")
    databases = {"shop": "dbname=postgres pool_size=1"}
    with (
        Cluster(EMBEDDED_16) as cluster,
        Bouncer(cluster, databases, {"pool_mode": "transaction"}) as bouncer,
        idle(cluster, "orders") as (orders,),
    ):
        cluster.run("CREATE ROLE app LOGIN SUPERUSER")
        config = ServerConfig(name="main", dsn=SecretStr(bouncer.dsn("shop", "app")))
        done = asyncio.run(terminate_idle.run(config, Choice(NOW, "orders"), end=True))
        assert done.successful
        assert not lives(orders)
        with closing(bouncer.connect("shop")) as other:
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_password_is_never_shown(locked: Cluster) -> None:
    with pytest.raises(TerminateError) as refused:
        run(locked, Choice(NOW, "orders"), user="exporter", password=f"{SECRET}-wrong")
    assert SECRET not in str(refused.value)
    assert "server main" in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--older-than=1h --application=a", "needs --server"),
        ("--server=main --application=a", "needs --older-than"),
        ("--server=main --older-than=1h", "needs either --application or --pid"),
        ("", "needs --server, --older-than, either --application or --pid"),
        ("--application=a", "needs --server, --older-than$"),
        ("--server= --pid=7", "needs --server, --older-than$"),
        ("--server=main --older-than=1h --application=a --pid=7", "leave out one"),
        ("--server=main --older-than=1h --application=", "--application is empty"),
        ("--server=main --older-than=1h --pid=0", "process id"),
        ("--server=main --older-than=3600 --pid=7", "duration"),
    ],
)
def test_the_command_must_be_told_all_of_it(arguments: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(["terminate-idle", *arguments.split()], {})


def test_no_variable_can_say_what_to_end() -> None:
    names = ("SERVER", "OLDER_THAN", "APPLICATION", "PID", "YES")
    variables = {f"PG_POOL_EXPORTER_{name}": "1" for name in names}
    with pytest.raises(UsageError, match="needs --server"):
        parse(["terminate-idle"], variables)
    given = ["terminate-idle", "--server=main", "--older-than=1h", "--pid=7"]
    assert not parse(given, variables).yes


def test_the_command_itself(postgres: Cluster) -> None:
    arguments = ("terminate-idle", "--server=main", "--older-than=1ms", "--application=orders")
    with idle(postgres, "orders") as (orders,):
        shown = run_command(*arguments, PG_POOL_EXPORTER_DSN=postgres.dsn())
        assert (shown.returncode, shown.stderr) == (0, "")
        assert lives(orders)
        done = run_command(*arguments, "--yes", PG_POOL_EXPORTER_DSN=postgres.dsn())
        assert (done.returncode, done.stdout.count(": ended")) == (0, 1)
        assert not lives(orders)
    wrong = run_command(*arguments[:1], "--server=x", *arguments[2:],
                        PG_POOL_EXPORTER_DSN=postgres.dsn())  # fmt: skip
    assert wrong.returncode == 2
    assert "--server: no such server in the configuration (there are: main)" in wrong.stderr
