"""A pool that is empty or slow, a server that breaks: as the application under test sees them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic
from typing import Any

import psycopg
import psycopg2
import pytest
from psycopg2.pool import PoolError, SimpleConnectionPool
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy import create_engine

from pg_pool_exporter.testing import BreakableServer, saturated, slow, table_locked, timeouts
from support.pools import KINDS, Kind, Pool, cases, url
from support.postgres import Cluster

_Own = ConnectionPool[Any]
_LIMITED = [kind for kind in KINDS if kind.limit is not None]


async def _with(kind: Kind, postgres: Cluster, use: Callable[[Pool], Awaitable[None]]) -> None:
    pool = kind.make(postgres.dsn())
    await pool.open()
    try:
        await use(pool)
    finally:
        await pool.close()


async def _patiently(kind: Kind, pool: Pool) -> Any:
    """A connection, waited for where the pool lets one wait."""
    return await (pool.check_out_when_free() if kind.waits else pool.check_out())


@pytest.mark.parametrize("kind", cases(_LIMITED))
def test_a_saturated_pool_has_no_connection_and_afterwards_all_of_them(
    kind: Kind, postgres: Cluster
) -> None:
    async def use(pool: Pool) -> None:
        async with saturated(pool.own):
            with pytest.raises(Exception, match=r"(?i)timeout|timed out|exhausted|couldn't|^$"):
                await pool.check_out()
        connections = [await _patiently(kind, pool) for _ in range(2)]
        for connection in connections:
            await pool.check_in(connection)

    asyncio.run(_with(kind, postgres, use))


@pytest.mark.parametrize("kind", cases(_LIMITED))
def test_some_connections_can_be_left(kind: Kind, postgres: Cluster) -> None:
    async def use(pool: Pool) -> None:
        async with saturated(pool.own, leave=1):
            await pool.check_in(await _patiently(kind, pool))

    asyncio.run(_with(kind, postgres, use))


def test_a_connection_that_is_out_is_waited_for_and_its_line_named(pool: _Own) -> None:
    with saturated(pool, leave=1):
        pass
    kept = pool.getconn()
    named = r"1 of the 2 .* test_testing_pressure\.py:\d+ test_a_con"
    with pytest.raises(TimeoutError, match=named), saturated(pool, wait=0.3):
        pass
    threading.Timer(0.3, pool.putconn, [kept]).start()
    with saturated(pool, wait=20), pytest.raises(PoolTimeout):
        pool.getconn(0.01)
    with pool.connection():
        pass


@pytest.mark.parametrize("kind", cases(_LIMITED))
def test_a_block_that_is_cancelled_while_it_waits_returns_what_it_took(
    kind: Kind, postgres: Cluster
) -> None:
    async def use(pool: Pool) -> None:
        own = await pool.check_out()
        with pytest.raises(TimeoutError, match=r"^$"):
            async with asyncio.timeout(0.1), saturated(pool.own):
                pass
        await pool.check_in(await _patiently(kind, pool))
        await pool.check_in(own)

    asyncio.run(_with(kind, postgres, use))


def test_a_block_that_is_cancelled_at_its_end_returns_all(pool: _Own) -> None:
    """Twice: by a timeout, and by the end of the loop."""

    async def use() -> None:
        task = asyncio.current_task()
        assert task is not None
        async with saturated(pool):
            for _ in range(2):
                asyncio.get_running_loop().call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(use())
    for _ in range(2):
        pool.getconn(timeout=1)


def test_an_interrupt_while_a_block_waits_returns_what_it_took(
    pool: _Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    pool.getconn()
    with monkeypatch.context() as patch:
        patch.setattr("pg_pool_exporter.testing.steps.time.sleep", interrupted)
        with pytest.raises(KeyboardInterrupt), saturated(pool):
            pass
    pool.getconn(timeout=1)


@pytest.mark.parametrize("leave", [-1, 2])
def test_a_wrong_number_to_leave_is_refused(pool: _Own, leave: int) -> None:
    pool.resize(2, 2)
    with pytest.raises(ValueError, match="leave must be from 0 to 1"):
        saturated(pool, leave=leave)


def test_a_pool_without_a_maximum_and_what_is_no_pool_are_refused(postgres: Cluster) -> None:
    engine = create_engine(url("postgresql+psycopg", postgres.dsn()), max_overflow=-1)
    with pytest.raises(ValueError, match="no maximum"):
        saturated(engine)
    with pytest.raises(TypeError, match="no pool"):
        saturated(object())
    with pytest.raises(TypeError, match="no pool"), slow(object(), 1):
        pass


def test_an_asynchronous_pool_needs_an_asynchronous_block(postgres: Cluster) -> None:
    kind = next(one for one in KINDS if one.name == "asyncpg")

    async def use(pool: Pool) -> None:
        with pytest.raises(TypeError, match="async with"), saturated(pool.own):
            pass

    asyncio.run(_with(kind, postgres, use))


@pytest.mark.parametrize("kind", cases())
def test_a_slow_pool_lets_each_request_wait_and_afterwards_none(
    kind: Kind, postgres: Cluster
) -> None:
    async def use(pool: Pool) -> None:
        own = type(pool.own)
        await pool.check_in(await _patiently(kind, pool))
        with slow(pool.own, 0.3):
            began = monotonic()
            connection = await _patiently(kind, pool)
            assert monotonic() - began >= 0.3
        await pool.check_in(connection)
        assert type(pool.own) is own
        with slow(pool.own, 0.0):
            await pool.check_in(await _patiently(kind, pool))

    asyncio.run(_with(kind, postgres, use))


@pytest.mark.parametrize("kind", cases(one for one in KINDS if one.waits))
def test_a_slow_pool_times_out_as_its_library_does(kind: Kind, postgres: Cluster) -> None:
    async def use(pool: Pool) -> None:
        with slow(pool.own, 3), pytest.raises(Exception, match=r"(?i)timed out|couldn't|^$"):
            await pool.check_out()

    asyncio.run(_with(kind, postgres, use))


@pytest.fixture
def server(postgres: Cluster) -> Iterator[BreakableServer]:
    with BreakableServer(port=postgres.port) as server:
        yield server


def _dsn(server: BreakableServer, more: str = "") -> str:
    return f"host={server.host} port={server.port} user=postgres dbname=postgres {more}"


def test_everything_passes_while_it_is_whole(server: BreakableServer) -> None:
    for connect in (psycopg.connect, psycopg2.connect):
        connection = connect(_dsn(server))
        cursor = connection.cursor()
        cursor.execute("select repeat('x', 3000000)")
        assert len(cursor.fetchone()[0]) == 3_000_000  # type: ignore[index]
        connection.close()


def test_a_server_that_hangs_answers_nobody_and_goes_on_afterwards(server: BreakableServer) -> None:
    connection = psycopg.connect(_dsn(server))
    with server.hangs():
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(_dsn(server, "connect_timeout=2"))
        rows: list[Any] = []
        thread = threading.Thread(
            target=lambda: rows.append(connection.execute("select 1").fetchone())
        )
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(20)
    assert rows == [(1,)]
    connection.close()


def test_a_server_that_refuses_keeps_its_port_and_its_sessions(server: BreakableServer) -> None:
    port = server.port
    connection = psycopg.connect(_dsn(server))
    with server.refuses():
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(_dsn(server))
        assert connection.execute("select 1").fetchone() == (1,)
    assert server.port == port
    psycopg.connect(_dsn(server)).close()
    connection.close()


def test_a_full_server_says_what_postgresql_says(server: BreakableServer) -> None:
    with (
        server.is_full(),
        pytest.raises(psycopg.OperationalError, match="too many clients already"),
    ):
        psycopg.connect(_dsn(server, "sslmode=prefer"))
    psycopg.connect(_dsn(server)).close()


def test_a_cut_ends_the_sessions(server: BreakableServer) -> None:
    connection = psycopg.connect(_dsn(server))
    server.cut()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    psycopg.connect(_dsn(server)).close()


def test_settings_reach_sessions_that_are_there_and_are_taken_back(server: BreakableServer) -> None:
    def shown(connection: Any) -> str:
        cursor = connection.cursor()
        cursor.execute("show lock_timeout")
        return str(cursor.fetchone()[0])

    before = psycopg.connect(_dsn(server), autocommit=True)
    before.execute("set lock_timeout = '7s'")
    with server.settings(lock_timeout="1234ms"):
        assert shown(before) == "1234ms"
        during = psycopg.connect(_dsn(server), autocommit=True)
        assert shown(during) == "1234ms"
    assert shown(during) == "0"
    assert shown(before) == "0", "a session's own setting is lost, as the documents say"
    for connection in (before, during):
        connection.close()


def test_a_wrong_setting_is_refused(server: BreakableServer) -> None:
    wrong = {"lock_timeout = 1; drop table orders; set x": "1"}
    with pytest.raises(ValueError, match="no name of a parameter"), server.settings(**wrong):
        pass


@pytest.mark.parametrize("wrong", [{"statement_timout": "1s"}, {"statement_timeout": "hundred"}])
def test_a_setting_that_the_server_refuses_is_an_error(
    server: BreakableServer, wrong: dict[str, str]
) -> None:
    def use() -> None:
        with server.settings(**wrong), psycopg.connect(_dsn(server), autocommit=True) as connection:
            connection.execute("select 1")

    with pytest.raises(ValueError, match=r"the server refused the settings: .*statement_tim"):
        use()


def test_a_cut_ends_also_those_that_are_not_logged_in_yet(server: BreakableServer) -> None:
    failures: list[str] = []

    def connect() -> None:
        try:
            psycopg.connect(_dsn(server, "connect_timeout=60"))
        except psycopg.OperationalError as error:
            failures.append(str(error))

    with server.hangs():
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        server.cut()
        thread.join(20)
    assert len(failures) == 1


def test_a_pool_that_is_closed_while_it_is_saturated_gets_the_rest_back(postgres: Cluster) -> None:
    pool = SimpleConnectionPool(2, 2, postgres.dsn())

    def use() -> None:
        with saturated(pool):
            pool.closeall()

    with pytest.raises(PoolError):
        use()


def test_a_table_that_is_locked_is_free_afterwards(postgres: Cluster) -> None:
    def count(timeout: str) -> Any:
        with psycopg.connect(postgres.dsn()) as connection:
            connection.execute(f"set local lock_timeout = '{timeout}'")
            return connection.execute('select count(*) from "odd ""name"').fetchone()

    postgres.run('create table if not exists "odd ""name" ()')
    with (
        table_locked(lambda: psycopg2.connect(postgres.dsn()), 'odd "name'),
        pytest.raises(psycopg.errors.LockNotAvailable),
    ):
        count("50ms")
    assert count("10s") == (0,)


@pytest.mark.parametrize("kind", ["statement", "lock", "idle in transaction", "connect", "pool"])
def test_each_kind_of_timeout_can_be_provoked(
    kind: str, server: BreakableServer, postgres: Cluster
) -> None:
    postgres.run("create table if not exists provoked ()")

    def connect() -> Any:
        return psycopg.connect(postgres.dsn())

    with ConnectionPool(_dsn(server, "connect_timeout=2"), min_size=1, open=True) as pool:
        pool.wait()
        block, error = {
            "statement": (
                timeouts.statement_timeout(server, connect, "provoked"),
                psycopg.errors.QueryCanceled,
            ),
            "lock": (
                timeouts.lock_timeout(server, connect, "provoked"),
                psycopg.errors.LockNotAvailable,
            ),
            "idle in transaction": (
                timeouts.idle_in_transaction_timeout(server),
                psycopg.errors.IdleInTransactionSessionTimeout,
            ),
            "connect": (timeouts.connect_timeout(server), psycopg.errors.ConnectionTimeout),
            "pool": (saturated(pool), PoolTimeout),
        }[kind]

        def use() -> None:
            if kind == "connect":
                psycopg.connect(_dsn(server, "connect_timeout=2"))
            with pool.connection(timeout=1) as connection:
                connection.execute("select 1")
                connection.execute("select * from provoked")

        with block, pytest.raises(error):
            use()
        with pool.connection(timeout=20) as connection:
            connection.execute("select * from provoked")
