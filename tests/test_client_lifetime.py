"""A pool that is instrumented while it is used, made plain again, or thrown away."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import Any

import pytest
from psycopg_pool import ConnectionPool, NullConnectionPool

from pg_pool_exporter.client import instrument, uninstrument
from pg_pool_exporter.client.process import Process
from support.client import no_collection
from support.postgres import Cluster

Pool = ConnectionPool[Any]


def test_uninstrumenting_leaves_alone_what_somebody_else_has_put_on_top(
    client_process: Process, pool: Pool
) -> None:
    instrument(pool, app="shop")
    theirs: Any = type("Traced", (type(pool),), {})
    pool.__class__ = theirs
    uninstrument(pool)
    assert type(pool) is theirs
    pool.putconn(pool.getconn())


@pytest.mark.parametrize("kind", [ConnectionPool, NullConnectionPool])
def test_instrumenting_does_not_keep_a_pool_alive(
    client_process: Process, postgres: Cluster, kind: type[Pool]
) -> None:
    """Its last reference alone frees it, without the cyclic collector."""
    pool = kind(postgres.dsn(), max_size=2, min_size=0, open=True)
    instrument(pool, app="shop")
    pool.putconn(pool.getconn())
    pool.close()
    reference = weakref.ref(pool)
    with no_collection():
        del pool
        assert reference() is None
    (sample,) = client_process.samples()
    assert (sample.acquired, sample.max) == (1, None), "its counters go on"


def test_pools_that_come_and_go_leave_nothing_behind(
    client_process: Process, postgres: Cluster
) -> None:
    for _ in range(20):
        instrument(ConnectionPool(postgres.dsn(), min_size=1, open=False), app="shop", name="main")
    gc.collect()
    assert client_process.samples() == []
    assert client_process.registry.apps() == []


def test_a_pool_that_is_waited_for_while_it_is_instrumented_serves_everybody(
    client_process: Process, postgres: Cluster
) -> None:
    with ConnectionPool(postgres.dsn(), min_size=1, timeout=20, open=True) as pool:
        pool.wait()
        stop = threading.Event()
        served: list[int] = []

        def work() -> None:
            while not stop.is_set():
                with pool.connection():
                    served.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            instrument(pool, app="shop")
            uninstrument(pool)
        stop.set()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert len(served) > 100


def test_a_pool_in_use_by_a_slow_connect_is_left_alone_after_a_moment(
    client_process: Process, postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A null pool connects under its lock; the application must not wait for a hung server."""
    with NullConnectionPool(postgres.dsn(), max_size=2, open=True) as pool:
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with pool._lock:
                held.set()
                release.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
        instrument(pool, app="shop")
        release.set()
        thread.join()
        assert type(pool) is NullConnectionPool
        assert "making a session" in caplog.text
        with contextlib.closing(pool.getconn()) as connection:
            connection.execute("select 1")
