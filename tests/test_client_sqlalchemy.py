"""What only SQLAlchemy has: engines, pools that are none, errors that pass by, greenlets."""

from __future__ import annotations

import asyncio
import gc
import linecache
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import create_engine, event, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pg_pool_exporter.client import instrument, long_lived, uninstrument
from pg_pool_exporter.client.process import Process
from support.client import Watched
from support.pools import url
from support.postgres import EMBEDDED_18, Cluster, wait_until


@pytest.fixture
def engine(postgres: Cluster) -> Iterator[sqlalchemy.Engine]:
    engine = create_engine(url("postgresql+psycopg", postgres.dsn()), pool_size=2, max_overflow=1)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("kind", [pool.StaticPool, pool.SingletonThreadPool, pool.AssertionPool])
def test_a_pool_that_lends_nothing_is_refused_with_a_clear_answer_and_works_as_before(
    client_process: Process, postgres: Cluster, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(url("postgresql+psycopg", postgres.dsn()), poolclass=kind)
    assert instrument(engine, app="shop") is engine
    (record,) = caplog.records
    for fact in (kind.__name__, "QueuePool", "AsyncAdaptedQueuePool", "NullPool"):
        assert fact in record.getMessage()
    assert type(engine.pool) is kind
    with engine.connect() as connection:
        assert connection.scalar(text("select 1")) == 1
    engine.dispose()
    assert client_process.samples() == []


def test_an_engine_for_another_database_is_refused_with_a_clear_answer(
    client_process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(create_engine("sqlite://", poolclass=pool.QueuePool), app="shop")
    assert "an engine for sqlite: only PostgreSQL's can be instrumented" in caplog.text


def test_an_engine_its_pool_and_its_variants_are_the_same(
    client_process: Process, engine: sqlalchemy.Engine, postgres: Cluster
) -> None:
    for same in (engine, engine.pool, engine.execution_options(logging_token="x"), engine):
        instrument(same, app="shop", name="main")
    asynchronous = create_async_engine(url("postgresql+asyncpg", postgres.dsn()))
    for other in (asynchronous, asynchronous.sync_engine, asynchronous.pool):
        instrument(other, app="shop", name="async")
    assert [sample.key.pool for sample in client_process.samples()] == ["main", "async"]
    with engine.connect():
        pass
    assert client_process.samples()[0].acquired == 1
    uninstrument(engine.execution_options(logging_token="y"))
    assert [sample.key.pool for sample in client_process.samples()] == ["async"]


_WITHOUT_GREENLET = """
import sys
sys.modules["greenlet"] = None
from pg_pool_exporter.client.options import PoolOptions
from pg_pool_exporter.client.registry import Registry
from sqlalchemy import create_engine
registry, engine = Registry(), create_engine("postgresql+psycopg://")
registry.add(engine, PoolOptions(app="shop", name="main", leak_after=60))
print(registry.samples("host:0")[0].key.pool)
"""


def test_an_engine_is_measured_where_greenlet_is_not_installed() -> None:
    """SQLAlchemy 2.1 asks for it only where it is used asynchronously."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_GREENLET], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("main\n", "")


def test_the_pools_name_is_that_of_its_log(client_process: Process) -> None:
    for options in ({"pool_logging_name": "reports"}, {}, {}):
        instrument(keep(create_engine("postgresql+psycopg://", **options)), app="shop")
    names = [sample.key.pool for sample in client_process.samples()]
    assert names == ["reports", "sqlalchemy", "sqlalchemy-2"]


_kept: list[Any] = []


def keep(engine: Any) -> Any:
    _kept.append(engine)
    return engine


def test_a_pool_without_an_engine_tells_neither_dead_sessions_nor_errors(
    postgres: Cluster,
) -> None:
    def connect() -> Any:
        return psycopg.connect(postgres.dsn())

    own = pool.QueuePool(connect, pool_size=1, max_overflow=0)
    watched = Watched(own)
    connection = own.connect()
    assert watched.sample().active == 1
    connection.close()
    sample = watched.sample()
    assert (sample.returned, sample.idle, sample.lost) == (1, 1, None)
    assert set(sample.timeouts) == {"pool", "connect"}
    own.dispose()


@pytest.mark.parametrize(
    ("size", "overflow", "limit"), [(2, 1, 3), (5, 10, 15), (0, 10, None), (2, -1, None)]
)
def test_the_maximum_is_the_pools_size_with_its_overflow(
    size: int, overflow: int, limit: int | None
) -> None:
    engine = create_engine("postgresql+psycopg://", pool_size=size, max_overflow=overflow)
    assert Watched(engine).sample().max == limit


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what it leaves open is not closed
def test_a_disposed_engine_goes_on_with_the_same_counters(engine: sqlalchemy.Engine) -> None:
    watched = Watched(engine)
    for number in range(1, 4):
        with engine.connect(), engine.connect():
            pass
        sample = watched.sample()
        assert (sample.acquired, sample.idle, sample.connects) == (2 * number, 2, 2 * number)
        engine.dispose()
        assert watched.sample().idle == 0
    kept = engine.connect()
    engine.dispose(close=False)
    assert watched.sample().active == 1, "it belongs to the pool before"
    kept.close()
    assert watched.is_clean()


def test_a_pool_made_by_hand_from_another_is_the_one_that_is_followed(
    engine: sqlalchemy.Engine,
) -> None:
    watched = Watched(engine)
    uninstrumented = create_engine(engine.url)
    engine.pool.dispose()
    engine.pool = engine.pool.recreate()
    with engine.connect(), uninstrumented.connect():
        assert watched.sample().active == 1
    uninstrumented.dispose()


def test_an_engine_that_its_own_listeners_know_is_freed_when_it_is_dropped(
    postgres: Cluster,
) -> None:
    """As a listener is a closure over the engine most of the time, and is kept by its dialect."""

    def make() -> sqlalchemy.Engine:
        engine = create_engine(url("postgresql+psycopg", postgres.dsn()))
        event.listen(engine, "handle_error", lambda context: engine.dispose())
        return engine

    engine = make()
    watched = Watched(engine)
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    engine.dispose()
    pool = weakref.ref(engine.pool)
    del engine, connection
    gc.collect()
    assert pool() is None
    assert [sample.max for sample in watched.registry.samples("host:0")] == [None]


def test_a_dropped_asynchronous_connection_costs_its_session_and_no_slot(
    postgres: Cluster, recwarn: pytest.WarningsRecorder
) -> None:
    async def main() -> None:
        engine = create_async_engine(
            url("postgresql+asyncpg", postgres.dsn()), pool_size=1, max_overflow=0
        )
        watched = Watched(engine)
        for number in range(1, 4):
            with suppress(sqlalchemy.exc.SAWarning):
                connection: Any = await engine.connect()
                del connection
                gc.collect()
            sample = watched.sample()
            assert (sample.acquired, sample.returned, sample.active) == (number, number, 0)
            assert (sample.connects, sample.idle, sample.leaked) == (number, 0, 0)
        await engine.dispose()

    asyncio.run(main())
    assert "The garbage collector is trying to clean up" in str(recwarn.pop().message)


def site_line(watched: Watched) -> str:
    ((site, _),) = watched.sample().overdue.items()
    return linecache.getline(__file__, int(site.split(" ")[0].rpartition(":")[2])).strip()


def test_the_line_is_named_through_the_greenlets_of_an_asynchronous_engine(
    postgres: Cluster,
) -> None:
    async def main() -> None:
        engine = create_async_engine(url("postgresql+asyncpg", postgres.dsn()))
        watched = Watched(engine, leak_after=1e-9)
        async with engine.connect():  # by the engine
            assert site_line(watched).endswith("# by the engine")
        async with AsyncSession(engine) as session:
            await session.execute(text("select 1"))  # by the session
            assert site_line(watched).endswith("# by the session")
        await engine.dispose()

    asyncio.run(main())


def test_a_connection_of_an_engine_can_be_declared_long_lived(
    client_process: Process, engine: sqlalchemy.Engine, postgres: Cluster
) -> None:
    instrument(engine, app="shop", leak_after=1e-9)
    with engine.connect() as connection:
        assert len(client_process.samples()[0].overdue) == 1
        assert long_lived(connection) is connection
        assert client_process.samples()[0].overdue == {}

    async def main() -> None:
        asynchronous = create_async_engine(url("postgresql+asyncpg", postgres.dsn()))
        instrument(asynchronous, app="shop", leak_after=1e-9)
        async with asynchronous.connect() as connection:
            long_lived(connection)
            assert client_process.samples()[1].overdue == {}
        await asynchronous.dispose()

    asyncio.run(main())


def test_a_ping_that_finds_a_session_dead_counts_it_and_the_request_is_served(
    postgres: Cluster,
) -> None:
    engine = create_engine(
        url("postgresql+psycopg", postgres.dsn(application_name="pinged")), pool_pre_ping=True
    )
    watched = Watched(engine)
    with engine.connect() as connection:
        pid = connection.scalar(text("select pg_backend_pid()"))
    postgres.run(f"select pg_terminate_backend({pid})")
    alive = f"select pid from pg_stat_activity where pid = {pid}"
    wait_until(lambda: not postgres.run(alive), "it has ended")
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    sample = watched.sample()
    assert (sample.lost, sample.connects, sample.acquired, sample.requests) == (1, 2, 2, 2)
    engine.dispose()


def test_a_server_that_is_down_gives_connect_errors_and_nothing_lost() -> None:
    engine = create_engine("postgresql+psycopg://x@127.0.0.1:1/x")
    watched = Watched(engine)
    for _ in range(3):
        with pytest.raises(sqlalchemy.exc.OperationalError):
            engine.connect()
    sample = watched.sample()
    assert (sample.connect_errors, sample.lost, sample.active) == (3, 0, 0)
    assert (sample.requests, sample.acquired) == (3, 0)
    assert watched.is_clean()


def test_listeners_of_the_application_that_refuse_or_detach(engine: sqlalchemy.Engine) -> None:
    watched = Watched(engine)
    refuse = True

    def listener(connection: Any, record: Any, proxy: Any) -> None:
        if refuse:
            raise RuntimeError("not today")
        proxy.detach()

    event.listen(engine, "checkout", listener)
    with pytest.raises(RuntimeError):
        engine.connect()
    refuse = False
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    event.remove(engine, "checkout", listener)
    assert watched.is_clean()


# What an application does, and the kind of timeout that it sees; "cancel" is none.
_TIMEOUTS = {
    "statement": ["set statement_timeout = 20", "select pg_sleep(60)"],
    "lock": ["set lock_timeout = 20", "lock table held"],
    "nowait": ["lock table held nowait"],
    "cancel": ["select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)"],
    "transaction": ["set transaction_timeout = 30", "select pg_sleep(60)"],
    "idle_in_transaction": [
        "set idle_in_transaction_session_timeout = 20", "select 1", "select 1"
    ],
    "translated": ["set lc_messages = 'C'", "set statement_timeout = 20", "select pg_sleep(60)"],
}  # fmt: skip
_STATEMENT = {"statement": 1}


@pytest.fixture(scope="module")
def newest() -> Iterator[Cluster]:
    """A PostgreSQL 18, which has a timeout of transactions, with a table that is locked."""
    with Cluster(EMBEDDED_18) as cluster:
        cluster.run("create table held ()")
        with cluster.connect() as holder:
            holder.autocommit = False
            holder.execute("lock table held")
            yield cluster


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    ("case", "counted"),
    [
        ("statement", _STATEMENT), ("translated", _STATEMENT), ("lock", {"lock": 1}),
        ("nowait", {}), ("cancel", {}), ("transaction", {"transaction": 1}),
        ("idle_in_transaction", {"idle_in_transaction": 1}),
    ],
)  # fmt: skip
def test_a_time_out_of_the_servers_is_reported_by_its_kind_and_a_cancel_is_none(
    newest: Cluster, driver: str, case: str, counted: dict[str, int]
) -> None:
    engine = create_engine(url(f"postgresql+{driver}", newest.dsn()))
    watched = Watched(engine)
    *before, last = _TIMEOUTS[case]

    def play(connection: sqlalchemy.Connection, ended: Callable[[], object]) -> None:
        for statement in before:
            connection.execute(text(statement))
        if case == "idle_in_transaction":
            wait_until(ended, "the server has ended the session")
        connection.execute(text(last))

    with suppress(DBAPIError), engine.connect() as connection:
        pid = connection.scalar(text("select pg_backend_pid()"))
        alive = f"select pid from pg_stat_activity where pid = {pid}"
        with pytest.raises(DBAPIError):
            play(connection, lambda: not newest.run(alive))
    reported = watched.sample().timeouts
    heard = {kind: count for kind, count in counted.items() if kind in reported}
    assert {kind: count for kind, count in reported.items() if count} == heard
    assert heard == counted or driver == "psycopg2"
    engine.dispose()
