"""`assert_no_leaks`: a kept connection is an error that names the line, a returned one is none."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import long_lived
from pg_pool_exporter.testing import LeakError, assert_no_leaks
from support.pools import KINDS, Kind, Pool, cases
from support.postgres import Cluster

_Own = ConnectionPool[Any]


async def _with(kind: Kind, postgres: Cluster, use: Callable[[Pool], Awaitable[None]]) -> None:
    pool = kind.make(postgres.dsn())
    await pool.open()
    try:
        await use(pool)
    finally:
        await pool.close()


@pytest.mark.parametrize("kind", cases())
def test_a_connection_that_is_returned_is_no_leak(kind: Kind, postgres: Cluster) -> None:
    async def use(pool: Pool) -> None:
        async with assert_no_leaks(pool.own):
            connection = await pool.check_out()
            await pool.check_in(connection)
            async with pool.block() as connection:
                await pool.ask(connection, "select 1")

    asyncio.run(_with(kind, postgres, use))


@pytest.mark.parametrize("kind", cases())
def test_a_connection_that_is_kept_is_named_with_its_line(kind: Kind, postgres: Cluster) -> None:
    async def use(pool: Pool) -> None:
        with pytest.raises(LeakError) as caught:
            async with assert_no_leaks(pool.own, wait=0.05):
                kept = await pool.check_out()
        assert "1 connection was not returned" in str(caught.value)
        assert "support/pools.py" in str(caught.value)
        await pool.check_in(kept)

    asyncio.run(_with(kind, postgres, use))


@pytest.mark.parametrize("kind", cases())
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_connection_that_is_dropped_is_a_leak(kind: Kind, postgres: Cluster) -> None:
    async def use(pool: Pool) -> None:
        block = assert_no_leaks(pool.own, wait=0.05)
        await block.__aenter__()
        await pool.check_out()
        gc.collect()
        with pytest.raises(LeakError, match="1 connection was not returned"):
            await block.__aexit__(None, None, None)
        if kind.name == "asyncpg":  # closing would wait for it forever
            pool.own.terminate()

    asyncio.run(_with(kind, postgres, use))


def test_what_another_thread_returns_in_time_is_no_leak(pool: _Own) -> None:
    connection: list[Any] = []

    def return_later() -> None:
        time.sleep(0.1)
        pool.putconn(connection.pop())

    thread = threading.Thread(target=return_later)
    with assert_no_leaks(pool, wait=10):
        connection.append(pool.getconn())
        thread.start()
    thread.join()


def test_what_another_task_returns_in_time_is_no_leak(postgres: Cluster) -> None:
    kind = next(one for one in KINDS if one.name == "psycopg_pool-async")

    async def use(pool: Pool) -> None:
        async def return_later(connection: Any) -> None:
            await asyncio.sleep(0.1)
            await pool.check_in(connection)

        async with assert_no_leaks(pool.own, wait=10):
            task = asyncio.create_task(return_later(await pool.check_out()))
        await task

    asyncio.run(_with(kind, postgres, use))


def test_what_was_out_before_and_what_is_meant_to_stay_out_is_no_leak(pool: _Own) -> None:
    with assert_no_leaks(pool):
        first = pool.getconn()
        pool.putconn(first)
    before = pool.getconn()
    with assert_no_leaks(pool, wait=0.05):
        listening = long_lived(pool.getconn())
    pool.putconn(before)
    pool.putconn(listening)


def test_a_connection_that_was_out_before_can_leak_again(pool: _Own) -> None:
    pool.resize(1, 1)
    kept = pool.getconn()

    def order() -> None:
        with assert_no_leaks(pool, wait=0.05):
            pool.putconn(kept)
            again.append(pool.getconn(20))

    again: list[Any] = []
    with pytest.raises(LeakError, match="1 connection was not returned"):
        order()
    pool.putconn(again.pop())


@pytest.mark.parametrize("kind", cases())
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_was_out_before_and_is_dropped_in_the_block_is_not_its_own(
    kind: Kind, postgres: Cluster
) -> None:
    async def use(pool: Pool) -> None:
        async with assert_no_leaks(pool.own):  # measured from here on
            pass
        kept = [await pool.check_out()]
        async with assert_no_leaks(pool.own, wait=0.05):
            kept.clear()
            gc.collect()
        if kind.name == "asyncpg":
            pool.own.terminate()

    asyncio.run(_with(kind, postgres, use))


def test_the_error_of_the_block_goes_on_and_has_the_leak_as_a_note(pool: _Own) -> None:
    def order() -> None:
        with assert_no_leaks(pool, wait=0.05):
            kept.append(pool.getconn())
            raise LookupError("no such item")

    kept: list[Any] = []
    with pytest.raises(LookupError) as caught:
        order()
    assert "1 connection was not returned" in "".join(caught.value.__notes__)
    pool.putconn(kept.pop())


def test_work_of_others_that_goes_on_is_not_waited_for(pool: _Own) -> None:
    """Each of their checkouts is short, but at each look there is one."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            with pool.connection():
                time.sleep(0.02)

    thread = threading.Thread(target=work)
    with assert_no_leaks(pool, wait=10):
        thread.start()
        time.sleep(0.1)
    ended.set()
    thread.join()


def test_what_is_no_pool_is_refused() -> None:
    with pytest.raises(TypeError, match="no pool"), assert_no_leaks(object()):
        pass
