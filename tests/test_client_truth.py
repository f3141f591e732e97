"""What the client says against what the caller knows, on a real psycopg_pool and PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pg_pool_exporter.model import Histogram, PoolSample
from support.client import Watched
from support.postgres import Cluster, wait_until

Pool = ConnectionPool[Any]


@pytest.fixture
def pool(postgres: Cluster) -> Iterator[Pool]:
    with ConnectionPool(postgres.dsn(), min_size=4, open=True) as pool:
        pool.wait()
        yield pool


_COUNTERS = (
    "active_seconds", "saturated_seconds", "requests", "queued", "rejected", "acquire_wait",
    "acquired", "held", "returned", "connects", "connect_errors", "lost", "leaked",
)  # fmt: skip


def counters(sample: PoolSample) -> list[float]:
    """Every value of a sample that must never fall."""
    histograms = [sample.acquire, sample.hold]
    assert all(isinstance(histogram, Histogram) for histogram in histograms)
    return [
        *(getattr(sample, name) for name in _COUNTERS),
        *sample.timeouts.values(),
        *(value for one in histograms if one for value in (*one.counts, one.total)),
    ]


def test_of_16000_checkouts_by_8_threads_none_is_lost_and_no_counter_ever_falls(pool: Pool) -> None:
    watched = Watched(pool)
    waited, held = [0.0] * 8, [0.0] * 8
    clock = time.monotonic

    def work(number: int) -> None:
        for _ in range(2000):
            asked = clock()
            connection = pool.getconn()
            got = clock()
            # The load, not a wait for a condition: long against what a thread that is switched out
            # between the caller's clock and ours makes of the difference.
            time.sleep(0.001)
            end = clock()
            pool.putconn(connection)
            waited[number] += got - asked
            held[number] += end - got

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    begin = clock()
    for thread in threads:
        thread.start()
    readings = []
    for thread in threads:
        while thread.is_alive():
            readings.append(counters(watched.sample()))
            thread.join(0.005)
    took = clock() - begin
    last = watched.sample()
    readings.append(counters(last))

    assert (last.acquired, last.returned, last.requests) == (16_000, 16_000, 16_000)
    assert last.acquire is not None
    assert last.hold is not None
    assert (last.acquire.count, last.hold.count) == (16_000, 16_000)
    assert last.held == pytest.approx(sum(held), rel=0.02)
    assert last.hold.total == last.held
    assert last.acquire_wait == pytest.approx(sum(waited), rel=0.02)
    assert last.active_seconds == pytest.approx(sum(held), rel=0.02)
    assert 0 < (last.saturated_seconds or 0) <= took
    assert (last.active, last.idle, last.waiting, last.leaked) == (0, 4, 0, 0)
    assert len(readings) > 10
    assert all(b >= a for old, new in pairwise(readings) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize(("out", "asking"), [(0, 0), (1, 0), (3, 0), (4, 0), (4, 1), (4, 3)])
def test_active_idle_and_waiting_are_those_that_are(pool: Pool, out: int, asking: int) -> None:
    watched = Watched(pool)
    connections = [pool.getconn() for _ in range(out)]
    threads = [threading.Thread(target=lambda: pool.putconn(pool.getconn())) for _ in range(asking)]
    for thread in threads:
        thread.start()
    wait_until(lambda: watched.sample().waiting == asking, "all of them wait")
    sample = watched.sample()
    assert (sample.active, sample.idle, sample.waiting) == (out, 4 - out, asking)
    assert (sample.max, sample.min, sample.queued) == (4, 4, asking)
    assert (sample.oldest_waiting is not None) == (asking > 0)
    assert (sample.oldest_active is not None) == (out > 0)
    assert (sample.oldest_idle is not None) == (out < 4)
    for connection in connections:
        pool.putconn(connection)
    for thread in threads:
        thread.join()
    after = watched.sample()
    assert (after.active, after.idle, after.waiting) == (0, 4, 0)


def test_an_asynchronous_pool_tells_the_same(postgres: Cluster) -> None:
    async def main() -> None:
        async with AsyncConnectionPool(postgres.dsn(), min_size=3, open=False) as pool:
            await pool.wait()
            watched = Watched(pool)
            used = 0.0

            async def work() -> None:
                nonlocal used
                for _ in range(200):
                    async with pool.connection():
                        got = time.monotonic()
                        await asyncio.sleep(0.0005)
                        used += time.monotonic() - got

            started = time.monotonic()
            await asyncio.gather(*(work() for _ in range(8)))
            last = watched.sample()
            assert (last.acquired, last.returned, last.idle, last.active) == (1600, 1600, 3, 0)
            assert last.held is not None
            # Eight tasks keep all three in use nearly all the time.
            assert used <= last.held <= 3 * (time.monotonic() - started)

            out = [await pool.getconn() for _ in range(3)]
            asking = [asyncio.create_task(pool.getconn()) for _ in range(2)]
            await asyncio.to_thread(
                wait_until, lambda: watched.sample().waiting == 2, "both of them wait"
            )
            sample = watched.sample()
            assert (sample.active, sample.idle, sample.waiting) == (3, 0, 2)
            for connection in out:
                await pool.putconn(connection)
            for task in asking:
                await pool.putconn(await task)
            assert watched.is_clean()

    asyncio.run(main())


def test_the_oldest_idle_connection_is_the_one_that_was_returned_first(pool: Pool) -> None:
    now = 1000.0
    watched = Watched(pool, clock=lambda: now)
    connections = [pool.getconn() for _ in range(4)]
    for connection in connections:
        now += 10
        pool.putconn(connection)
    now += 5
    assert watched.sample().oldest_idle == 35


def test_a_resized_pool_has_its_new_bounds(pool: Pool) -> None:
    watched = Watched(pool)
    pool.resize(5, 9)
    sample = watched.sample()
    assert (sample.min, sample.max) == (5, 9)


def test_a_pool_is_reported_where_its_sessions_lead(postgres: Cluster) -> None:
    dsn = postgres.dsn(application_name="naïve shop")
    with ConnectionPool(dsn, min_size=1, open=True) as before:
        before.wait()
        info = Watched(before).sample().info
    with ConnectionPool(dsn, min_size=1, open=False) as after:
        watched = Watched(after)
        after.open(wait=True)
        assert watched.sample().info == info
    assert info is not None
    assert (info.host, info.port) == ("127.0.0.1", str(postgres.port))
    assert (info.database, info.user) == ("postgres", "postgres")
    # As the server has it: older ones replace what isn't ASCII by question marks.
    assert info.application == r"na\xc3\xafve shop"
    assert (info.client, info.source) == ("psycopg_pool", "instrumented")
