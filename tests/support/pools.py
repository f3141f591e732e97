"""Every pool library in one form, as an application uses it, and where they differ, as data.

Each kind checks out, returns and queries in the library's own way. Synchronous ones do so without
awaiting anything, except where they may block: there in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg2.pool
import psycopg_pool
import pytest
import sqlalchemy
from _pytest.mark import ParameterSet
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

SIZE = 2


class Pool:
    """A pool of at most two connections, not yet used. `own` is what the library has made."""

    def __init__(self, own: Any) -> None:
        self.own = own

    async def open(self) -> None:
        """Make it usable."""

    async def close(self) -> None:
        """End it for good."""
        self.own.close()

    async def check_out(self) -> Any:
        """Ask for a connection; it raises at once, or after a moment, where there is none."""
        return self.own.getconn()  # checked out here

    async def check_out_when_free(self) -> Any:
        """Ask for a connection, and wait for it as long as it takes."""
        return await asyncio.to_thread(self.own.getconn, 20)

    async def check_in(self, connection: Any) -> None:
        """Return a connection."""
        self.own.putconn(connection)

    async def ask(self, connection: Any, statement: str) -> None:
        """Run a statement."""
        connection.execute(statement)

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        """The library's own `with` statement."""
        with self.own.connection() as connection:
            yield connection

    def queue(self) -> Any:
        """What has got another class, besides the pool itself, when it is instrumented."""
        return self.own._waiting


class PsycopgPool(Pool):
    async def open(self) -> None:
        self.own.open(wait=True)

    async def check_out(self) -> Any:
        return self.own.getconn(0.05)  # checked out here


class AsyncPsycopgPool(Pool):
    async def open(self) -> None:
        await self.own.open(wait=True)

    async def close(self) -> None:
        await self.own.close()

    async def check_out(self) -> Any:
        return await self.own.getconn(0.05)  # checked out here

    async def check_out_when_free(self) -> Any:
        return await self.own.getconn(20)

    async def check_in(self, connection: Any) -> None:
        await self.own.putconn(connection)

    async def ask(self, connection: Any, statement: str) -> None:
        await connection.execute(statement)

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        async with self.own.connection() as connection:
            yield connection


class Psycopg2Pool(Pool):
    async def close(self) -> None:
        if not self.own.closed:
            self.own.closeall()

    async def ask(self, connection: Any, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        """As everybody writes it, for want of one of the library's."""
        connection = self.own.getconn()
        try:
            yield connection
        finally:
            self.own.putconn(connection)

    def queue(self) -> Any:
        return None


class Engine(Pool):
    async def close(self) -> None:
        self.own.dispose()

    async def check_out(self) -> Any:
        return self.own.connect()  # checked out here

    async def check_out_when_free(self) -> Any:
        with patience(self.own.pool):
            return await asyncio.to_thread(self.own.connect)

    async def check_in(self, connection: Any) -> None:
        connection.close()

    async def ask(self, connection: Any, statement: str) -> None:
        connection.execute(text(statement))

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        with self.own.connect() as connection:
            yield connection

    def queue(self) -> Any:
        return getattr(self.own.pool, "_pool", None)


class AsyncEngine(Engine):
    async def close(self) -> None:
        await self.own.dispose()

    async def check_out(self) -> Any:
        return await self.own.connect()  # checked out here

    async def check_out_when_free(self) -> Any:
        with patience(self.own.pool):
            return await self.own.connect()

    async def check_in(self, connection: Any) -> None:
        await connection.close()

    async def ask(self, connection: Any, statement: str) -> None:
        await connection.execute(text(statement))

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        async with self.own.connect() as connection:
            yield connection


class AsyncpgPool(Pool):
    async def open(self) -> None:
        await self.own

    async def close(self) -> None:
        await self.own.close()

    async def check_out(self) -> Any:
        return await self.own.acquire(timeout=0.05)  # checked out here

    async def check_out_when_free(self) -> Any:
        return await self.own.acquire()

    async def check_in(self, connection: Any) -> None:
        await self.own.release(connection)

    async def ask(self, connection: Any, statement: str) -> None:
        await connection.execute(statement)

    @asynccontextmanager
    async def block(self) -> AsyncIterator[Any]:
        async with self.own.acquire() as connection:
            yield connection

    def queue(self) -> Any:
        return None


@contextmanager
def patience(pool: Any) -> Iterator[None]:
    """SQLAlchemy's timeout is the pool's, not the request's."""
    before, pool._timeout = pool._timeout, 20
    try:
        yield
    finally:
        pool._timeout = before


@dataclass(frozen=True, slots=True)
class Kind:
    """One library's pool. Whatever isn't as with the others stands here."""

    name: str
    make: Callable[[str], Pool]
    is_async: bool = False
    limit: int | None = SIZE
    keeps: bool = True
    """Whether a connection that has come back stays idle in the pool."""
    dropped: str = "returned"
    """What becomes of a connection that is forgotten: the pool has lost its slot for good
    (`leaked`), keeps it forever (`overdue`), or takes it back when it is collected (`returned`).
    """
    when_full: str = "timeout"
    """A request that finds no free connection ends in a `timeout`, or is `rejected` at once; or its
    end is `unseen`."""
    lost: int | None = 1
    """What is counted for a session that has died; None where the library does not report it."""
    survives_close: bool = False
    """Whether it can be used again after it was closed, as an engine can."""
    library: str = "psycopg_pool"
    """Its name in the documentation's table of libraries."""
    source: Path = Path(__file__)
    """The file in which connections are checked out."""
    toolchain: str = ""
    """Of a client in another language: its command, and the marker of its tests."""
    built: Path | None = None
    """What `make clients` builds for it."""
    leaks: tuple[str, ...] = ()
    """The mistakes that leave a connection out, of a client in another language."""
    drops: str = ""
    """The mistake by which a slot is lost that the language reports."""
    cancels: bool = False
    """Whether a request can be cancelled while it waits."""

    def __repr__(self) -> str:
        return self.name

    @property
    def waits(self) -> bool:
        """Whether it has a queue."""
        return self.limit is not None and self.when_full == "timeout"


def url(scheme: str, dsn: str) -> str:
    """A libpq connection string as the URL that SQLAlchemy and asyncpg take."""
    said = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    where = said["host"], int(said["port"]), said["dbname"]
    made = sqlalchemy.URL.create(scheme, said["user"], None, *where)
    return made.render_as_string(hide_password=False)


def _psycopg(kind: Any, pool: type[Pool], least: int) -> Callable[[str], Pool]:
    return lambda dsn: pool(kind(dsn, min_size=least, max_size=SIZE, open=False, timeout=20))


def _psycopg2(kind: Any) -> Callable[[str], Pool]:
    return lambda dsn: Psycopg2Pool(kind(SIZE, SIZE, dsn))


def _engine(driver: str, **options: Any) -> Callable[[str], Pool]:
    options = options or {"pool_size": SIZE, "max_overflow": 0, "pool_timeout": 0.05}
    return lambda dsn: Engine(create_engine(url(f"postgresql+{driver}", dsn), **options))


def _async_engine(driver: str, **options: Any) -> Callable[[str], Pool]:
    options = options or {"pool_size": SIZE, "max_overflow": 0, "pool_timeout": 0.05}
    return lambda dsn: AsyncEngine(create_async_engine(url(f"postgresql+{driver}", dsn), **options))


def _asyncpg(dsn: str) -> Pool:
    return AsyncpgPool(asyncpg.create_pool(url("postgresql", dsn), min_size=SIZE, max_size=SIZE))


_SQLALCHEMY = "SQLAlchemy, psycopg"
_SQLALCHEMY_OTHERS = "SQLAlchemy, psycopg2 or asyncpg"

KINDS = (
    Kind("psycopg_pool-sync", _psycopg(psycopg_pool.ConnectionPool, PsycopgPool, SIZE),
         dropped="leaked"),
    Kind("psycopg_pool-async", _psycopg(psycopg_pool.AsyncConnectionPool, AsyncPsycopgPool, SIZE),
         is_async=True, dropped="leaked"),
    Kind("psycopg_pool-null-sync", _psycopg(psycopg_pool.NullConnectionPool, PsycopgPool, 0),
         keeps=False, dropped="leaked"),
    Kind("psycopg_pool-null-async",
         _psycopg(psycopg_pool.AsyncNullConnectionPool, AsyncPsycopgPool, 0),
         is_async=True, keeps=False, dropped="leaked"),
    Kind("sqlalchemy-psycopg", _engine("psycopg"), survives_close=True, library=_SQLALCHEMY),
    Kind("sqlalchemy-psycopg2", _engine("psycopg2"), survives_close=True,
         library=_SQLALCHEMY_OTHERS),
    Kind("sqlalchemy-null", _engine("psycopg", poolclass=sqlalchemy.NullPool), limit=None,
         keeps=False, survives_close=True, library="SQLAlchemy's NullPool"),
    Kind("sqlalchemy-async-asyncpg", _async_engine("asyncpg"), is_async=True, survives_close=True,
         library=_SQLALCHEMY_OTHERS),
    Kind("sqlalchemy-async-psycopg", _async_engine("psycopg"), is_async=True, survives_close=True,
         library=_SQLALCHEMY),
    Kind("asyncpg", _asyncpg, is_async=True, dropped="overdue", lost=None, library="asyncpg"),
    Kind("psycopg2-simple", _psycopg2(psycopg2.pool.SimpleConnectionPool),
         dropped="overdue", when_full="rejected", library="psycopg2"),
    Kind("psycopg2-threaded", _psycopg2(psycopg2.pool.ThreadedConnectionPool),
         dropped="overdue", when_full="rejected", library="psycopg2"),
)  # fmt: skip

_USUAL = (
    "psycopg_pool-sync",
    "sqlalchemy-psycopg",
    "sqlalchemy-async-asyncpg",
    "asyncpg",
    "psycopg2-simple",
)


def cases(kinds: Iterable[Kind] = KINDS) -> list[ParameterSet]:
    """Parameters of a test. `make test` runs one kind of each library, `make test-all` all."""
    return [
        pytest.param(kind, id=kind.name, marks=[] if kind.name in _USUAL else [pytest.mark.slow])
        for kind in kinds
    ]
