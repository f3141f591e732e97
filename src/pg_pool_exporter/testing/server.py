"""A PostgreSQL server that can be broken: a proxy before a real one, on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from pg_pool_exporter.testing import protocol

_T = TypeVar("_T")

_HOST = "127.0.0.1"
_CHUNK = 65_536
_PATIENCE_SECONDS = 10.0


class BreakableServer:
    """A proxy before the PostgreSQL at `host` and `port`, which breaks on demand.

        with BreakableServer(port=5432) as server:
            pool = ConnectionPool(f"host={server.host} port={server.port} dbname=shop")
            with server.hangs():
                ...

    `host` may also be the directory of a unix socket. Connections to the proxy have no TLS. It runs
    in a thread of its own, so it serves synchronous and asynchronous applications.
    """

    host = _HOST

    def __init__(self, host: str = _HOST, port: int = 5432) -> None:
        self._upstream = host, port
        self.port = 0
        """Where it listens, once it is started."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None
        self._sessions: set[_Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._refusals: list[str] = []
        self._flowing = asyncio.Event()
        self._delay_seconds = 0.0
        self._is_full = False
        self._settings: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing.set()
        self._call(self._listen(_bound(0)))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()

    @contextmanager
    def hangs(self) -> Iterator[None]:
        """Nothing passes in the block: connections stay open, new ones are accepted, no answer
        comes."""
        with self._for_now(self._flowing.clear, self._flowing.set):
            yield

    @contextmanager
    def refuses(self) -> Iterator[None]:
        """No new connection is accepted in the block; existing ones go on."""
        self._call(self._stop_listening())
        # Its port stays taken.
        reserved = _bound(self.port)
        try:
            yield
        finally:
            self._call(self._listen(reserved))

    @contextmanager
    def is_full(self) -> Iterator[None]:
        """New connections get the error in the block that there are too many clients (53300)."""
        with self._for_now(lambda: self._fill(True), lambda: self._fill(False)):
            yield

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Messages of clients reach the server that much later, in the block."""
        with self._for_now(lambda: self._delay(seconds), lambda: self._delay(0.0)):
            yield

    @contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        """Set parameters of every session in the block, such as `lock_timeout="100ms"`.

        Each session is given them before its next statement outside a transaction, and its defaults
        after the block: what the application had set itself is lost. Raises `ValueError` for a name
        that no parameter can have, and at the end of the block for what the server has refused.
        """
        protocol.set_statement(dict(values))
        with self._for_now(
            lambda: self._settings.update(values),
            lambda: self._settings.update(dict.fromkeys(values)),
        ):
            self._refusals.clear()
            yield
        if self._refusals:
            raise ValueError(f"the server refused the settings: {self._refusals[0]}")

    def cut(self) -> None:
        """End every connection at once, as a crash of the server or the network does."""
        self._call(self._cut())

    @contextmanager
    def _for_now(self, begin: Callable[[], object], end: Callable[[], object]) -> Iterator[None]:
        self._call(_calling(begin))
        try:
            yield
        finally:
            self._call(_calling(end))

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run in the proxy's thread."""
        done = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return done.result(_PATIENCE_SECONDS)

    def _fill(self, full: bool) -> None:
        self._is_full = full

    def _delay(self, seconds: float) -> None:
        self._delay_seconds = seconds

    async def _listen(self, reserved: socket.socket) -> None:
        self._listener = await asyncio.start_server(self._accepted, sock=reserved)
        self.port = reserved.getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()

    async def _close(self) -> None:
        await self._stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for session in list(self._sessions):
            session.reset()
        for writer in list(self._clients):  # those that are not logged in yet, too
            reset(writer)

    def refused(self, message: str) -> None:
        """Note that the server has refused a setting."""
        self._refusals.append(message)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        try:
            # Any error ends this connection, as its client sees; and asyncio reports a cancelled
            # task of its server as a fault.
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        packet = await protocol.startup_packet(reader, writer)
        if packet is None:
            return
        await self._flowing.wait()
        if self._is_full:
            writer.write(protocol.too_many_clients())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        session = _Session(self, (reader, writer), await self._connect())
        self._sessions.add(session)
        try:
            await session.run(packet)
        finally:
            self._sessions.discard(session)
            session.upstream_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._upstream
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def pass_on(self) -> None:
        """Wait as long as messages of clients are delayed now."""
        await self._flowing.wait()
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
            await self._flowing.wait()

    async def flow(self) -> None:
        """Wait until something may pass."""
        await self._flowing.wait()

    @property
    def wanted(self) -> dict[str, str | None]:
        """The parameters for every session; None for one to reset."""
        return self._settings


class _Session:
    """One connection of a client, with its own to the server behind."""

    def __init__(
        self,
        server: BreakableServer,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._server = server
        self._reader, self._writer = client
        self._upstream_reader, self.upstream_writer = upstream
        self._is_ready = False  # the server waits for a statement, outside a transaction
        self._swallowed: asyncio.Event | None = None  # set at the end of the answer to our own
        self._settings: dict[str, str | None] = {}

    async def run(self, packet: bytes) -> None:
        """Pass on in both directions until one end is closed."""
        await self._server.pass_on()
        self.upstream_writer.write(packet)
        directions = [asyncio.ensure_future(one) for one in (self._to_server(), self._to_client())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in directions:
                one.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    def reset(self) -> None:
        """End it without a message."""
        reset(self._writer)
        reset(self.upstream_writer)

    async def _to_server(self) -> None:
        while data := await self._reader.read(_CHUNK):
            await self._server.pass_on()
            if self._is_ready and self._settings != self._server.wanted:
                await self._apply(dict(self._server.wanted))
            self._is_ready = False
            self.upstream_writer.write(data)
            await self.upstream_writer.drain()

    async def _apply(self, settings: dict[str, str | None]) -> None:
        self._settings = settings
        self._swallowed = asyncio.Event()
        self.upstream_writer.write(protocol.query(protocol.set_statement(settings)))
        await self._swallowed.wait()
        self._swallowed = None

    async def _to_client(self) -> None:
        messages = protocol.Messages()
        while data := await self._upstream_reader.read(_CHUNK):
            await self._server.flow()
            for kind, message in messages.feed(data):
                if kind == protocol.READY:
                    self._is_ready = message.endswith(protocol.IDLE)
                if self._swallowed is None:
                    self._writer.write(message)
                elif kind == protocol.READY:
                    self._swallowed.set()
                elif kind == protocol.ERROR:
                    self._server.refused(protocol.error_message(message))
            await self._writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection without a message."""
    # Closing with a lingering time of 0 sends a reset.
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()


def _bound(port: int) -> socket.socket:
    """A socket that has a port and does not listen: connections to it are refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound


async def _calling(function: Callable[[], object]) -> None:
    function()
