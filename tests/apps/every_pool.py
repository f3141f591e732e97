"""Each of psycopg_pool's four pools, used in the same way.

    python every_pool.py DSN [DIRECTORY]

DIRECTORY holds another psycopg_pool than the installed one. Prints what is measured, as JSON.
"""

from __future__ import annotations

import sys

sys.path[:0] = sys.argv[2:]

# ruff: noqa: E402 - the directory comes before the installed packages

import asyncio
import gc
import json
import logging
from contextlib import suppress
from typing import Any

import psycopg_pool

from pg_pool_exporter.client import instrument, uninstrument
from pg_pool_exporter.client.process import PROCESS
from support.postgres import wait_until

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it warns of the dead session


async def _use(pool: Any, call: Any) -> dict[str, Any]:
    """`call` makes a method of the pool awaitable, whichever kind it is."""
    await call(pool.wait)
    kind = type(pool)
    instrument(pool, app="shop", name="main")

    def sample() -> Any:
        return PROCESS.samples()[0]

    first = await call(pool.getconn)
    active = [sample().active]
    second = await call(pool.getconn)
    active.append(sample().active)
    asking = asyncio.ensure_future(call(pool.getconn))
    await asyncio.to_thread(wait_until, lambda: sample().waiting == 1, "it waits")
    waiting = sample().waiting
    await call(pool.putconn, second)
    third = await asking
    with suppress(psycopg_pool.PoolTimeout):
        await call(pool.getconn, 0.05)
    # A session that is dead when it is returned; it is replaced in a pool that keeps sessions.
    await call(third.close)
    await call(pool.putconn, third)
    await call(pool.putconn, first)
    active.append(sample().active)
    first = await call(pool.getconn)
    await call(pool.putconn, first)
    dropped = await call(pool.getconn)
    del first, second, third, asking, dropped
    await asyncio.sleep(0)
    gc.collect()
    last = sample()
    told = {
        "max": last.max, "active": [*active[:2], last.active], "waiting": waiting,
        "acquired": last.acquired, "returned": last.returned, "leaked": last.leaked,
        "overdue": len(last.overdue), "timeouts": last.timeouts["pool"], "queued": last.queued,
        "lost": last.lost,
    }  # fmt: skip
    uninstrument(pool)
    told["plain again"] = type(pool) is kind
    return told


async def _directly(method: Any, *arguments: Any) -> Any:
    return await method(*arguments)


async def main() -> None:
    told: dict[str, Any] = {"version": psycopg_pool.__version__}
    size: dict[str, Any] = {"max_size": 2, "open": False, "timeout": 10}
    for kind in (psycopg_pool.ConnectionPool, psycopg_pool.NullConnectionPool):
        least = 0 if "Null" in kind.__name__ else 2
        with kind(sys.argv[1], min_size=least, **size) as pool:
            told[kind.__name__] = await _use(pool, asyncio.to_thread)
    for async_kind in (psycopg_pool.AsyncConnectionPool, psycopg_pool.AsyncNullConnectionPool):
        least = 0 if "Null" in async_kind.__name__ else 2
        async with async_kind(sys.argv[1], min_size=least, **size) as async_pool:
            told[async_kind.__name__] = await _use(async_pool, _directly)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
