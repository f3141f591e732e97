"""Waiting, timeouts, refusals, sessions made and lost: each counted apart, from a real pool."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import (
    AsyncNullConnectionPool,
    ConnectionPool,
    NullConnectionPool,
    PoolTimeout,
    TooManyRequests,
)

from support.client import Watched, only_totals
from support.postgres import Cluster, wait_until


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def swallow(error: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except error:
        return


def test_a_request_that_has_timed_out_is_not_waiting_any_more(postgres: Cluster) -> None:
    with ConnectionPool(postgres.dsn(), min_size=1, open=True) as pool:
        pool.wait()
        watched = Watched(pool)
        connection = pool.getconn()
        for _ in range(3):
            with pytest.raises(PoolTimeout):
                pool.getconn(timeout=0.01)
        assert pool.get_stats()["requests_waiting"] == 3, "the pool itself counts otherwise"
        sample = watched.sample()
        assert (sample.waiting, sample.oldest_waiting) == (0, None)
        assert sample.timeouts == {"pool": 3, "connect": 0}
        assert (sample.requests, sample.queued, sample.acquired, sample.rejected) == (4, 3, 1, 0)
        pool.putconn(connection)
        assert watched.is_clean()


def test_a_request_refused_because_the_queue_is_full_is_rejected_and_no_time_out(
    postgres: Cluster,
) -> None:
    with ConnectionPool(postgres.dsn(), min_size=1, max_waiting=1, open=True) as pool:
        pool.wait()
        watched = Watched(pool)
        connection = pool.getconn()
        first = in_thread(lambda: pool.putconn(pool.getconn()))
        wait_until(lambda: watched.sample().waiting == 1, "it waits")
        with pytest.raises(TooManyRequests):
            pool.getconn()
        pool.putconn(connection)
        first.join()
        sample = watched.sample()
        assert (sample.rejected, sample.timeouts["pool"], sample.requests) == (1, 0, 3)


def test_a_request_without_patience_is_a_time_out(postgres: Cluster) -> None:
    """The pool's own counter of errors misses it."""
    with ConnectionPool(postgres.dsn(), min_size=1, open=True) as pool:
        watched = Watched(pool)
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0)
        assert watched.sample().timeouts["pool"] == 1


def test_sessions_made_after_the_pool_was_instrumented_are_counted(postgres: Cluster) -> None:
    with ConnectionPool(postgres.dsn(), min_size=2, max_size=4, open=False) as pool:
        watched = Watched(pool)
        assert watched.sample().idle == 0, "a pool that isn't open yet has nothing"
        pool.open(wait=True)
        assert watched.sample().connects == 2
        connections = [pool.getconn() for _ in range(3)]
        assert watched.sample().connects == 3
        for connection in connections:
            pool.putconn(connection)


def test_a_session_that_the_server_ended_is_lost(postgres: Cluster) -> None:
    with ConnectionPool(postgres.dsn(application_name="doomed"), min_size=2, open=True) as pool:
        pool.wait()
        watched = Watched(pool)
        connection = pool.getconn()
        postgres.run(f"select pg_terminate_backend({connection.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        pool.putconn(connection)
        assert watched.sample().lost == 1
        wait_until(lambda: watched.sample().idle == 2, "it is replaced")
        doomed = "from pg_stat_activity where application_name = 'doomed'"
        postgres.run(f"select pg_terminate_backend(pid) {doomed}")
        wait_until(lambda: not postgres.run(f"select {doomed}"), "both are gone")
        pool.check()
        wait_until(lambda: watched.sample().lost == 3, "those in the pool are found dead")
        wait_until(lambda: watched.sample().connects == 3, "and replaced")


def test_lost_sessions_stay_counted_when_the_application_resets_the_pools_own_counters(
    postgres: Cluster,
) -> None:
    with ConnectionPool(postgres.dsn(), min_size=1, open=True) as pool:
        pool.wait()

        def lose() -> None:
            connection = pool.getconn()
            connection.close()
            pool.putconn(connection)

        lose()
        watched = Watched(pool)
        assert watched.sample().lost == 0, "that one was before"
        for number in (1, 2, 3):
            lose()
            assert pool.pop_stats()["returns_bad"] >= 1
            assert watched.sample().lost == number
        lose()
        assert watched.sample().lost == 4


def test_a_server_that_is_down_gives_connect_errors_and_time_outs_and_nothing_is_active(
    cluster: Cluster,
) -> None:
    with ConnectionPool(
        cluster.dsn(), min_size=1, open=True, reconnect_timeout=0.01, timeout=0.1
    ) as pool:
        pool.wait()
        watched = Watched(pool)
        cluster.stop("immediate")
        connection = pool.getconn()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        pool.putconn(connection)
        wait_until(lambda: (watched.sample().connect_errors or 0) >= 1, "it tried to connect")
        with pytest.raises(PoolTimeout):
            pool.getconn()
        sample = watched.sample()
        assert (sample.active, sample.idle, sample.lost, sample.leaked) == (0, 0, 1, 0)
        assert sample.timeouts == {"pool": 1, "connect": 0}


def test_a_server_that_does_not_answer_gives_connect_time_outs() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        dsn = f"host=127.0.0.1 port={silent.getsockname()[1]} connect_timeout=2 user=x dbname=x"
        with ConnectionPool(dsn, min_size=1, open=True, num_workers=1) as pool:
            watched = Watched(pool)
            swallow(PoolTimeout, lambda: pool.wait(2.6))
            # `wait` has closed the pool, whose counters are then not shown any more.
            notes = watched.tracker.read().noted
        assert (notes["connect timeout"], notes["connect error"]) == (1, 0)


def test_a_null_pool_counts_its_sessions_and_has_no_idle_ones(postgres: Cluster) -> None:
    with NullConnectionPool(postgres.dsn(), max_size=2, open=True) as pool:
        watched = Watched(pool)
        for _ in range(3):
            with pool.connection():
                assert watched.sample().active == 1
        sample = watched.sample()
        assert (sample.max, sample.min, sample.idle, sample.active) == (2, 0, 0, 0)
        assert (sample.connects, sample.acquired, sample.returned) == (3, 3, 3)
        assert watched.is_clean()


def test_an_unlimited_null_pool_has_no_maximum_and_can_not_be_saturated(postgres: Cluster) -> None:
    with NullConnectionPool(postgres.dsn(), open=True) as pool:
        watched = Watched(pool)
        with pool.connection():
            sample = watched.sample()
            assert (sample.max, sample.saturated_seconds, sample.active) == (None, None, 1)


def test_a_connection_dropped_by_the_user_of_an_unlimited_pool_costs_no_slot(
    postgres: Cluster,
) -> None:
    with NullConnectionPool(postgres.dsn(), open=True) as pool:
        watched = Watched(pool)
        pool.getconn()
        sample = watched.sample()
        assert (sample.leaked, sample.leaked_slots, sample.active) == (0, {}, 0)


def test_an_asynchronous_null_pool_is_measured_and_a_cancelled_connect_is_no_error(
    postgres: Cluster,
) -> None:
    async def main() -> None:
        async with AsyncNullConnectionPool(postgres.dsn(), max_size=2, open=False) as pool:
            watched = Watched(pool)
            async with pool.connection():
                assert watched.sample().active == 1
            task = asyncio.create_task(pool.getconn())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sample = watched.sample()
            assert (sample.connects, sample.connect_errors, sample.requests) == (1, 0, 2)
            assert watched.is_clean()

    asyncio.run(main())


def test_a_request_to_a_closed_pool_fails_as_ever_and_shows_nothing(postgres: Cluster) -> None:
    pool: ConnectionPool[Any] = ConnectionPool(postgres.dsn(), min_size=1, open=True)
    watched = Watched(pool)
    pool.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        pool.getconn()
    assert only_totals(watched.registry.samples("host:0"))
