"""Servers that cannot be polled: each cause is named, and recovery needs no restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.link import Link
from support.polling import (
    DEADLINE,
    eventually,
    failure,
    outcome,
    poll,
    run,
    sessions_opened,
    sockets_to,
    source_of,
)
from support.postgres import EMBEDDED_16, Cluster


@pytest.fixture
def small() -> Iterator[Cluster]:
    """A server with three slots for ordinary roles, such as `exporter` and `app`."""
    settings = {
        "max_connections": "4",
        "superuser_reserved_connections": "1",
        "max_wal_senders": "0",
    }
    with Cluster(EMBEDDED_16, settings=settings) as own:
        own.run("CREATE ROLE exporter LOGIN IN ROLE pg_monitor")
        own.run("CREATE ROLE app LOGIN")
        yield own


def test_a_server_that_is_down_at_the_start_is_refused_until_it_is_there(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.stop()
        source = source_of(cluster)
        error = await failure(source)
        assert error.reason == "refused"
        assert f"server main (127.0.0.1, port {cluster.port}, database postgres" in str(error)
        assert "connection refused" in str(error)
        cluster.start()
        assert await outcome(source) == "up"
        await source.close()

    run(main())


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_between_two_polls_costs_none_of_them(cluster: Cluster, mode: str) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        cluster.stop(mode)
        cluster.start()
        assert await outcome(source) == "up"
        assert sockets_to(cluster) == 1
        await source.close()

    run(main())


def test_a_server_that_goes_away_is_refused_and_comes_back_without_a_restart(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        cluster.stop()
        assert [await outcome(source) for _ in range(3)] == ["refused"] * 3
        cluster.start()
        assert await outcome(source) == "up"
        await source.close()

    run(main())


def test_a_session_ended_by_an_administrator_is_replaced_in_the_same_poll(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        cluster.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'pg_pool_exporter'"
        )
        assert await outcome(source) == "up"
        await source.close()

    run(main())


def test_a_connection_that_the_network_breaks_is_replaced_in_the_same_poll(
    postgres: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(postgres, dsn=postgres.dsn(port=link.port))
        assert await outcome(source) == "up"
        link.cut()
        assert await outcome(source) == "up"
        await source.close()

    with Link(postgres.port) as link:
        run(main())


def fill(cluster: Cluster, stack: ExitStack) -> None:
    """Take all slots that an ordinary role can have."""
    try:
        while True:
            stack.enter_context(cluster.connect(user="app"))
    except psycopg.OperationalError:
        return


def test_a_session_that_was_ended_and_replaced_is_logged_once(cluster: Cluster) -> None:
    async def main() -> None:
        source = source_of(cluster)
        with capture_logs() as logs:
            for _ in range(2):
                assert await outcome(source) == "up"
            assert not logs
            cluster.run(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'pg_pool_exporter'"
            )
            for _ in range(2):
                assert await outcome(source) == "up"
        assert [(one["log_level"], one["server"]) for one in logs] == [("warning", "main")]
        await source.close()

    run(main())


def test_without_pg_monitor_the_sample_says_that_sessions_are_hidden(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.run("CREATE ROLE exporter LOGIN")
        cluster.run("GRANT pg_monitor TO exporter")
        now = 0.0
        source = source_of(cluster, dsn=cluster.dsn(user="exporter"), clock=lambda: now)
        with cluster.connect(application_name="orders"):
            server = await poll(source)
            assert server.settings.sees_all
            assert not any(group.hidden for group in server.groups.values())
            cluster.run("REVOKE pg_monitor FROM exporter")
            now = 1000.0
            server = await poll(source)
            assert not server.settings.sees_all
            hidden = sum(sum(group.hidden.values()) for group in server.groups.values())
            assert hidden == server.used - 1 >= 1, "all but our own"
        await source.close()

    run(main())


def test_a_full_server_is_reported_by_name_and_polled_as_soon_as_it_has_a_slot(
    small: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(small, dsn=small.dsn(user="exporter"))
        with ExitStack() as stack:
            fill(small, stack)
            error = await failure(source)
            assert error.reason == "too_many_connections"
            assert "pg_use_reserved_connections" in str(error)
            assert await outcome(source) == "too_many_connections"
        assert await outcome(source) == "up"
        await source.close()

    run(main())


def test_a_server_that_fills_up_later_is_still_seen_over_the_held_connection(
    small: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(small, dsn=small.dsn(user="exporter"))
        assert await outcome(source) == "up"
        with ExitStack() as stack:
            fill(small, stack)
            server = await poll(source)
            assert server.used == 3 == server.settings.max_connections - 1
            assert server.settings.reserved_connections == 1
        await source.close()

    run(main())


def test_a_slot_lost_while_the_server_is_full_is_taken_back_when_one_is_free(
    small: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(small, dsn=small.dsn(user="exporter"))
        assert await outcome(source) == "up"
        with small.connect() as superuser, ExitStack() as stack:
            fill(small, stack)
            superuser.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'pg_pool_exporter'"
            )
            fill(small, stack)
            assert await outcome(source) == "too_many_connections"
            assert await outcome(source) == "too_many_connections"
        assert await outcome(source) == "up"
        await source.close()

    run(main())


@pytest.mark.parametrize(
    ("kind", "named"),
    [("ROLE exporter", "of the exporter's role"), ("DATABASE limited", "of the database")],
)
def test_a_limit_of_the_role_or_the_database_is_reported_from_a_full_server(
    cluster: Cluster, kind: str, named: str
) -> None:
    async def main() -> None:
        cluster.run("CREATE ROLE exporter LOGIN")
        cluster.run("CREATE DATABASE limited")
        cluster.run(f"ALTER {kind} CONNECTION LIMIT 0")
        source = source_of(cluster, dsn=cluster.dsn(user="exporter", dbname="limited"))
        error = await failure(source)
        assert error.reason == f"{kind.split()[0].lower()}_limit"
        assert f"CONNECTION LIMIT {named}" in str(error)
        assert "pg_use_reserved_connections" not in str(error)
        await source.close()

    run(main())


@pytest.mark.parametrize(
    ("params", "reason", "message"),
    [
        ({"user": "exporter", "password": "wrong-secret"}, "auth", "wrong password"),
        ({"user": "exporter"}, "auth", "user exporter"),
        ({"user": "nobody-knows"}, "auth", "user nobody-knows"),
        ({"dbname": "nothing"}, "auth", "the database does not exist"),
        ({"dbname": "shut", "user": "guest"}, "permission", "CONNECT on the database"),
        ({"host": "nowhere.invalid"}, "refused", "does not resolve"),
        ({"host": "/nowhere"}, "refused", "no socket there"),
    ],
)
def test_each_wrong_setting_is_reported_apart(
    locked: Cluster, params: dict[str, str], reason: str, message: str
) -> None:
    async def main() -> None:
        source = source_of(locked, dsn=locked.dsn(**params))
        for _ in range(2):
            error = await failure(source)
            assert error.reason == reason
            assert message in str(error)
            assert "secret" not in str(error)
        assert sockets_to(locked) == 0
        await source.close()

    if params.get("dbname") == "shut":
        locked.run("CREATE ROLE guest LOGIN")
        locked.run("CREATE DATABASE shut")
        locked.run("REVOKE CONNECT ON DATABASE shut FROM PUBLIC")
    run(main())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(b"", "protocol", id="hangs up"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", id="speaks HTTP"),
        pytest.param(None, "timeout", id="says nothing"),
    ],
)
def test_what_is_not_postgresql_is_reported_apart_and_gets_one_connection_at_a_time(
    answer: bytes | None, reason: str
) -> None:
    async def main() -> None:
        most = now = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await reader.read(1)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
            writer.close()
            now -= 1

        server = await asyncio.start_server(serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        config = ServerConfig(name="main", dsn=SecretStr(f"host=127.0.0.1 port={port}"))
        source = PostgresSource(config)
        deadline = 0.5 if answer is None else DEADLINE
        assert [await outcome(source, deadline) for _ in range(3)] == [reason] * 3
        await source.close()
        await eventually(lambda: now == 0)
        assert most == 1
        server.close()
        await server.wait_closed()

    run(main())


def test_a_catalogue_that_is_locked_fails_the_poll_and_keeps_the_connection(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster, timeout="1s")
        assert await outcome(source) == "up"
        with cluster.connect() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE")
            error = await failure(source)
        assert error.reason == "timeout"
        assert "system catalogue" in str(error)
        assert await outcome(source) == "up"
        await source.close()

    run(main())


def test_the_held_connection_is_not_ended_for_being_idle() -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        idle = cluster.connect()
        await eventually(lambda: "idle-session timeout" in cluster.log)
        idle.close()
        assert await outcome(source) == "up"
        assert sessions_opened(cluster) == 1
        await source.close()

    settings = {"idle_session_timeout": "100ms", "log_connections": "on"}
    with Cluster(EMBEDDED_16, settings=settings) as cluster:
        run(main())


def test_without_pg_monitor_sessions_count_as_unknown_and_the_grant_is_named_once(
    every_postgres: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(every_postgres, dsn=every_postgres.dsn(user="blind"))
        with every_postgres.connect(application_name="seen"), capture_logs() as logs:
            server = await poll(source)
            await poll(source)
        groups = {key.application: group for key, group in server.groups.items()}
        assert {state: count for state, (count, _) in groups["seen"].states.items()} == {
            "unknown": 1
        }
        assert groups["seen"].oldest_backend is None
        assert groups["seen"].waiting is None
        assert groups["seen"].blocking is None
        assert server.used == 2
        (warning,) = logs
        assert warning["role"] == "blind"
        assert warning["remedy"] == 'GRANT pg_monitor TO "blind"'
        await source.close()

    every_postgres.run("CREATE ROLE blind LOGIN")
    try:
        run(main())
    finally:
        every_postgres.run("DROP ROLE blind")
