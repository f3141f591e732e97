"""Asynchronous tasks that are cancelled at any moment never show as a leak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, ConnectionPool

from support.client import Watched
from support.postgres import Cluster

Pool = ConnectionPool[Any]


async def _cancelled_while_waiting(pool: AsyncConnectionPool[Any]) -> None:
    out = [await pool.getconn() for _ in range(2)]
    task = asyncio.create_task(pool.getconn())
    await asyncio.sleep(0.02)
    await _cancel(task)
    for connection in out:
        await pool.putconn(connection)


async def _cancelled_as_it_is_served(pool: AsyncConnectionPool[Any]) -> None:
    for turns in range(12):
        out = [await pool.getconn() for _ in range(2)]
        task = asyncio.create_task(_use(pool))
        await asyncio.sleep(0.005)
        for connection in out:
            await pool.putconn(connection)
        del connection, out
        for _ in range(turns):
            await asyncio.sleep(0)
        await _cancel(task)


async def _cancelled_while_holding(pool: AsyncConnectionPool[Any]) -> None:
    async def hold() -> None:
        async with pool.connection() as connection:
            await connection.execute("select 1")
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await asyncio.sleep(0.02)
    await _cancel(task)


async def _cancelled_during_a_query(pool: AsyncConnectionPool[Any]) -> None:
    async def query() -> None:
        async with pool.connection() as connection:
            await connection.execute("select pg_sleep(60)")

    task = asyncio.create_task(query())
    await asyncio.sleep(0.05)
    await _cancel(task)


async def _cancelled_while_returning(pool: AsyncConnectionPool[Any]) -> None:
    # From 1: a task that is cancelled before it has begun returns nothing, and that is a leak.
    for turns in range(1, 12):
        connection = await pool.getconn()
        await connection.execute("select 1")  # so that the return has to roll back
        task = asyncio.create_task(pool.putconn(connection))
        del connection
        for _ in range(turns):
            await asyncio.sleep(0)
        await _cancel(task)


async def _timed_out(pool: AsyncConnectionPool[Any]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), pool.connection() as connection:
            await connection.execute("select pg_sleep(60)")


async def _use(pool: AsyncConnectionPool[Any]) -> None:
    async with pool.connection() as connection:
        await connection.execute("select 1")


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    except psycopg.Error:
        return


@pytest.mark.parametrize("kind", [AsyncConnectionPool, AsyncNullConnectionPool])
@pytest.mark.parametrize(
    "use",
    [
        _use, _timed_out, _cancelled_while_waiting, _cancelled_as_it_is_served,
        _cancelled_while_holding, _cancelled_during_a_query, _cancelled_while_returning,
    ],
)  # fmt: skip
def test_an_asynchronous_task_that_is_cancelled(
    postgres: Cluster,
    use: Callable[[AsyncConnectionPool[Any]], Any],
    kind: type[AsyncConnectionPool[Any]],
) -> None:
    async def main() -> None:
        size: dict[str, Any] = {"min_size": 2} if kind is AsyncConnectionPool else {"max_size": 2}
        async with kind(postgres.dsn(), open=False, timeout=10, **size) as pool:
            await pool.wait()
            watched = Watched(pool, leak_after=1e-9)
            await use(pool)
            for _ in range(200):
                if watched.is_clean():
                    break
                await asyncio.sleep(0.01)
            assert watched.is_clean(), watched.sample()

    asyncio.run(main())
