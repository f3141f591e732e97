"""The advised sizes with a real pool: psycopg_pool before a PostgreSQL, in time that runs faster.

The client's clock is so fast that an hour lasts 40 s; a checkout of 2.4 s is one of 30 ms with
`pg_sleep`. Which share of the requests waited is counted by psycopg_pool itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from time import monotonic
from unittest.mock import patch

from psycopg_pool import AsyncConnectionPool

from pg_pool_exporter.analysis.advice.sizes import Sizes, sizes
from pg_pool_exporter.analysis.history.demand import DemandLog, ProcessDemand
from pg_pool_exporter.client.options import PoolOptions
from pg_pool_exporter.client.registry import Registry
from pg_pool_exporter.client.tracker import Tracker
from support.queueing import Outcome, Workload, about, bursts, heavy, poisson

_FASTER = 80.0
_AT_ONCE = 4
_WAIT = 2.0
"""The chosen wait; 25 ms, longer than a task may have to wait for CPU time."""
_READ_SECONDS = 0.5
_PAUSE = 4.0
"""50 ms: the machine stands still for longer."""
SECONDS = 40.0
POINTS = 0.02
"""How far a promised share may be missed."""

WORKLOADS = (
    Workload("Poisson", poisson(1.25), about(2.4), 5),
    Workload("bursts", bursts(1.25, 4), about(2.4), 6),
    Workload("heavy-tailed holds", poisson(1.25), heavy(2.4), 5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one workload met with, as measured and at the advised sizes."""

    work: Workload
    first: Outcome
    needed: Sizes
    at_99: Outcome
    at_999: Outcome
    one_less: Outcome
    for_wait: Outcome

    @property
    def is_kept(self) -> bool:
        """Whether each promise holds."""
        return (
            self.at_99.saturated <= 0.01 + POINTS
            and self.at_999.saturated <= 0.001 + POINTS
            and self.for_wait.late <= 0.01 + POINTS
        )


async def rows(dsn: str, works: Sequence[Workload], seconds: float) -> list[Row]:
    """Measure all workloads at once, then each of them at the sizes that are advised for it."""
    # As many pools at once as below: a machine with less to do would return connections sooner.
    at_once = islice(cycle(works), max(_AT_ONCE, len(works)))
    firsts = await asyncio.gather(*(run(dsn, work, work.size, 1, seconds) for work in at_once))
    made = []
    for work, first in zip(works, firsts, strict=False):
        needed = sizes(first.day.busiest, _WAIT)
        assert needed is not None, f"{work.name}: measured for less than ten minutes"
        assert needed.for_wait is not None, (
            f"{work.name}: with {work.size} saturated for {first.saturated:.0%} of the time, which "
            "hides its demand: is the machine too busy?"
        )
        nearly, most = needed.for_shares
        at_99, at_999, one_less, for_wait = await asyncio.gather(
            *(
                run(dsn, work, size, 2, seconds)
                for size in (nearly, most, most - 1, needed.for_wait)
            )
        )
        made.append(
            Row(
                work=work, first=first, needed=needed, at_99=at_99, at_999=at_999,
                one_less=one_less, for_wait=for_wait,
            )
        )  # fmt: skip
    return made


async def run(dsn: str, work: Workload, size: int, seed: int, seconds: float) -> Outcome:
    """The workload for some seconds with a real pool of this size."""
    registry, process, log = Registry(), ProcessDemand(), DemandLog(_clock())
    with patch.dict(Tracker.__init__.__kwdefaults__, clock=_clock):
        async with _pool(dsn, size) as pool:
            registry.add(pool, PoolOptions())
            waits: list[float] = []
            requests = asyncio.create_task(_requests(pool, work, Random(seed), seconds, waits))
            while not requests.done():
                await asyncio.sleep(_READ_SECONDS)
                now = _clock()
                (sample,) = registry.samples("web:0")
                if (taken := process.take(now, sample, 600.0)) is not None:
                    log.add(now, taken)
            await requests
            stats = pool.get_stats()
    day = log.day(_clock())
    return Outcome(
        day,
        day.busiest.saturated_seconds / day.busiest.seconds,
        stats.get("requests_queued", 0) / stats["requests_num"],
        sum(wait > _WAIT for wait in waits) / len(waits),
    )


def _clock() -> float:
    return monotonic() * _FASTER


@asynccontextmanager
async def _pool(dsn: str, size: int) -> AsyncIterator[AsyncConnectionPool]:
    kwargs = {"autocommit": True}
    async with AsyncConnectionPool(
        dsn, min_size=size, max_size=size, timeout=120, open=False, kwargs=kwargs
    ) as pool:
        await pool.wait()
        yield pool


async def _requests(
    pool: AsyncConnectionPool, work: Workload, random: Random, seconds: float, waits: list[float]
) -> None:
    async def request(held: float) -> None:
        asked = _clock()
        async with pool.connection() as connection:
            waits.append(_clock() - asked)
            await connection.execute("SELECT pg_sleep(%s)", [held / _FASTER])

    begun = _clock()
    async with asyncio.TaskGroup() as group:
        for at in work.arrivals(random, seconds * _FASTER):
            ahead = begun + at - _clock()
            if ahead < -_PAUSE:  # the machine stood still: what it missed would be a burst
                begun -= ahead
            await asyncio.sleep(max(0.0, ahead) / _FASTER)
            group.create_task(request(work.hold(random)))
