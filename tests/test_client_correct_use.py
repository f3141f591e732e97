"""Correct use of a pool, however odd, never shows as a leak: not even with a threshold of 0."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg_pool import ConnectionPool, PoolTimeout

from support.client import Watched, only_totals
from support.postgres import Cluster, wait_until

Pool = ConnectionPool[Any]


class OopsError(Exception):
    pass


def test_a_connection_handed_from_thread_to_thread(pool: Pool) -> None:
    watched = Watched(pool, leak_after=1e-9)
    connection = pool.getconn()
    thread = threading.Thread(target=pool.putconn, args=[connection])
    thread.start()
    thread.join()
    del connection
    assert watched.is_clean()


def test_a_generator_that_is_abandoned_in_the_middle(pool: Pool) -> None:
    def rows() -> Iterator[Any]:
        with pool.connection() as connection:
            yield from connection.execute("select generate_series(1, 10)")

    watched = Watched(pool, leak_after=1e-9)
    next(rows())
    assert watched.is_clean()


def test_a_check_that_fails(postgres: Cluster) -> None:
    failures = 2

    def check(connection: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OopsError

    with ConnectionPool(postgres.dsn(), min_size=1, open=True, check=check, timeout=5) as pool:
        pool.wait()
        watched = Watched(pool, leak_after=1e-9)
        failures = 1
        with pool.connection():
            pass
        failures = 1000
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.01)
        wait_until(watched.is_clean, "nothing is out")
        assert watched.sample().timeouts["pool"] == 1


@pytest.mark.parametrize("fails", [False, True])
def test_callbacks_that_reset_and_configure(postgres: Cluster, fails: bool) -> None:
    def callback(connection: Any) -> None:
        if fails and watched:
            raise OopsError

    watched: list[Watched] = []
    with ConnectionPool(
        postgres.dsn(), min_size=2, open=True, reset=callback, configure=callback
    ) as pool:
        pool.wait()
        watched.append(Watched(pool, leak_after=1e-9))
        for _ in range(2):
            with pool.connection():
                pass
        wait_until(watched[0].is_clean, "nothing is out")


def test_closing_the_pool_with_connections_out(pool: Pool) -> None:
    watched = Watched(pool, leak_after=1e-9)
    returned, dropped = pool.getconn(), pool.getconn()
    pool.close()
    pool.putconn(returned)
    del dropped
    assert only_totals(watched.registry.samples("host:0"))


def test_closing_a_connection_that_returns_itself(postgres: Cluster) -> None:
    with ConnectionPool(postgres.dsn(), min_size=1, open=True, close_returns=True) as pool:
        pool.wait()
        watched = Watched(pool, leak_after=1e-9)
        connection = pool.getconn()
        connection.close()
        del connection
        assert watched.is_clean()
        assert watched.sample().idle == 1


def test_returning_what_is_not_the_pools_own_fails_as_ever(pool: Pool, postgres: Cluster) -> None:
    plain = ConnectionPool(postgres.dsn(), min_size=1, open=True)
    watched = Watched(pool, leak_after=1e-9)
    connection = pool.getconn()
    for wrong in (None, object(), plain.getconn()):
        reported = []
        for target in (plain if wrong is None else pool, pool):
            with pytest.raises((ValueError, AttributeError)) as caught:
                target.putconn(wrong)  # type: ignore[arg-type]  # wrong on purpose
            reported.append(caught.type)
        assert reported[0] is reported[1]
    pool.putconn(connection)
    with pytest.raises(ValueError, match="doesn't come from any pool"):
        pool.putconn(connection)
    plain.close()
    del connection
    assert watched.is_clean()
