"""An application's own classes of pools and connections, as strange as the libraries allow.

Whatever they refuse, measuring costs no connection and raises nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import asyncpg
import psycopg
import psycopg2.extensions
import psycopg2.pool
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from pg_pool_exporter.client import instrument, uninstrument
from pg_pool_exporter.client.process import Process
from support.pools import (
    SIZE,
    AsyncEngine,
    AsyncpgPool,
    AsyncPsycopgPool,
    Engine,
    Pool,
    Psycopg2Pool,
    PsycopgPool,
    url,
)
from support.postgres import Cluster


class RefusesError(Exception):
    """What a strange class raises, of a kind that nobody expects."""


class TakesNoAttribute:
    """It accepts what its library sets, and no more."""

    def __setattr__(self, name: str, value: object) -> None:
        if "pg_pool_exporter" in name:
            raise RefusesError(name)
        super().__setattr__(name, value)


class HasNoOtherAttribute:
    """It raises something of its own for an attribute that it lacks."""

    def __getattr__(self, name: str) -> Any:
        raise (RefusesError if "pg_pool_exporter" in name else AttributeError)(name)


class ComparesNothing:
    """It can't be compared."""

    def __eq__(self, other: object) -> bool:
        raise RefusesError("==")

    def __hash__(self) -> int:
        raise RefusesError("hash")


class EqualsAll:
    """It equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class LooksEmpty:
    """It is false. Drivers take such a connection, and psycopg_pool such a pool, for none."""

    def __bool__(self) -> bool:
        return False


STRANGE = [TakesNoAttribute, HasNoOtherAttribute, ComparesNothing, EqualsAll]
Maker = Callable[[str, Any, Any], Pool]
"""Makes a pool from a dsn, and the classes that go before the library's own: of its connections,
and of the pool.
"""


class Plain:
    """Nothing strange."""


def mixed(first: Any, cls: Any) -> Any:
    return type(first.__name__, (first, cls), {})


def psycopg_sync(dsn: str, connection: Any, pool: Any) -> Pool:
    cls = mixed(connection, psycopg.Connection)
    return PsycopgPool(mixed(pool, psycopg_pool.ConnectionPool)(
        dsn, connection_class=cls, min_size=SIZE, max_size=SIZE, open=False
    ))  # fmt: skip


def psycopg_async(dsn: str, connection: Any, pool: Any) -> Pool:
    cls = mixed(connection, psycopg.AsyncConnection)
    return AsyncPsycopgPool(mixed(pool, psycopg_pool.AsyncConnectionPool)(
        dsn, connection_class=cls, min_size=SIZE, max_size=SIZE, open=False
    ))  # fmt: skip


def psycopg2_pool(dsn: str, connection: Any, pool: Any) -> Pool:
    cls = mixed(connection, psycopg2.extensions.connection)
    made = mixed(pool, psycopg2.pool.ThreadedConnectionPool)
    return Psycopg2Pool(made(SIZE, SIZE, dsn, connection_factory=cls))


def engine(dsn: str, connection: Any, pool: Any) -> Pool:
    cls = mixed(connection, psycopg.Connection)
    return Engine(sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: cls.connect(dsn),
        poolclass=mixed(pool, sqlalchemy.QueuePool), pool_size=SIZE, max_overflow=0,
    ))  # fmt: skip


def async_engine(dsn: str, connection: Any, pool: Any) -> Pool:
    cls = mixed(connection, asyncpg.Connection)
    return AsyncEngine(create_async_engine(
        url("postgresql+asyncpg", dsn), connect_args={"connection_class": cls},
        poolclass=mixed(pool, sqlalchemy.AsyncAdaptedQueuePool), pool_size=SIZE, max_overflow=0,
    ))  # fmt: skip


def asyncpg_pool(dsn: str, connection: Any, pool: Any) -> Pool:
    return AsyncpgPool(mixed(pool, asyncpg.Pool)(
        url("postgresql", dsn), connection_class=mixed(connection, asyncpg.Connection),
        record_class=asyncpg.Record, min_size=SIZE, max_size=SIZE, max_queries=50_000,
        loop=None, setup=None, init=None, reset=None, max_inactive_connection_lifetime=0.0,
    ))  # fmt: skip


MAKERS = [psycopg_sync, psycopg_async, psycopg2_pool, engine, async_engine, asyncpg_pool]


MEASURED = (2 * SIZE, 2 * SIZE, SIZE)
"""Checkouts, returns and idle connections of a pool that was used."""
NOT_MEASURED = (0, 0, 0)


async def use(pool: Pool) -> None:
    """As an application uses it, to the last connection and again."""
    for _ in range(2):
        connections = [await pool.check_out() for _ in range(SIZE)]
        for connection in connections:
            await pool.ask(connection, "SELECT 1")
        for connection in connections:
            await pool.check_in(connection)


async def live(made: Pool, process: Process, *, early: bool) -> tuple[float, float, float]:
    """Use a pool that is instrumented before or after it is opened: what was counted of it."""
    if early:
        instrument(made.own, app="shop")
    await made.open()
    if not early:
        await use(made)
        instrument(made.own, app="shop")
    await use(made)
    shown = [(one.acquired or 0, one.returned or 0, one.idle or 0) for one in process.samples()]
    uninstrument(made.own)
    await use(made)
    await made.close()
    return shown[0] if shown else NOT_MEASURED


@pytest.mark.parametrize("early", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("make", MAKERS)
def test_a_strange_connection_is_measured_as_any_other(
    client_process: Process, postgres: Cluster, make: Maker, strange: type, early: bool
) -> None:
    async def main() -> tuple[float, float, float]:
        return await live(make(postgres.dsn(), strange, Plain), client_process, early=early)

    assert asyncio.run(main()) == MEASURED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "strange"),
    [
        *product(MAKERS, STRANGE),
        *product([psycopg2_pool, engine, async_engine, asyncpg_pool], [LooksEmpty]),
    ],
)
def test_a_strange_pool_is_measured_or_left_as_it_was(
    client_process: Process, postgres: Cluster, make: Maker, strange: type
) -> None:
    async def main() -> tuple[float, float, float]:
        made = make(postgres.dsn(), Plain, strange)
        before = type(getattr(made.own, "pool", made.own))
        try:
            return await live(made, client_process, early=True)
        finally:
            assert type(getattr(made.own, "pool", made.own)) is before

    assert asyncio.run(main()) in (MEASURED, NOT_MEASURED)
