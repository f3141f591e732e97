"""TCP connections of the web server, bounded in number, by client, and in time.

asyncio's own server accepts without a limit, counts no connection before its TLS handshake is done,
and writes 100 tracebacks at a time when no descriptor is left. aiohttp limits only the time between
two requests.
"""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from pg_pool_exporter.polling.poller import unforeseen

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_SWEEP_INTERVAL = 0.5
_HALF_CLOSED_GRACE = 0.05
_PAUSE_WITHOUT_DESCRIPTORS = 0.1
# Seconds for running answers when the process ends.
_SHUTDOWN_TIMEOUT = 0.5
# Seconds for the rest of a request that is answered already.
_LINGERING_TIMEOUT = 1.0
_REPEAT_INTERVAL = 60.0
# No answer is valid later, or for another web page.
_HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _default_connections() -> int:
    """A quarter of the descriptors that the process can open. The rest is for polls."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 512 if soft == resource.RLIM_INFINITY else max(8, min(512, soft // 4))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for clients; times in seconds."""

    connections: int = field(default_factory=_default_connections)
    """Of all clients together; one client address can have half of them."""
    request: float = 10.0
    """For the TLS handshake, and for a request's line and headers from their first byte on."""
    answer: float = 40.0
    """From a complete request to the last byte of its answer: more than a reload may take."""
    idle: float = 75.0
    """Between two requests. Longer than most scrape intervals: Prometheus keeps its connection."""


class ThrottledLog:
    """Logs the first event of a kind at once, then adds up repetitions: one line a minute."""

    def __init__(self, write: Callable[..., None], event: str) -> None:
        self._write = write
        self._event = event
        self._times = 0
        self._facts: Mapping[str, object] = {}
        self._next = -inf

    def add(self, **facts: object) -> None:
        """Count one event; a line has the facts of its last one."""
        self._times += 1
        self._facts = facts
        self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        """Log what has been added up; unless `at_once`, a minute after the last line at least."""
        now = time.monotonic()
        if self._times and (at_once or now >= self._next):
            self._write(self._event, times=self._times, **self._facts)
            self._times, self._next = 0, now + _REPEAT_INTERVAL


class _Request(web.BaseRequest):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # aiohttp calls this right before it sends a response's headers. No public hook also sees
        # the answers to malformed requests, and `Server` must go from all of them.
        response.headers.pop(hdrs.SERVER, None)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        connection = self.protocol
        assert isinstance(connection, Connection)
        response.headers.update(connection.connections.extra_headers())


class Connection(web.RequestHandler):
    """One client's connection, from accept to close.

    `client` is its address (`client_of`). At `deadline`, on the loop's clock, it is ended.
    """

    __slots__ = (
        "_half_closed",
        "_idle",
        "_tcp",
        "answering",
        "client",
        "connections",
        "deadline",
        "handshake",
    )

    def __init__(self, server: web.Server, connections: Connections, client: str) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            lingering_time=_LINGERING_TIMEOUT,
            access_log=None,  # type: ignore[arg-type] # as aiohttp documents it
            # A body is read and dropped: not a megabyte of zeros for each kilobyte.
            auto_decompress=False,
        )
        self.connections = connections
        self.client = client
        self.handshake: asyncio.Task[None] | None = None
        self.answering = False
        self._idle = False
        self._half_closed = False
        self._tcp: asyncio.BaseTransport | None = None
        self._expect_within(connections.limits.request)

    def end(self) -> None:
        """Close at once; what has not been sent is dropped."""
        self.connections.forget(self)
        if isinstance(self._tcp, asyncio.WriteTransport):
            self._tcp.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    async def answer(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        """The response of `handler`, which has sent it, within the limit for an answer."""
        limits = self.connections.limits
        self.answering = True
        self._expect_within(limits.answer)
        try:
            return await handler(request)
        finally:
            self.answering = False
            self._idle = True
            self._expect_within(limits.idle)
            self._close_soon_if_half_closed()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # aiohttp drops its own reference on closing, also while unread bytes keep the socket open.
        self._tcp = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._idle and not self.answering:
            self._idle = False
            self._expect_within(self.connections.limits.request)
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp's never keeps it open
        """Keep the other direction open: a client that sends no more may still read."""
        self._half_closed = True
        self._close_soon_if_half_closed()
        # asyncio can't keep one direction of TLS open.
        return self.ssl_context is None

    def _expect_within(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds

    def _close_soon_if_half_closed(self) -> None:
        # Not at once: a complete request may be waiting for its answer.
        if self._half_closed and not self.answering:
            self._loop.call_later(_HALF_CLOSED_GRACE, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._tcp is not None and not self.answering:
            self._tcp.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connections.forget(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a malformed request, or after a fault of ours.

        Replaces aiohttp's answer, which quotes what the client sent.
        """
        self.log_exception(exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has been sent in part")
        response = web.Response(status=status, text="bad request\n" if status < 500 else "error\n")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of ours. If clients' faults were logged, any client could fill the log."""
        error = kw.get("exc_info")
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError | None):
            fault = unforeseen(error)
            self.connections.faults.add(error=fault.error, stack=fault.stack)


class Connections:
    """Accepts clients within `limits`, and has `handler` answer them.

    One address can fill only its own half: then its oldest connection that is not being answered
    makes room for its next one. `extra_headers` go into each answer.
    """

    def __init__(
        self, handler: Handler, limits: Limits, extra_headers: Callable[[], Mapping[str, str]]
    ) -> None:
        self.limits = limits
        self.extra_headers = extra_headers
        self.faults = ThrottledLog(log.error, "request failed")
        self._over_limit = ThrottledLog(
            log.warning, "connections closed: more clients than the limit allows"
        )
        self._starved = ThrottledLog(log.error, "cannot accept connections")
        self._handler = handler
        self._server = web.Server(
            self._answer, request_factory=self._request, handler_cancellation=True
        )
        self._by_client: dict[str, dict[Connection, None]] = {}
        self._count = 0
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._spawn(self._sweep())

    def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept clients of a listening socket, which is closed with the others."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._watch(listener, tls)

    async def close(self) -> None:
        """Accept no more, and end all connections."""
        self._server.pre_shutdown()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.shutdown(_SHUTDOWN_TIMEOUT)
        self._flush_logs(at_once=True)

    def forget(self, connection: Connection) -> None:
        """Free the connection's place, once."""
        own = self._by_client.get(connection.client, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._by_client[connection.client]

    def _watch(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, tls)

    def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept one client: under a flood all else has its turn before the next one."""
        try:
            accepted, peer = listener.accept()
        except (ConnectionError, BlockingIOError):
            return  # the client closed it before we accepted it
        except OSError as error:
            self._starved.add(error=error.strerror)
            self._make_room(max(self._by_client.values(), key=len, default={}))
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(_PAUSE_WITHOUT_DESCRIPTORS, self._watch, listener, tls)
            return
        accepted.setblocking(False)
        client = client_of(peer)
        if self._has_room(client):
            self._open(accepted, client, tls)
        else:
            accepted.close()

    def _has_room(self, client: str) -> bool:
        own = self._by_client.get(client, {})
        if len(own) >= max(1, self.limits.connections // 2):
            candidates = own
        elif self._count >= self.limits.connections:
            candidates = max(self._by_client.values(), key=len)
        else:
            return True
        self._over_limit.add(client=client)
        return self._make_room(candidates)

    def _make_room(self, candidates: Mapping[Connection, None]) -> bool:
        """End the oldest candidate that is not being answered; False without one."""
        oldest = next((one for one in candidates if not one.answering), None)
        if oldest is not None:
            oldest.end()
        return oldest is not None

    def _open(self, accepted: socket.socket, client: str, tls: ssl.SSLContext | None) -> None:
        connection = Connection(self._server, self, client)
        self._by_client.setdefault(client, {})[connection] = None
        self._count += 1
        connection.handshake = self._spawn(_shake_hands(connection, accepted, tls))

        def settle(_done: asyncio.Task[None]) -> None:
            # Not in the task itself: one that is cancelled before its first step does nothing.
            if not connection.connected:
                accepted.close()
                self.forget(connection)

        connection.handshake.add_done_callback(settle)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            now = asyncio.get_running_loop().time()
            late = [one for own in self._by_client.values() for one in own if one.deadline <= now]
            for connection in late:
                connection.end()
            self._flush_logs()

    def _flush_logs(self, *, at_once: bool = False) -> None:
        for events in (self.faults, self._over_limit, self._starved):
            events.flush(at_once=at_once)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        return await connection.answer(request, self._handler)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Any:
        return _Request(message, payload, protocol, writer, task, asyncio.get_running_loop())

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _shake_hands(
    connection: Connection, accepted: socket.socket, tls: ssl.SSLContext | None
) -> None:
    # A client that fails here, mostly in TLS, gets no answer and no line in the log.
    with suppress(OSError):
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection, accepted, ssl=tls
        )


def client_of(peer: tuple[Any, ...]) -> str:
    """The client of a peer's address: of IPv6 its /64 network, all of which one host can use."""
    host: str = peer[0].partition("%")[0]
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(host)), 64), strict=False))
