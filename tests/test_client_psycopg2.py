"""What only psycopg2 has: keys, and a return that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2.pool
import pytest

from pg_pool_exporter.client.libraries.psycopg2 import Psycopg2Adapter
from support.client import Watched
from support.postgres import Cluster


@pytest.fixture
def pool(postgres: Cluster) -> Iterator[Any]:
    own = psycopg2.pool.ThreadedConnectionPool(1, 2, postgres.dsn())
    yield own
    own.closeall()


def test_who_asks_twice_with_the_same_key_has_one_connection(pool: Any) -> None:
    watched = Watched(pool)
    first = pool.getconn("job")
    assert pool.getconn("job") is first
    sample = watched.sample()
    assert (sample.active, sample.acquired) == (1, 1)
    pool.putconn(first, "job")
    del first
    assert watched.is_clean()


def test_a_connection_given_back_to_be_closed(pool: Any) -> None:
    watched = Watched(pool)
    pool.putconn(pool.getconn(), close=True)
    sample = watched.sample()
    assert (sample.idle, sample.lost, sample.returned) == (0, 0, 1)


def test_an_applications_own_way_of_giving_back(postgres: Cluster) -> None:
    class Own(psycopg2.pool.SimpleConnectionPool):
        def putconn(self, conn: Any, key: Any = None, close: bool = False) -> None:
            super().putconn(conn, key, close)

    pool = Own(1, 2, postgres.dsn())
    watched = Watched(pool)
    connection = pool.getconn()
    connection.close()
    pool.putconn(connection)
    sample = watched.sample()
    assert (sample.active, sample.returned, sample.lost) == (0, 1, 1)
    pool.closeall()


def test_what_the_pool_closes_because_it_has_enough_is_not_lost(pool: Any) -> None:
    watched = Watched(pool)
    for connection in [pool.getconn(), pool.getconn()]:
        pool.putconn(connection)
    sample = watched.sample()
    assert (sample.idle, sample.lost, sample.returned, sample.connects) == (1, 0, 2, 1)


def test_a_return_that_fails_has_not_happened(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the rollback fails: the pool keeps the connection as checked out, forever."""
    watched = Watched(pool, leak_after=1e-9)
    connection = pool.getconn()
    pool.putconn(connection)
    with pytest.raises(psycopg2.pool.PoolError, match="unkeyed"):
        pool.putconn(connection)
    again = pool.getconn("a")
    monkeypatch.setattr(pool, "_used", {})  # so that the return fails at its end
    with pytest.raises(KeyError):
        pool.putconn(again)
    assert watched.sample().active == 1


def test_connections_that_are_closed_and_made_again_leave_nothing_behind(pool: Any) -> None:
    adapter = Psycopg2Adapter(pool, leak_after=60, server="")
    adapter.install(pool)
    for _ in range(20):
        pool.putconn(pool.getconn(), close=True)
        adapter.gauges(pool)
    assert all(len(one) <= 1 for one in vars(adapter).values() if isinstance(one, (dict, set)))
