"""The pools whose overhead is measured, each used as its library's documentation does.

A synchronous loop is a coroutine that awaits nothing, which costs it nothing within.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg2.pool
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from support.pools import url

_SELECT_1 = text("select 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A pool with one connection, and two loops that use it."""

    name: str
    pool: Callable[[str], AbstractAsyncContextManager[Any]]
    check_out: Callable[[Any, int], Awaitable[None]]
    select_1: Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def _psycopg(dsn: str) -> AsyncIterator[Any]:
    with ConnectionPool(dsn, min_size=1, open=True) as pool:
        pool.wait()
        yield pool


@asynccontextmanager
async def _async_psycopg(dsn: str) -> AsyncIterator[Any]:
    async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
        await pool.wait()
        yield pool


@asynccontextmanager
async def _asyncpg(dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(url("postgresql", dsn), min_size=1, max_size=1) as pool:
        yield pool


@asynccontextmanager
async def _psycopg2(dsn: str) -> AsyncIterator[Any]:
    pool = psycopg2.pool.ThreadedConnectionPool(1, 1, dsn)
    yield pool
    pool.closeall()


@asynccontextmanager
async def _engine(dsn: str) -> AsyncIterator[Any]:
    engine = create_engine(url("postgresql+psycopg", dsn))
    yield engine
    engine.dispose()


@asynccontextmanager
async def _async_engine(dsn: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url("postgresql+asyncpg", dsn))
    yield engine
    await engine.dispose()


async def _getconn(pool: Any, count: int) -> None:
    for _ in range(count):
        pool.putconn(pool.getconn())


async def _connection(pool: Any, count: int) -> None:
    for _ in range(count):
        with pool.connection():
            pass


async def _async_getconn(pool: Any, count: int) -> None:
    for _ in range(count):
        await pool.putconn(await pool.getconn())


async def _async_connection(pool: Any, count: int) -> None:
    for _ in range(count):
        async with pool.connection():
            pass


async def _acquire(pool: Any, count: int) -> None:
    for _ in range(count):
        async with pool.acquire():
            pass


async def _connect(engine: Any, count: int) -> None:
    for _ in range(count):
        with engine.connect():
            pass


async def _async_connect(engine: Any, count: int) -> None:
    for _ in range(count):
        async with engine.connect():
            pass


async def _select(pool: Any) -> None:
    with pool.connection() as connection:
        connection.execute("select 1")


async def _async_select(pool: Any) -> None:
    async with pool.connection() as connection:
        await connection.execute("select 1")


async def _acquire_select(pool: Any) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select 1")


async def _cursor_select(pool: Any) -> None:
    connection = pool.getconn()
    with connection, connection.cursor() as cursor:
        cursor.execute("select 1")
    pool.putconn(connection)


async def _engine_select(engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(_SELECT_1)


async def _async_engine_select(engine: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(_SELECT_1)


SUBJECTS = (
    Subject(name="psycopg_pool `getconn`/`putconn`",
            pool=_psycopg, check_out=_getconn, select_1=_select),
    Subject(name="psycopg_pool `with pool.connection()`",
            pool=_psycopg, check_out=_connection, select_1=_select),
    Subject(name="async psycopg_pool `getconn`/`putconn`",
            pool=_async_psycopg, check_out=_async_getconn, select_1=_async_select),
    Subject(name="async psycopg_pool `async with pool.connection()`",
            pool=_async_psycopg, check_out=_async_connection, select_1=_async_select),
    Subject(name="psycopg2 `getconn`/`putconn`",
            pool=_psycopg2, check_out=_getconn, select_1=_cursor_select),
    Subject(name="SQLAlchemy `with engine.connect()`",
            pool=_engine, check_out=_connect, select_1=_engine_select),
    Subject(name="async SQLAlchemy `async with engine.connect()`",
            pool=_async_engine, check_out=_async_connect, select_1=_async_engine_select),
    Subject(name="asyncpg `async with pool.acquire()`",
            pool=_asyncpg, check_out=_acquire, select_1=_acquire_select),
)  # fmt: skip
