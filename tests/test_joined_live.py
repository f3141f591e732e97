"""Both sides of real pools on a real PostgreSQL, joined; with a leak threshold of a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from psycopg_pool import ConnectionPool
from sqlalchemy.orm import Session

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.findings.finding import Cause, Finding
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Target
from pg_pool_exporter.model import AppOnServer, LeakEvidence, Snapshot, TargetId
from pg_pool_exporter.polling.poller import Poller
from pg_pool_exporter.polling.store import Store
from support.client import Watched
from support.polling import source_of
from support.pools import url
from support.postgres import Cluster
from support.sources import process_id

THRESHOLD = 1.0
INTERVAL = 0.1
KEY = AppOnServer("main", "shop")


class _PoolSource:
    """Reads a pool of this process, without a page."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def poll(self) -> Snapshot:
        return Snapshot(pools=(self._watched.sample(),))

    async def close(self) -> None:
        pass


@contextmanager
def shop(cluster: Cluster, name: str) -> Iterator[tuple[ConnectionPool[Any], Watched]]:
    """A pool of three connections whose sessions have a name that no other test's have."""
    with ConnectionPool(
        cluster.dsn(application_name=name), min_size=3, max_size=5, open=True
    ) as pool:
        pool.wait()
        yield pool, Watched(pool, leak_after=THRESHOLD)


def watch(
    cluster: Cluster, watched: Watched, seen: Callable[[LeakEvidence], bool], *, seconds: float
) -> LeakEvidence:
    """Poll both sides until what is joined has been `seen`, or for so long; gives the last."""
    analyzer = poll_both(cluster, watched, lambda one: seen(evidence(one)), seconds=seconds)
    return evidence(analyzer)


def poll_both(
    cluster: Cluster, watched: Watched, seen: Callable[[Analyzer], bool], *, seconds: float
) -> Analyzer:
    """Poll both sides until something has been `seen`, or for so long."""

    async def main() -> Analyzer:
        store = Store()
        analyzer = Analyzer(store, Config())
        pollers = [
            Poller(
                Target(process_id("shop-0"), 1.0, 5.0, (), is_local=True),
                _PoolSource(watched),
                store,
            ),
            Poller(Target(TargetId("server", "main"), 1.0, 5.0, ()), source_of(cluster), store),
        ]
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not seen(analyzer):
                for poller in pollers:
                    await poller.poll()
                await asyncio.sleep(INTERVAL)
        finally:
            for poller in pollers:
                await poller.close()
        return analyzer

    return asyncio.run(main())


def evidence(analyzer: Analyzer) -> LeakEvidence:
    return analyzer.update().fleet.evidence.get(KEY, LeakEvidence())


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An application name of the test's own."""
    return f"joined {request.node.name}"[:60]


def test_a_connection_that_is_kept_is_unreturned(any_postgres: Cluster, name: str) -> None:
    with shop(any_postgres, name) as (pool, watched):
        kept = pool.getconn()
        kept.execute("SELECT 1")
        kept.commit()
        joined = watch(any_postgres, watched, is_unreturned, seconds=20)
        pool.putconn(kept)
        assert (joined.unreturned, joined.missing) == (1, 0)
        back = watch(any_postgres, watched, is_known, seconds=20)
    assert back.unreturned == 0


def is_known(joined: LeakEvidence) -> bool:
    return joined.unreturned is not None


def is_unreturned(joined: LeakEvidence) -> bool:
    return (joined.unreturned or 0) >= 1


def test_connections_that_are_kept_show_also_while_the_others_are_in_use(
    any_postgres: Cluster, name: str
) -> None:
    with shop(any_postgres, name) as (pool, watched):
        kept = [pool.getconn() for _ in range(2)]
        done = threading.Event()
        worker = threading.Thread(target=_work, args=(pool, done))
        worker.start()
        try:
            joined = watch(any_postgres, watched, is_unreturned, seconds=20)
        finally:
            done.set()
            worker.join()
            for connection in kept:
                pool.putconn(connection)
    assert 1 <= (joined.unreturned or 0) <= 2


def _work(pool: ConnectionPool[Any], until: threading.Event) -> None:
    """Use the connections in turns, so that none of those in the pool is silent for long."""
    while not until.wait(0.02):
        with pool.connection() as connection:
            connection.execute("SELECT 1")


def test_connections_that_are_idle_for_long_and_in_use_for_moments_are_fine(
    any_postgres: Cluster, name: str
) -> None:
    """Also when whoever checks one out does nothing with it."""
    reported = 0

    def look(joined: LeakEvidence) -> bool:
        nonlocal reported
        assert (joined.unreturned or 0) == 0
        reported += joined.unreturned is not None
        with pool.connection():
            time.sleep(0.05)
        return reported >= 15

    with shop(any_postgres, name) as (pool, watched):
        joined = watch(any_postgres, watched, look, seconds=30)
    assert reported >= 15, "it is reported, and is 0"
    assert joined.missing == 0


def test_a_session_of_somebody_else_under_the_same_name_is_nobodys_leak(
    postgres: Cluster, name: str
) -> None:
    reported = 0

    def look(joined: LeakEvidence) -> bool:
        nonlocal reported
        assert (joined.unreturned or 0) == 0
        reported += joined.unreturned is not None
        return reported >= 5

    with shop(postgres, name) as (_, watched), postgres.connect(application_name=name):
        watch(postgres, watched, look, seconds=30)
    assert reported >= 5


def test_a_connection_that_was_dropped_is_missing_on_the_server(
    any_postgres: Cluster, name: str
) -> None:
    with shop(any_postgres, name) as (pool, watched):
        leaked = False

        def look(joined: LeakEvidence) -> bool:
            nonlocal leaked
            if not leaked:
                leaked = True
                pool.getconn()
            return (joined.missing or 0) >= 1

        joined = watch(any_postgres, watched, look, seconds=20)
    assert joined.missing == 1
    assert joined.unreturned == 0


def found(analyzer: Analyzer) -> list[Finding]:
    """What is wrong, but for settings of the server."""
    causes = (Cause.LEAK, Cause.IDLE_IN_TRANSACTION)
    return [one for one in analyzer.update().findings if one.cause in causes]


@contextmanager
def engine_of(cluster: Cluster, name: str) -> Iterator[sqlalchemy.Engine]:
    """Of an application that begins transactions by itself, as SQLAlchemy does; `name` may be
    empty.
    """
    engine = sqlalchemy.create_engine(
        url("postgresql+psycopg", cluster.dsn()), connect_args={"application_name": name}
    )
    try:
        yield engine
    finally:
        engine.dispose()


def test_a_kept_session_of_sqlalchemy_is_a_leak_with_its_line(
    any_postgres: Cluster, name: str
) -> None:
    with engine_of(any_postgres, name) as engine:
        watched = Watched(engine, leak_after=THRESHOLD)
        kept = Session(engine)
        kept.execute(sqlalchemy.text("SELECT 1"))
        analyzer = poll_both(any_postgres, watched, lambda one: bool(found(one)), seconds=20)
        (leak,) = found(analyzer)
        kept.close()
    assert leak.cause is Cause.LEAK
    (site,) = leak.sites
    assert site.startswith("test_joined_live.py:")
    assert leak.figures["idle_in_transaction_sessions"] == 1
    assert any("a transaction open" in one for one in leak.evidence)


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_work_in_one_transaction_explains_its_checkout_with_or_without_a_name(
    any_postgres: Cluster, name: str, named: bool
) -> None:
    """Statements with pauses between them, then a long one."""

    def work() -> None:
        with engine.begin() as connection:
            for _ in range(12):
                connection.execute(sqlalchemy.text("SELECT 1"))
                time.sleep(THRESHOLD / 4)
            connection.execute(sqlalchemy.text(f"SELECT pg_sleep({3 * THRESHOLD})"))

    with engine_of(any_postgres, name if named else "") as engine:
        watched = Watched(engine, leak_after=THRESHOLD)
        with engine.connect(), engine.connect():
            pass  # two that are idle all the time
        worker = threading.Thread(target=work)
        worker.start()
        overdue = 0

        def look(analyzer: Analyzer) -> bool:
            nonlocal overdue
            assert found(analyzer) == []
            overdue += bool(watched.sample().overdue)
            return not worker.is_alive()

        poll_both(any_postgres, watched, look, seconds=30)
        worker.join()
    assert overdue >= 5
