"""The daemon in this process, and a client that scrapes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from pg_pool_exporter.commands.daemon import Daemon, Settings
from pg_pool_exporter.config import Config, load
from pg_pool_exporter.web.server import parse_address


class Scraper:
    """A client of a running daemon."""

    def __init__(self, daemon: Daemon, session: aiohttp.ClientSession) -> None:
        self.daemon = daemon
        self._session = session

    async def get(self, path: str = "/metrics") -> tuple[int, str]:
        url = f"http://{self.daemon.server.bound[0]}{path}"
        async with self._session.get(url) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str) -> int:
        url = f"http://{self.daemon.server.bound[0]}{path}"
        async with self._session.post(url) as answer:
            return answer.status

    async def value(self, metric: str, target: str = "") -> float | None:
        """The value of the only series of `metric` (for one target); None when there is none."""
        _, text = await self.get()
        found = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"{metric}{{", f"{metric} ")) and target in line
        ]
        return found[0] if len(found) == 1 else None

    async def until(self, condition: Callable[[], Awaitable[bool]], deadline: float = 5.0) -> float:
        """Wait until `condition` holds; the time that it took."""
        started = time.monotonic()
        while not await condition():
            assert time.monotonic() - started < deadline
            await asyncio.sleep(0.01)
        return time.monotonic() - started


@asynccontextmanager
async def exporting(
    path: Path,
    read: Callable[[], Config] | None = None,
    web_config_file: Path | None = None,
) -> AsyncIterator[Scraper]:
    """A daemon with the configuration at `path`, or what `read` gives."""
    daemon = Daemon(
        Settings(
            load=read or (lambda: load(path)),
            listen=(parse_address("127.0.0.1:0"),),
            web_config_file=web_config_file,
            enable_lifecycle=True,
        )
    )
    task = asyncio.create_task(daemon.run())
    async with aiohttp.ClientSession() as session:
        scraper = Scraper(daemon, session)

        async def started() -> bool:
            return bool(daemon.server.bound) or task.done()

        await scraper.until(started)
        try:
            yield scraper
        finally:
            daemon.stop()
            async with asyncio.timeout(2):
                await task
