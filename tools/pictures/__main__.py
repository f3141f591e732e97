"""Makes all pictures again, of what really runs; some five minutes.

PYTHONPATH=tests python -m tools.pictures

Needs Debian's packages prometheus, pgbouncer and chromium.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from dashboards.preview.serve import CELL, HEADER, WIDTH, Preview, first_screen, serving
from support.browser import browsing
from support.postgres import EMBEDDED_16, Cluster
from support.stand import demonstration, edges, watched
from tools.pictures import cards, record
from tools.pictures.camera import Camera
from tools.pictures.incident import APP, Incident, incident

_DRAWN = "document.title === 'done'"
_STORY_ROWS = 19
_SCALE = 0.8
"""Of a dashboard's first screen: small enough for a repository, and its text can be read."""
# Else each server has an alert about this setting.
_GUARDED = {"idle_in_transaction_session_timeout": "60s"}
_TROUBLE_SECONDS = 150
"""Until the demonstration has shown all that it has."""


async def _dashboards(camera: Camera, directory: Path, cluster: Cluster) -> None:
    """Of the demonstration in trouble, and the exporter's page of the same."""
    with ExitStack() as stack:
        demo = stack.enter_context(demonstration(directory, "trouble"))
        addresses = [demo, stack.enter_context(edges(directory, cluster))]
        prometheus = stack.enter_context(watched(directory, addresses))
        await asyncio.sleep(_TROUBLE_SECONDS)
        await camera.take("page.png", f"http://{demo}/?refresh=off", 1040, 860)
        preview = stack.enter_context(serving(prometheus.url))
        for name in record.DASHBOARDS:
            address = preview.address(name, _TROUBLE_SECONDS)
            height = first_screen(name)
            await camera.take(f"{name}.png", address, WIDTH, height, until=_DRAWN, scale=_SCALE)


async def _story(camera: Camera, directory: Path, cluster: Cluster) -> None:
    """Use rises, the line is named, an alert fires, the code is fixed, the pool recovers."""
    with incident(directory, cluster) as now, serving(now.prometheus.url) as preview:
        use = f'pg_pool_connections{{app="{APP}", state="active"}}'
        now.wait_for(f"{use} >= 6", "most of the pool is in use")
        await _pool(camera, "leak-1-rises.png", preview, now.started)
        await camera.take("leak-2-line.png", now.page, 960, 900, of=".finding")
        now.wait_for(f'ALERTS{{alertname="PgPoolSaturated", app="{APP}", alertstate="firing"}}',
                     "the pool is saturated")  # fmt: skip
        await _pool(camera, "pool-leaks.png", preview, now.started)
        await _alert(camera, now)
        await camera.take_text("leak-4-fix.png", cards.fix())
        now.fix()
        now.wait_for(f"{use} < 5", "the pool has recovered")
        await asyncio.sleep(20)
        await _pool(camera, "leak-5-recovered.png", preview, now.started)


async def _pool(camera: Camera, name: str, preview: Preview, started: float) -> None:
    address = preview.address("pool", int(time.monotonic() - started), app=APP)
    await camera.take(name, address, WIDTH, HEADER + CELL * _STORY_ROWS, until=_DRAWN)


async def _alert(camera: Camera, now: Incident) -> None:
    found = now.alert(record.ALERT)
    page = cards.alert(record.ALERT, found["labels"]["severity"], found["annotations"])
    await camera.take_text("leak-3-alert.png", page)


async def _all(directory: Path) -> None:
    async with browsing() as browser:
        camera = Camera(browser, record.IMAGES)
        for make in (_story, _dashboards):
            with Cluster(EMBEDDED_16, settings=_GUARDED) as cluster:
                await make(camera, directory, cluster)


def main() -> None:
    """All pictures, and the record of what they show."""
    directory = Path(tempfile.mkdtemp(prefix="pictures-"))
    directory.chmod(0o755)  # PostgreSQL's account may enter
    try:
        asyncio.run(_all(directory))
    finally:
        shutil.rmtree(directory)
    record.write()


if __name__ == "__main__":
    main()
