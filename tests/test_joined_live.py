"""Both sides of real pools on a real PostgreSQL, joined; with a leak threshold of a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Target
from pg_pool_exporter.model import AppOnServer, LeakEvidence, Snapshot, TargetId
from pg_pool_exporter.polling.poller import Poller
from pg_pool_exporter.polling.store import Store
from support.client import Watched
from support.polling import source_of
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

    async def main() -> LeakEvidence:
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
            while time.monotonic() < until and not seen(evidence(analyzer)):
                for poller in pollers:
                    await poller.poll()
                await asyncio.sleep(INTERVAL)
        finally:
            for poller in pollers:
                await poller.close()
        return evidence(analyzer)

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
    """Also when whoever borrows one does nothing with it."""
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
