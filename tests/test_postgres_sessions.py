"""What a poll says about sessions and counters, against real servers of each version at hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest
from psycopg.pq import PGconn

from pg_pool_exporter.model import (
    DatabaseCounters,
    ServerSample,
    SessionGroup,
    SessionKey,
    TimeoutOverride,
)
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.postgres.session_groups import FOLDED
from pg_pool_exporter.sources.queries import batch
from support.link import Link
from support.polling import poll, run, source_of, until
from support.postgres import EMBEDDED_16, Cluster, wait_until


def polled(cluster: Cluster, **config: Any) -> ServerSample:
    """One poll by a source of its own."""
    found: list[ServerSample] = []

    async def main() -> None:
        source = source_of(cluster, **config)
        found.append(await poll(source))
        await source.close()

    run(main())
    return found[0]


def group(server: ServerSample, application: str) -> SessionGroup:
    return server.groups[SessionKey("postgres", "postgres", application)]


def test_sessions_are_counted_by_state_with_the_age_of_each(every_postgres: Cluster) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(every_postgres.connect(application_name="orders")) for _ in range(4)
        ]
        connections[0].execute("BEGIN")
        connections[1].execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connections[1].execute("SELECT 1/0")
        server = polled(every_postgres)
    orders = group(server, "orders")
    assert {state: sample.sessions for state, sample in orders.states.items()} == {
        "idle": 2,
        "idle_in_transaction": 1,
        "idle_in_transaction_aborted": 1,
    }
    ages = [sample.oldest for sample in orders.states.values()]
    ages += [orders.oldest_backend, orders.oldest_transaction]
    assert all(age is not None and 0 <= age < 5 for age in ages)
    assert (orders.waiting, orders.oldest_waiting, orders.blocking) == (0, None, 0)


def test_open_transactions_are_reported_with_what_they_hold(every_postgres: Cluster) -> None:
    every_postgres.run("CREATE TABLE IF NOT EXISTS stock (id int)")
    with (
        every_postgres.connect(application_name="reader") as reader,
        every_postgres.connect(application_name="writer") as writer,
        every_postgres.connect(application_name="snapshot") as snapshot,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT pg_sleep(0.3)")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO stock VALUES (1)")
        snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        snapshot.execute("SELECT 1 FROM stock")
        for _ in range(3):
            every_postgres.run("INSERT INTO stock VALUES (2)")
        server = polled(every_postgres)
    ((begun, silent),) = group(server, "reader").transactions["idle_in_transaction"]
    assert begun >= silent + 0.2, "it ran a statement since it began"
    held = {
        name: (group(server, name).writers, group(server, name).oldest_snapshot)
        for name in ("reader", "writer")
    }
    assert held == {"reader": (0, None), "writer": (1, None)}
    assert group(server, "snapshot").writers == 0
    assert (group(server, "snapshot").oldest_snapshot or 0) >= 3


def test_sessions_are_reported_by_where_they_come_from(every_postgres: Cluster) -> None:
    with (
        every_postgres.connect(application_name="orders"),
        every_postgres.connect(application_name="orders"),
        every_postgres.connect(application_name="orders", host=str(every_postgres.directory)),
    ):
        server = polled(every_postgres)
    key = SessionKey("postgres", "postgres", "orders")
    assert {
        address: group.sessions
        for (sessions, address), group in server.sessions.items()
        if sessions == key
    } == {"127.0.0.1": 2, "": 1}
    assert group(server, "orders").sessions == 3


def test_sessions_that_wait_for_a_lock_and_the_one_that_blocks_them_are_counted(
    every_postgres: Cluster,
) -> None:
    # The wait begins later than the statement in which it is.
    lock = "DO $$BEGIN PERFORM pg_sleep(1); PERFORM pg_advisory_lock(7); END$$"
    with every_postgres.connect(application_name="holder") as holder:
        holder.execute("SELECT pg_advisory_lock(7)")
        waiter = threading.Thread(target=every_postgres.run, args=[lock], kwargs={
            "application_name": "waiter"
        })  # fmt: skip
        waiter.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: every_postgres.run(waits), "one waits")
        server = polled(every_postgres)
        holder.execute("SELECT pg_advisory_unlock(7)")
        waiter.join()
    assert group(server, "waiter").waiting == 1
    waited = group(server, "waiter").oldest_waiting
    if every_postgres.version >= 14:
        assert waited is not None
        assert 0 <= waited < 1
    else:
        assert waited is None
    assert group(server, "waiter").blocking == 0
    assert group(server, "holder").waiting == 0
    assert group(server, "holder").blocking == 1


def test_of_a_crowd_that_waits_a_hundred_sessions_are_asked_who_blocks_them() -> None:
    """Asking all of a thousand takes the server longer than a poll may."""
    crowd = 120
    with ExitStack() as stack:
        own = stack.enter_context(
            Cluster(EMBEDDED_16, settings={"max_connections": str(crowd + 10)})
        )
        holder = stack.enter_context(closing(own.connect(application_name="holder")))
        holder.execute("SELECT pg_advisory_lock(7)")
        stack.enter_context(closing(own.connect(application_name="other")))
        for _ in range(crowd):
            waiter = PGconn.connect(own.dsn(application_name="waiter").encode())
            stack.callback(waiter.finish)
            waiter.send_query(b"SELECT pg_advisory_lock(7)")
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: own.run(waits) == [(crowd,)], "all wait")
        server = polled(own)
        assert group(server, "waiter").waiting == crowd
        assert group(server, "holder").blocking == 1
        assert group(server, "other").blocking is None

        async def blockers() -> str:
            abandoned: dict[str, Any] = {"abandoned_pids": [], "abandoned_starts": []}
            connection = await BoundedConnection.open(own.dsn())
            answer = await connection.execute_batch(batch("sessions", version=16, **abandoned))
            await connection.close()
            return ",".join(row.blockers for row in answer[0] if row.blockers)

        asked = asyncio.run(blockers()).split(",").count(str(holder.info.backend_pid))
        assert asked == 100


def test_waits_longer_than_the_deadlock_timeout_are_counted_from_version_19_on(
    every_postgres: Cluster,
) -> None:
    before = polled(every_postgres)
    if every_postgres.version < 19:
        assert (before.lock_waits, before.lock_wait_seconds) == ({}, {})
        return
    assert set(before.lock_waits) == set(before.lock_wait_seconds) >= {"relation", "advisory"}
    with every_postgres.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(8)")
        lock = "SET deadlock_timeout = '10ms'; SELECT pg_advisory_lock(8)"
        waiter = threading.Thread(target=every_postgres.run, args=[lock])
        waiter.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: every_postgres.run(waits), "one waits")
        every_postgres.run("SELECT pg_sleep(0.1)")
        holder.execute("SELECT pg_advisory_unlock(8)")
        waiter.join()
    expected = before.lock_waits["advisory"] + 1
    wait_until(
        lambda: polled(every_postgres).lock_waits["advisory"] == expected, "the wait is counted"
    )
    waited = polled(every_postgres).lock_wait_seconds["advisory"]
    assert waited >= before.lock_wait_seconds["advisory"] + 0.1


def test_an_idle_server_shows_no_group_and_the_one_slot_that_the_exporter_takes(
    every_postgres: Cluster,
) -> None:
    """Once the sessions of tests before are gone; background processes are no client sessions."""

    async def main() -> None:
        source = source_of(every_postgres)

        async def is_idle() -> bool:
            return not (await poll(source)).groups

        await until(is_idle)
        server = await poll(source)
        assert server.used == 1
        assert (server.host, server.port) == ("127.0.0.1", str(every_postgres.port))
        await source.close()

    run(main())


def test_names_may_be_empty_or_hold_anything(postgres: Cluster) -> None:
    name = 'a"b\\c d/e\x27'
    with (
        psycopg.connect(postgres.dsn(application_name=name)),
        postgres.connect(application_name=""),
    ):
        server = polled(postgres)
    assert group(server, name).sessions == 1
    assert group(server, "").sessions == 1


def test_a_database_name_that_is_not_utf_8_is_shown_with_replacements(cluster: Cluster) -> None:
    cluster.run("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    with cluster.connect(dbname="plain", client_encoding="SQL_ASCII") as connection:
        connection.execute(b'CREATE DATABASE "caf\xe9"')
    assert "caf\N{REPLACEMENT CHARACTER}" in polled(cluster).databases


@pytest.fixture
def babel(every_postgres: Cluster) -> Iterator[Cluster]:
    """A server with databases, roles and limits whose names are in any encoding."""
    with Cluster(every_postgres.bindir) as own:
        own.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        own.run("CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        with own.connect(dbname="plain", client_encoding="SQL_ASCII") as connection:
            for statement in (
                b'CREATE DATABASE "caf\xe9" CONNECTION LIMIT 9',
                b'CREATE ROLE "raw\xff\xfe" LOGIN CONNECTION LIMIT 8',
                b'ALTER ROLE "raw\xff\xfe" SET lock_timeout = 700',
                'CREATE ROLE "Ünï-дб" LOGIN CONNECTION LIMIT 7'.encode(),
            ):
                connection.execute(statement)
        yield own


def test_names_in_any_encoding_are_shown_through_a_dsn_of_any_database(babel: Cluster) -> None:
    conninfo = b"host=127.0.0.1 port=%d dbname='caf\xe9' user='raw\xff\xfe' application_name=jobs"
    bad = "\N{REPLACEMENT CHARACTER}"
    session = PGconn.connect(conninfo % babel.port)
    for dsn_database, cafe, raw in (
        ("postgres", "caf" + bad, "raw" + bad + bad),
        ("plain", "caf" + bad, "raw" + bad + bad),
        ("latin", "café", "rawÿþ"),
    ):
        server = polled(babel, dsn=babel.dsn(dbname=dsn_database))
        assert server.groups[SessionKey(cafe, raw, "jobs")].sessions == 1
        assert cafe in server.databases
        assert server.settings.database_limits == {cafe: 9}
        assert server.settings.role_limits == {raw: 8, "Ünï-дб": 7}
        assert server.settings.overrides == {TimeoutOverride("lock_timeout", "all", raw): 0.7}
    session.finish()


def test_a_database_counts_its_deadlocks_and_sessions_and_how_these_ended(
    every_postgres: Cluster,
) -> None:
    def counters() -> DatabaseCounters:
        return polled(every_postgres).databases["postgres"]

    before = counters()
    assert before.deadlocks == 0
    with every_postgres.connect() as victim:
        every_postgres.terminate(victim.info.backend_pid)
    if every_postgres.version < 14:
        assert (before.sessions, before.abandoned, before.fatal, before.killed) == (None,) * 4
        return
    assert None not in (before.abandoned, before.fatal)
    assert before.killed is not None
    assert before.sessions is not None
    # Until PostgreSQL 15 counters reach the view some time later.
    expected = before.killed + 1
    wait_until(lambda: counters().killed == expected, "the killed session is counted")
    assert (counters().sessions or 0) > before.sessions


def test_hundreds_of_names_are_folded_and_no_session_is_lost() -> None:
    with (
        Cluster(EMBEDDED_16, settings={"max_connections": "320"}) as cluster,
        ExitStack() as stack,
    ):
        for number in range(300):
            stack.enter_context(cluster.connect(application_name=f"worker-{number}"))
        server = polled(cluster, max_groups=50)
    assert len(server.groups) == 51
    assert server.groups[FOLDED].sessions == 250
    assert sum(one.sessions for one in server.groups.values()) == 300
    assert server.used == 301


def test_a_poll_is_one_round_trip(every_postgres: Cluster) -> None:
    async def main() -> None:
        source = source_of(
            every_postgres, dsn=every_postgres.dsn(port=link.port, sslmode="disable")
        )
        await poll(source)
        for before in range(link.round_trips, link.round_trips + 3):
            await poll(source)
            assert link.round_trips == before + 1
        await source.close()

    with Link(every_postgres.port) as link:
        run(main())
