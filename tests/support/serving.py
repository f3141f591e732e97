"""A web server of the exporter's on the loopback, and clients for it."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import aiohttp

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.config import Config
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.model import Health, Kind, PoolId, PoolSample, Snapshot, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
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
    analyzer = Analyzer(store, Config(), clock=clock)
    served = Served(store, analyzer, Exposition(store, analyzer))
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


@contextmanager
def serving_in_thread() -> Iterator[int]:
    """Serve an empty store in a loop and a thread of its own; yields the port."""
    ports: list[int] = []
    started, ended = Event(), Event()

    async def serve() -> None:
        async with serving() as served:
            ports.append(served.port)
            started.set()
            while not ended.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.05)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        ended.set()
        thread.join()


def exchange(port: int, sent: bytes, timeout: float) -> bytes:
    """Everything that is answered to `sent` and the end of sending; a cut connection is an answer,
    too. Raises `TimeoutError` after `timeout` seconds without any byte.
    """
    parts = []
    with (
        socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(sent)
        with suppress(OSError):  # it is cut already
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def state(
    kind: Kind, name: str, found: Snapshot | None = None, app: str = "", **health: object
) -> TargetState:
    return TargetState(
        key=TargetId(kind, name, app),
        interval=5.0,
        health=Health(**health),  # type: ignore[arg-type] # its own fields
        snapshot=found,
        taken=time.monotonic(),
    )


def large() -> Snapshot:
    """Some megabytes of page: more than sockets buffer."""
    return Snapshot(
        pools=tuple(
            PoolSample(key=PoolId("orders", "main", f"web:{number}" + "x" * 150), active=1)
            for number in range(40_000)
        )
    )


def with_client(
    test: Callable[[Served, aiohttp.ClientSession], Awaitable[None]], **options: object
) -> None:
    async def main() -> None:
        async with serving(**options) as served, client(served) as session:  # type: ignore[arg-type] # its own options
            await test(served, session)

    asyncio.run(main())


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
