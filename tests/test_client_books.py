"""Slots that are lost inside a pool library: it counts more connections than there are."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client.libraries.books import Lasting, Sessions
from support.client import Watched
from support.interruption import Interruptions
from support.pools import KINDS, SIZE, Kind
from support.postgres import Cluster, wait_until
from support.tracking import Clock, Connection

LIMITED = [kind for kind in KINDS if kind.limit is not None]


def lasting(watched: Watched, clock: Clock) -> float | None:
    """Unaccounted connections after the leak threshold, read every few seconds."""
    gc.collect()
    for _ in range(14):
        watched.sample()
        clock.now += 5
    return watched.sample().unaccounted


async def _lose(kind: Kind, pool: Any) -> None:
    """Check a connection out behind the back of everybody and forget it, as a fault does."""
    own = pool.own
    if kind.name.startswith("psycopg_pool-null"):
        own._nconns += 1
    elif kind.name.startswith("psycopg_pool"):
        close = own._pool.popleft().close()
        if close is not None:
            await close
    elif kind.name.startswith("psycopg2"):
        own._used["lost"] = own._pool.pop()
    elif kind.name == "asyncpg":
        await (await own._queue.get()).acquire()
    else:
        record = own.pool._pool.get(False)
        if not kind.is_async:
            record.close()


@pytest.mark.parametrize("kind", LIMITED, ids=repr)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:coroutine 'Transaction.rollback':RuntimeWarning")
def test_a_slot_lost_inside_the_library_is_shown_once_it_lasts(
    postgres: Cluster, kind: Kind
) -> None:
    async def main() -> None:
        pool, clock = kind.make(postgres.dsn()), Clock()
        watched = Watched(pool.own, leak_after=60, clock=clock)
        await pool.open()
        async with pool.block() as connection:
            await pool.ask(connection, "select 1")
        del connection
        assert lasting(watched, clock) == 0
        await _lose(kind, pool)
        gc.collect()
        watched.sample()
        clock.now += 5
        assert watched.sample().unaccounted == 0, "it may be between two states"
        assert lasting(watched, clock) == 1
        kept = await pool.check_out()
        sample = watched.sample()
        assert (sample.active, sample.unaccounted) == (1, 1)
        clock.now += 10
        assert watched.sample().saturated_seconds == (sample.saturated_seconds or 0) + 10
        await pool.check_in(kept)
        if kind.name == "asyncpg":
            pool.own.terminate()
        else:
            await pool.close()

    asyncio.run(main())
    gc.collect()  # the lost connection, so that no other test has its warnings


@pytest.mark.parametrize("kind", LIMITED, ids=repr)
def test_connections_checked_out_before_the_pool_is_instrumented_are_not_lost(
    postgres: Cluster, kind: Kind
) -> None:
    async def main() -> None:
        pool, clock = kind.make(postgres.dsn()), Clock()
        await pool.open()
        check_out = pool.check_out_when_free if kind.waits else pool.check_out
        out = [await check_out() for _ in range(SIZE)]
        watched = Watched(pool.own, leak_after=60, clock=clock)
        assert lasting(watched, clock) == 0
        while out:
            await pool.check_in(out.pop())
        assert lasting(watched, clock) == 0
        await pool.close()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    "functions", [{"putconn"}, {"_putconn", "_return_connection"}, {"_add_to_pool"}], ids=sorted
)
def test_connections_lost_by_interrupted_returns_are_all_shown(
    postgres: Cluster, functions: set[str]
) -> None:
    """A signal handler that raises can end psycopg_pool's `putconn` at any place."""
    with ConnectionPool(postgres.dsn(), min_size=8, open=True) as pool:
        pool.wait()
        clock = Clock()
        watched = Watched(pool, leak_after=60, clock=clock)
        interruptions = Interruptions(functions)
        for _ in range(100):
            if watched.sample().idle:
                _interrupt(interruptions, pool)
        assert len(interruptions.where) > 5, "it was interrupted in several places"
        unaccounted, sample = lasting(watched, clock), watched.sample()
        assert (sample.active or 0) + (unaccounted or 0) > 0
        shown = (sample.idle, sample.active, unaccounted)
        assert sum(filter(None, shown)) == pool.get_stats()["pool_size"] == 8, shown


def _interrupt(interruptions: Interruptions, pool: ConnectionPool[Any]) -> None:
    connection = pool.getconn(timeout=1)
    interruptions.attempt(pool.putconn, connection)


def test_connections_that_cannot_be_made_are_not_lost(postgres: Cluster) -> None:
    """A pool counts those that it tries to make, for as long as its `reconnect_timeout`."""
    attempts = 0

    def unreachable() -> str:
        nonlocal attempts
        attempts += 1
        return "host=127.0.0.1 port=1 connect_timeout=1"

    pool = ConnectionPool(unreachable, min_size=4, open=False, reconnect_timeout=300)
    clock = Clock()
    watched = Watched(pool, leak_after=60, clock=clock)
    assert lasting(watched, clock) == 0, "before it is opened"
    pool.open()
    try:
        wait_until(lambda: attempts >= 4, "all of them are tried")
        wait_until(lambda: lasting(watched, clock) == 0, "the next attempts are planned")
        assert lasting(watched, clock) == 0
    finally:
        pool.close()


class ByValue(psycopg.Connection[Any]):
    """An application's own class, equal to any other of its kind, so that it has no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByValue)


@pytest.mark.parametrize("instrumented", ["before", "after"])
def test_connections_that_are_equal_are_made_and_counted_each(
    postgres: Cluster, instrumented: str
) -> None:
    clock = Clock()
    pool = ConnectionPool(postgres.dsn(), connection_class=ByValue, min_size=3, open=False)
    if instrumented == "before":
        watched = Watched(pool, leak_after=60, clock=clock)
    with pool:
        pool.wait(timeout=10)
        if instrumented == "after":
            watched = Watched(pool, leak_after=60, clock=clock)
        assert lasting(watched, clock) == 0
        assert watched.sample().idle == 3


@pytest.mark.parametrize("kind", LIMITED, ids=repr)
def test_a_fault_in_counting_connections_keeps_no_pool_from_connecting(
    postgres: Cluster, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Sessions, connection: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        pool = kind.make(postgres.dsn())
        Watched(pool.own)
        monkeypatch.setattr(Sessions, "add", fail)
        await asyncio.wait_for(pool.open(), 10)
        async with pool.block() as connection:
            await pool.ask(connection, "select 1")
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([1], 0),
        ([1, 1, 1], 1),
        ([1, 0, 1], 0),
        ([3, 2, 4], 2),
        ([-1, 1, 1], 0),
        ([2, 2, 0, 2], 0),
    ],
)
def test_only_what_is_there_at_every_reading_lasts(readings: list[int], expected: int) -> None:
    one = Lasting()
    found = [one.read(count, 30.0 * number, 60.0) for number, count in enumerate(readings)]
    assert found[-1] == expected


def _unseen_come_back(sessions: Sessions, here: list[Connection]) -> None:
    sessions.find(here)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda sessions, here: None, 2),
        (_unseen_come_back, 2),
        (lambda sessions, here: sessions.add(here[0]), 3),
        (lambda sessions, here: (sessions.find(here), here.clear()), 0),
    ],
    ids=["unseen", "seen", "made", "gone"],
)
def test_connections_are_counted_by_what_stands_for_them(
    change: Callable[[Sessions, list[Connection]], object], expected: int
) -> None:
    sessions, here = Sessions(unseen=2), [Connection(), Connection()]
    change(sessions, here)
    gc.collect()
    assert len(sessions) == expected
