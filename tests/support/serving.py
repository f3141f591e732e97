"""A web server of the exporter's on the loopback, and clients for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.exposition.self_metrics import ReloadStatus
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.config import WebConfigFile
from pg_pool_exporter.web.connections import Limits
from pg_pool_exporter.web.handlers import Web
from pg_pool_exporter.web.server import WebServer, parse_address


@dataclass
class Served:
    """What the server serves, and where."""

    store: Store
    analyzer: Analyzer
    exposition: Exposition
    port: int = 0
    addresses: list[str] = field(default_factory=list)

    async def raw(self, request: bytes) -> bytes:
        """Everything that the server answers to some bytes, until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def serving(
    *listen: str,
    telemetry_path: str = "/metrics",
    unpolled: Callable[[], list[str]] = list,
    reload: Callable[[], Awaitable[bool]] | None = None,
    config: WebConfigFile | None = None,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Served]:
    """Serve an empty store on `listen`, or on a free port of the loopback.

    `clock` is the one that the states' times are on.
    """
    store = Store()
    analyzer = Analyzer(store, clock=clock)
    served = Served(store, analyzer, Exposition(store, analyzer, ReloadStatus(True, 1.7e9)))
    site = Web(
        store,
        served.exposition,
        analyzer,
        telemetry_path=telemetry_path,
        unpolled=unpolled,
        reload=reload,
    )
    addresses = map(parse_address, listen or ["127.0.0.1:0"])
    server = WebServer(site.routes(), addresses, config, limits)
    await server.start()
    try:
        served.port = server.bound[0].port
        served.addresses = [str(address) for address in server.bound]
        yield served
    finally:
        await server.close()


@asynccontextmanager
async def client(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that shows bodies as they were sent."""
    base = f"http://127.0.0.1:{served.port}"
    async with aiohttp.ClientSession(base, auto_decompress=False) as session:
        yield session
