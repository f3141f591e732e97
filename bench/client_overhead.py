"""What instrumenting a pool costs the application: the same loop with and without it, in one run.

    python -m bench.client_overhead [--rounds 30]

Plain and instrumented passes alternate, and their medians are compared, so that a busy machine
slows both. With a server involved, one pass varies by far more than what is looked for: there one
pool, with one session, is plain and instrumented in turns, as no two sessions of a server are
equally fast, and each pass is timed by itself. Its median leaves out the passes that add a batch
of events up; they are in the mean, and so is all that disturbs the machine. A real PostgreSQL
serves the pools. The peer is psycopg_pool itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pg_pool_exporter.client import instrument, uninstrument
from support.postgres import EMBEDDED_16, Cluster

Pool = ConnectionPool[Any]
AsyncPool = AsyncConnectionPool[Any]

_PASSES = 50


def getconn(pool: Pool, count: int) -> None:
    for _ in range(count):
        pool.putconn(pool.getconn())


def connection(pool: Pool, count: int) -> None:
    for _ in range(count):
        with pool.connection():
            pass


def select_1(pool: Pool, count: int) -> None:
    for _ in range(count):
        with pool.connection() as conn:
            conn.execute("select 1")


async def async_getconn(pool: AsyncPool, count: int) -> None:
    for _ in range(count):
        await pool.putconn(await pool.getconn())


async def async_connection(pool: AsyncPool, count: int) -> None:
    for _ in range(count):
        async with pool.connection():
            pass


def compare(
    name: str, run: tuple[Callable[[int], None], Callable[[int], None]], count: int, rounds: int
) -> tuple[str, float, float]:
    """Median seconds of one pass through the loop, plain and instrumented."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for side in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            run[side](count)
            if number >= 2:
                times[side].append((time.perf_counter() - start) / count)
    return name, statistics.median(times[0]), statistics.median(times[1])


def compare_singly(
    name: str, loop: Callable[[Pool, int], None], pool: Pool, blocks: int
) -> list[tuple[str, float, float]]:
    """Seconds of a single pass, plain and instrumented in turns: the median, and the mean.

    The same pool and session serve both: which core the scheduler gives a session's backend makes
    more difference than what is measured here.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(blocks):
        if number % 2:
            instrument(pool, app="bench", name="in turns")
        for _ in range(_PASSES):
            start = time.perf_counter()
            loop(pool, 1)
            times[number % 2].append(time.perf_counter() - start)
        uninstrument(pool)
    return [
        (f"{name}: {what}", of(times[0]), of(times[1]))
        for what, of in (("median", statistics.median), ("mean", statistics.fmean))
    ]


def report(rows: list[tuple[str, float, float]]) -> None:
    print("| a checkout and its return | plain | instrumented | added | added / plain |")
    print("|---|---|---|---|---|")
    for name, plain, measured in rows:
        added = measured - plain
        print(
            f"| {name} | {plain * 1e6:.2f} µs | {measured * 1e6:.2f} µs "
            f"| {added * 1e6:.2f} µs | {added / plain:.1%} |"
        )


def run_sync(dsn: str, rounds: int) -> list[tuple[str, float, float]]:
    with (
        ConnectionPool(dsn, min_size=1, open=True) as plain,
        ConnectionPool(dsn, min_size=1, open=True) as measured,
    ):
        instrument(measured, app="bench", name="sync")
        plain.wait()
        measured.wait()

        def both(
            loop: Callable[[Pool, int], None],
        ) -> tuple[Callable[[int], None], Callable[[int], None]]:
            return (lambda count: loop(plain, count), lambda count: loop(measured, count))

        return [
            compare("`getconn`/`putconn`", both(getconn), 5000, rounds),
            compare("`with pool.connection()`", both(connection), 5000, rounds),
            *compare_singly("with a transaction and `SELECT 1`", select_1, plain, rounds * 100),
        ]


def run_async(dsn: str, rounds: int) -> list[tuple[str, float, float]]:
    async def main() -> list[tuple[str, float, float]]:
        async with (
            AsyncConnectionPool(dsn, min_size=1, open=False) as plain,
            AsyncConnectionPool(dsn, min_size=1, open=False) as measured,
        ):
            instrument(measured, app="bench", name="async")
            await plain.wait()
            await measured.wait()
            rows = []
            loops: list[tuple[str, Callable[[AsyncPool, int], Awaitable[None]]]] = [
                ("async `getconn`/`putconn`", async_getconn),
                ("`async with pool.connection()`", async_connection),
            ]
            for name, loop in loops:
                times: tuple[list[float], list[float]] = ([], [])
                for number in range(rounds):
                    sides = [(plain, times[0]), (measured, times[1])]
                    for pool, into in sides if number % 2 else reversed(sides):
                        start = time.perf_counter()
                        await loop(pool, 3000)
                        into.append((time.perf_counter() - start) / 3000)
                rows.append((name, statistics.median(times[0]), statistics.median(times[1])))
            return rows

    return asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, Cluster(EMBEDDED_16) as cluster:
        os.environ["PG_POOL_EXPORTER_SOCKET_DIR"] = directory
        report(run_sync(cluster.dsn(), rounds) + run_async(cluster.dsn(), rounds))


if __name__ == "__main__":
    main()
