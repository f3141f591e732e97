"""An application that knows nothing of us: it makes a pool of each library and uses it once.

    python makes_every_pool.py DSN URL

Prints who was measured, as JSON; a child of its own prints the same.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

_LATER = {"psycopg_pool", "pg_pool_exporter.client.process", "sqlalchemy"}
BEFORE = sorted(_LATER & set(sys.modules))

# ruff: noqa: E402 - what is there before the libraries are imported

import asyncpg
import psycopg2.pool
import psycopg_pool
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

DSN, URL = sys.argv[1:3]


def measured() -> Any:
    client = sys.modules.get("pg_pool_exporter.client.process")
    if client is None:
        return None
    return {
        sample.key.pool: [sample.key.app, sample.acquired] for sample in client.PROCESS.samples()
    }


async def main() -> Any:
    other = create_engine("sqlite://")
    other.connect().close()
    other.dispose()
    engine = create_engine(f"postgresql+psycopg{URL}", pool_logging_name="engine", echo=False)
    engine.dispose()
    with engine.execution_options(logging_token="x").connect():
        pass
    async_engine = create_async_engine(f"postgresql+asyncpg{URL}", pool_logging_name="async engine")
    async with async_engine.connect():
        pass
    threaded = psycopg2.pool.ThreadedConnectionPool(1, 1, DSN)
    threaded.putconn(threaded.getconn())
    with psycopg_pool.ConnectionPool(DSN, name="sync", min_size=1, open=False) as pool:
        pool.putconn(pool.getconn())
        async with (
            psycopg_pool.AsyncConnectionPool(DSN, name="async", min_size=1, open=False) as waiting,
            asyncpg.create_pool(f"postgresql{URL}", min_size=1) as holders,
        ):
            async with waiting.connection():
                pass
            async with holders.acquire():
                pass
            reported = measured()
    await async_engine.dispose()
    engine.dispose()
    threaded.closeall()
    return reported


if __name__ == "__main__":
    reported = {"before": BEFORE, "measured": asyncio.run(main())}
    if "child" not in sys.argv:
        child = subprocess.run(
            [sys.executable, *sys.argv, "child"], check=True, capture_output=True
        )
        reported["child"] = json.loads(child.stdout)
    json.dump(reported, sys.stdout)
