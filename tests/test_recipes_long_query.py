"""The Python recipes of docs/how-to as they stand there, with one long query: no leak.

All durations are a sixtieth: a leak threshold of a second, and a query of three.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pg_pool_exporter.sockets import ENVIRONMENT
from support.daemons import Scraper, exporting
from support.examples import environment_of, example
from support.postgres import Cluster

pytestmark = pytest.mark.slow

_LEAK_AFTER = 1.0
_LONG_QUERY = "select 1 from pg_sleep(3)"
_CONFIG = """
servers: [{{name: main, dsn: "{dsn}", interval: 200ms, timeout: 200ms}}]
processes: {{interval: 200ms}}
"""


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("flask", "postgresql+psycopg"),
        ("fastapi", "postgresql+asyncpg"),
        ("django", "postgresql"),
        ("gunicorn", "postgresql"),
        ("any", "postgresql"),
        ("celery", "postgresql+psycopg"),
    ],
)
def test_a_long_query_is_no_leak(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    cluster.run("CREATE ROLE shop LOGIN")
    cluster.run("CREATE DATABASE shop OWNER shop")
    (tmp_path / "queue").mkdir()
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "sockets"))
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG.format(dsn=cluster.dsn()))
    shop = cluster.dsn(user="shop", dbname="shop")
    environment = {
        **environment_of(cluster, shop, scheme, tmp_path),
        "PG_POOL_EXPORTER_LEAK_AFTER": f"{_LEAK_AFTER:g}s",
    }

    async def main() -> None:
        async with exporting(config) as exporter:
            with example(name, tmp_path, environment, query=_LONG_QUERY) as running:

                async def is_answered() -> bool:
                    return await asyncio.to_thread(running.get) == "1"

                if name == "celery":
                    await asyncio.to_thread(_send, tmp_path, environment)
                    seen = await _watch(exporter)
                else:
                    seen, _ = await asyncio.gather(
                        _watch(exporter), exporter.until(is_answered, 30)
                    )
        found = [finding for one in seen for finding in one["findings"]]
        # On a busy machine a process or the server may answer too late.
        late = ("postgresql_unreachable", "target_unreachable")
        assert [one for one in found if one["cause"] not in late] == []

    asyncio.run(main())


def _send(directory: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-c", "import tasks; tasks.count.delay()"],
        cwd=directory, env={**environment, "PATH": ""}, check=True,
    )  # fmt: skip


async def _watch(exporter: Scraper) -> list[Any]:
    """What the exporter says until a checkout was overdue, and has come back."""
    seen: list[Any] = []

    async def has_come_back() -> bool:
        _, body = await exporter.get("/api/v1/findings")
        seen.append(json.loads(body))
        overdue = [sum(pool["overdue"] or 0 for pool in one["pools"]) for one in seen]
        return max(overdue) == 1 and not overdue[-1]

    await exporter.until(has_come_back, 30)
    return seen
