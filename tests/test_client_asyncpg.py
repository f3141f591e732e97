"""What only asyncpg has: holders of connections, requests that are awaited elsewhere, timeouts."""

from __future__ import annotations

import asyncio
import gc
import linecache
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from pg_pool_exporter.client import instrument, long_lived
from pg_pool_exporter.client.process import Process
from support.client import Watched
from support.pools import url
from support.postgres import Cluster

Pool = asyncpg.Pool


def with_pool(
    postgres: Cluster, play: Callable[[Pool, Watched], Awaitable[None]], **options: Any
) -> None:
    """Play with an instrumented pool of two connections."""

    async def main() -> None:
        sizes = {"min_size": 0, "max_size": 2, **options}
        pool = asyncpg.create_pool(url("postgresql", postgres.dsn()), **sizes)
        watched = Watched(pool, leak_after=1e-9)
        async with pool:
            await play(pool, watched)

    asyncio.run(main())


async def _in_a_block(pool: Pool) -> Any:
    async with pool.acquire() as connection:  # the line
        return await connection.fetchval("select 1")


async def _awaited(pool: Pool) -> Any:
    connection = await pool.acquire()  # the line
    await connection.fetchval("select 1")
    return await pool.release(connection)


async def _awaited_by_a_task_of_its_own(pool: Pool) -> Any:
    connection = await asyncio.wait_for(pool.acquire(), 5)  # the line
    await connection.fetchval("select 1")
    return await pool.release(connection)


async def _by_the_pools_own_method(pool: Pool) -> Any:
    return await pool.fetchval("select pg_sleep(0.01)")  # the line


@pytest.mark.parametrize(
    "use", [_in_a_block, _awaited, _awaited_by_a_task_of_its_own, _by_the_pools_own_method]
)
def test_the_line_that_asked_is_named(
    postgres: Cluster, use: Callable[[Pool], Awaitable[Any]]
) -> None:
    async def play(pool: Pool, watched: Watched) -> None:
        sites: set[str] = set()

        async def look() -> None:
            while True:
                sites.update(watched.sample().overdue)
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await use(pool)
        looking.cancel()
        (site,) = sites
        line = int(site.split(" ")[0].rpartition(":")[2])
        assert linecache.getline(__file__, line).strip().endswith("# the line")
        assert watched.is_clean()

    with_pool(postgres, play)


def test_a_pool_that_was_never_initialised_fails_as_ever(
    client_process: Process, postgres: Cluster
) -> None:
    async def main() -> None:
        pool = asyncpg.create_pool(url("postgresql", postgres.dsn()), min_size=0)
        instrument(pool, app="shop")
        with pytest.raises(asyncpg.InterfaceError, match="not initialized"):
            await pool.acquire()
        acquiring = pool.acquire()
        await pool
        async with acquiring:
            assert client_process.samples()[0].active == 1
        with pytest.raises(asyncpg.InterfaceError, match="already acquired"):
            await acquiring.__aenter__()
        await pool.close()
        assert [sample.max for sample in client_process.samples()] == [None]

    asyncio.run(main())


def test_a_pool_that_is_instrumented_when_it_is_in_use(
    client_process: Process, postgres: Cluster
) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(
            url("postgresql", postgres.dsn()), min_size=2, max_size=2
        ) as pool:
            before = await pool.acquire()
            for _ in range(2):
                assert instrument(pool, app="shop") is pool
            (sample,) = client_process.samples()
            assert (sample.idle, sample.active, sample.min, sample.max) == (1, 0, 2, 2)
            assert sample.oldest_idle is not None
            async with pool.acquire() as connection:
                assert isinstance(connection, asyncpg.Connection)
                assert long_lived(connection) is connection
            await pool.release(before)
            (sample,) = client_process.samples()
            assert (sample.idle, sample.acquired, sample.returned) == (2, 1, 1)

    asyncio.run(main())


def test_a_connection_that_the_application_closes_is_given_back(postgres: Cluster) -> None:
    async def play(pool: Pool, watched: Watched) -> None:
        for end in ("close", "terminate"):
            connection = await pool.acquire()
            ended = getattr(connection, end)()
            if ended is not None:
                await ended
            assert watched.is_clean()
            await pool.release(connection)
            await _in_a_block(pool)
            assert watched.is_clean()
        assert watched.sample().connects == 3

    with_pool(postgres, play, max_size=1)


def test_connections_that_are_worn_out_or_expired_are_replaced(postgres: Cluster) -> None:
    async def play(pool: Pool, watched: Watched) -> None:
        for number in range(1, 4):
            await _in_a_block(pool)
            await pool.expire_connections()
            assert watched.is_clean()
            assert watched.sample().connects == number

    with_pool(postgres, play, max_size=1)


def test_a_callback_that_fails(postgres: Cluster) -> None:
    fails = True

    async def callback(connection: Any) -> None:
        if fails:
            raise RuntimeError("not today")

    async def play(pool: Pool, watched: Watched) -> None:
        nonlocal fails
        with pytest.raises(RuntimeError):
            await pool.acquire()
        fails = False
        await _in_a_block(pool)
        assert watched.is_clean()
        assert watched.sample().requests == 2

    for name in ("setup", "init"):
        fails = True
        with_pool(postgres, play, **{name: callback})


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_connection_that_is_not_made_in_time_is_no_time_out_of_the_pool(
    timeout: float | None,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)

        async def main() -> None:
            pool = asyncpg.create_pool(
                host="127.0.0.1", port=silent.getsockname()[1], user="x", database="x",
                timeout=0.1, min_size=0, ssl=False,
            )  # fmt: skip
            watched = Watched(pool)
            async with pool:
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=timeout)
                sample = watched.sample()
                assert (sample.timeouts["pool"], sample.timeouts["connect"]) == (0, 1)
                assert (sample.connect_errors, sample.requests, sample.active) == (1, 1, 0)

        asyncio.run(main())


@pytest.mark.parametrize(
    ("statement", "options", "counted"),
    [
        ("select pg_sleep(60)", {}, {"statement": 1}),
        ("select pg_sleep(60)", {"timeout": 0.05}, {"statement": 1}),
        ("select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)", {}, {}),
        ("select pg_advisory_xact_lock(1)", {}, {"lock": 1}),
        ("select 1/0", {}, {}),
    ],
)
@pytest.mark.parametrize("method", ["execute", "fetch"])
def test_a_statement_that_times_out_is_counted_once_whoever_catches_it(
    postgres: Cluster, method: str, statement: str, options: dict[str, Any],
    counted: dict[str, int],
) -> None:  # fmt: skip
    async def play(pool: Pool, watched: Watched) -> None:
        async with pool.acquire() as holder, pool.acquire() as connection:
            await holder.execute("select pg_advisory_lock(1)")
            setting = "lock_timeout" if "lock" in statement else "statement_timeout"
            patience = 20_000 if options or "cancel" in statement else 50
            await connection.execute(f"set {setting} = {patience}")
            with pytest.raises((asyncpg.PostgresError, TimeoutError)):
                await getattr(connection, method)(statement, **options)
        reported = watched.sample().timeouts
        assert {kind: count for kind, count in reported.items() if count} == counted
        assert watched.is_clean()

    with_pool(postgres, play)


def test_a_pool_that_is_dropped_open_is_not_kept(
    client_process: Process, postgres: Cluster
) -> None:
    async def main() -> None:
        pool = await asyncpg.create_pool(
            url("postgresql", postgres.dsn()), min_size=1, max_inactive_connection_lifetime=0
        )
        instrument(pool, app="shop")
        await _in_a_block(pool)
        own: Any = pool
        connections = [holder._con for holder in own._holders if holder._con]
        del own
        del pool
        await asyncio.sleep(0)
        gc.collect()
        assert [sample.max for sample in client_process.samples()] == [None]
        for connection in connections:
            connection.terminate()

    asyncio.run(main())
