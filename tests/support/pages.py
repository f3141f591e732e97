"""Servers of pages, good and hostile, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, DEMAND_BOUNDS, HOLD_BOUNDS
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import Table
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.socket_source import AppOwners, SocketSource
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource

MIB = 1024 * 1024


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.sent = 0
        self.done = asyncio.Event()

    async def request(self) -> bytes:
        """The head of the request."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def body(self, length: int) -> bytes:
        """The body of the request, which has this length."""
        return await self._reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        """Send, and wait until the other side takes it."""
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def ignore(self) -> None:
        """Take whatever comes, until the other side closes the connection."""
        while await self._reader.read(1024):
            pass

    def reset(self) -> None:
        """Break the connection off (RST on TCP)."""
        own: socket.socket = self.writer.get_extra_info("socket")
        if own.family != socket.AF_UNIX:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Answer = Callable[[Peer], Awaitable[None]]
"""What a server does with one connection."""


@dataclass
class Served:
    """A running server, and all connections that it had."""

    peers: list[Peer]
    socket: Path | None = None
    url: str = ""

    def source(
        self, table: Table = NATIVE, defaults: TargetDefaults = NO_DEFAULTS
    ) -> ExpositionTextSource | SocketSource:
        """A source that reads from this server."""
        if self.socket is None:
            return ExpositionTextSource(self.url, table, defaults)
        file = SocketFile.at(self.socket)
        assert file is not None
        return SocketSource(file, AppOwners())

    @property
    def sent(self) -> int:
        """Bytes that the other side has taken, on all connections."""
        return sum(peer.sent for peer in self.peers)


@asynccontextmanager
async def serving(
    answer: Answer, path: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Served]:
    """Serve at the unix socket `path`, or at a free port of the loopback."""
    peers: list[Peer] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peers.append(peer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await answer(peer)
        peer.done.set()
        writer.close()

    served = Served(peers, path)
    if path is None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if tls else "http"
        served.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    else:
        server = await asyncio.start_unix_server(connected, path)
    try:
        yield served
    finally:
        server.close()
        for peer in peers:
            # CPython 3.11 fails here when the connection has ended between close() and abort().
            with suppress(AttributeError):
                peer.writer.transport.abort()


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    """A well-formed answer."""

    async def send(peer: Peer) -> None:
        await peer.request()
        await peer.send(head(*headers, f"Content-Length: {len(body)}", status=status) + body)

    return send


def raw(data: bytes) -> Answer:
    """These bytes as they are, then the end of the connection."""

    async def send(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)

    return send


async def nothing(peer: Peer) -> None:
    """Take the request and stay silent."""
    await peer.ignore()


async def hang_up(peer: Peer) -> None:
    """Break off instead of an answer."""
    await peer.request()
    peer.reset()


async def provisional(peer: Peer) -> None:
    """Promise an answer again and again."""
    await peer.request()
    while not peer.writer.is_closing():
        await peer.send(head(status="100 Continue") * 10)
        await asyncio.sleep(0.001)


async def drip(peer: Peer) -> None:
    """A page that never ends, a few bytes at a time."""
    await peer.request()
    await peer.send(head("Content-Type: text/plain", "Content-Length: 100000"))
    while not peer.writer.is_closing():
        await peer.send(b"# slow\n")
        await asyncio.sleep(0.01)


def body_of(size: int | None, *headers: str, line: bytes = b"# filler\n") -> Answer:
    """A body of `size` bytes, made while it is sent; None is one without an end."""

    async def send(peer: Peer) -> None:
        await peer.request()
        await peer.send(head("Content-Type: text/plain", *headers))
        chunk = line * (64 * 1024 // len(line))
        sent = 0
        while (size is None or sent < size) and not peer.writer.is_closing():
            await peer.send(chunk)
            sent += len(chunk)

    return send


async def half_page(peer: Peer) -> None:
    """The connection breaks in the middle of a page."""
    await peer.request()
    body = good_page()
    await peer.send(head("Content-Type: text/plain", f"Content-Length: {len(body)}"))
    await peer.send(body[: len(body) // 2])
    peer.reset()


def gzip_bomb(size: int = 100 * MIB) -> bytes:
    """`size` bytes that pack into next to nothing."""
    return gzip.compress(b"# " + bytes(size), compresslevel=9)


def pool(app: str = "orders", name: str = "main", process: str = "web:0") -> PoolSample:
    """A pool as an instrumented process reports it."""
    return PoolSample(
        key=PoolId(app, name, process),
        idle=3,
        active=2,
        max=5,
        requests=17,
        timeouts={"pool": 1, "connect": 0},
        leaked_slots={"/srv/app.py:12 view": 1},
        reclaimed={"/srv/app.py:15 export": 3},
        instances={"/srv/db.py:5 engine": 1},
        acquire=Histogram((4, *[0] * len(ACQUIRE_BOUNDS)), 0.001),
        hold=Histogram((*[0] * len(HOLD_BOUNDS), 2), 1300.5),
        demand=Histogram((*[0] * len(DEMAND_BOUNDS), 2), 500.5),
        info=PoolInfo(client="psycopg_pool", pid="17"),
    )


def page_of(*pools: PoolSample) -> bytes:
    """The page that an instrumented process with these pools serves."""
    return page([blocks(of_pools(pools))]).encode()


def good_page() -> bytes:
    """The page of a process with one pool."""
    return page_of(pool())


good = answer(good_page(), "Content-Type: text/plain; version=0.0.4; charset=utf-8")
