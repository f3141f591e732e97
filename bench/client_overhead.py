"""What instrumenting a pool costs the application: the same loop with and without it, in one run.

    python -m bench.client_overhead [--rounds 30] [--only asyncpg]

Plain and instrumented passes alternate, and their medians are compared. What counts there is the
processor's time of the thread: other programs on the machine lengthen it only. With a server
involved, one pass varies by far more than what is looked for: there one
pool, with one session, is plain and instrumented in turns, as no two sessions of a server are
equally fast, and each pass is timed by itself. Its median leaves out the passes that add a batch
of events up; they are in the mean, and so is all that disturbs the machine. A real PostgreSQL
serves the pools. The peer is each library itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.pools import SUBJECTS, Subject
from pg_pool_exporter.client import instrument, uninstrument
from support.postgres import EMBEDDED_16, Cluster

Row = tuple[str, float, float]
Pass = Callable[[Any], Awaitable[None]]

_PASSES = 50
_PASS_SECONDS = 0.05


async def compare(
    name: str, loop: Callable[[Any, int], Awaitable[None]], pools: Sequence[Any], rounds: int
) -> Row:
    """Median seconds of a checkout with its return, by a plain and by an instrumented pool."""
    await loop(pools[0], 100)
    begin = time.perf_counter()
    await loop(pools[0], 100)
    count = int(100 * _PASS_SECONDS / (time.perf_counter() - begin)) or 1
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for side in (0, 1) if number % 2 else (1, 0):
            start = time.thread_time()
            await loop(pools[side], count)
            if number >= 2:
                times[side].append((time.thread_time() - start) / count)
    return name, statistics.median(times[0]), statistics.median(times[1])


async def compare_singly(name: str, run: Pass, pool: Any, blocks: int) -> list[Row]:
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
            await run(pool)
            times[number % 2].append(time.perf_counter() - start)
        uninstrument(pool)
    return [
        (f"{name}, with a transaction and `SELECT 1`: {what}", of(times[0]), of(times[1]))
        for what, of in (("median", statistics.median), ("mean", statistics.fmean))
    ]


async def measure(subject: Subject, dsn: str, rounds: int) -> list[Row]:
    """The rows of one library."""
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(subject.pool(dsn)) for _ in range(2)]
        rows = await compare_singly(subject.name, subject.select_1, pools[0], rounds * 20)
        instrument(pools[1], app="bench", name=subject.name)
        return [await compare(subject.name, subject.check_out, pools, rounds), *rows]


def report(rows: list[Row]) -> None:
    print("| a checkout and its return | plain | instrumented | added | added / plain |")
    print("|---|---|---|---|---|")
    for name, plain, measured in rows:
        added = measured - plain
        print(
            f"| {name} | {plain * 1e6:.2f} µs | {measured * 1e6:.2f} µs "
            f"| {added * 1e6:.2f} µs | {added / plain:.1%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="libraries whose name contains this")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory, Cluster(EMBEDDED_16) as cluster:
        os.environ["PG_POOL_EXPORTER_SOCKET_DIR"] = directory
        for subject in SUBJECTS:
            if options.only in subject.name:
                rows += asyncio.run(measure(subject, cluster.dsn(), options.rounds))
    report(rows)


if __name__ == "__main__":
    main()
