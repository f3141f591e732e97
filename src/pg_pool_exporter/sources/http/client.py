"""The HTTP client of one target. It trusts neither the target nor the environment."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from pg_pool_exporter import __version__
from pg_pool_exporter.blocking.names import Resolver
from pg_pool_exporter.sources.http.fetch import Body, BrokenOffError, Request, fetch

_MAX_HEADER_BYTES = 8 * 1024
_MAX_HEADERS = 128
# Bytes that asyncio hands over at once.
_MAX_READ_BYTES = 16 * 1024
_MAX_BODY_READ_BYTES = 64 * 1024
_MAX_INTERIM = 10
Connected: TypeAlias = Callable[
    [aiohttp.ClientSession, SimpleNamespace, aiohttp.TraceConnectionCreateEndParams],
    Awaitable[None],
]
_HEADERS = {"User-Agent": f"pg-pool-exporter/{__version__}"}


class _Response(aiohttp.ClientResponse):
    """A response after at most `_MAX_INTERIM` interim answers (status 1xx), which cost time each.

    Raises `ClientResponseError` for more.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        assert protocol is not None
        read = protocol.read
        answers = 0

        async def bounded() -> Any:
            nonlocal answers
            answers += 1
            if answers > _MAX_INTERIM + 1:
                raise HttpProcessingError(message="too many interim answers")
            return await read()

        # aiohttp reads all interim answers in one loop, without a bound of its own. In the 256 KiB
        # that asyncio hands it at once are 10,000 of them, which it parses for 0.1 s. Then, 40,000
        # chunks of the body take 18 ms; but each reading of an ordinary page 20 microseconds, too.
        transport: Any = connection.transport
        is_plain = hasattr(transport, "max_size")  # without TLS
        if is_plain:
            transport.max_size = _MAX_READ_BYTES
        protocol.read = bounded  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read
            if is_plain:
                transport.max_size = _MAX_BODY_READ_BYTES


class TcpConnector(aiohttp.TCPConnector):
    """Keeps one connection to a host, and knows the address at its other end."""

    def __init__(self) -> None:
        # In order: a former one may still be open, with another address.
        self._opened: WeakKeyDictionary[socket.socket, None] = WeakKeyDictionary()
        super().__init__(limit=1, resolver=Resolver(), socket_factory=self.open_socket)

    def peer(self) -> str | None:
        """The IP address at the other end of the last connection; None without a connection."""
        for one in reversed([*self._opened]):
            try:
                return str(one.getpeername()[0])
            except OSError:
                continue  # closed, or another address answered first
        return None

    def open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for a connection to `address`, which `peer` will know."""
        opened = socket.socket(*address[:3])
        self._opened[opened] = None
        return opened


class HttpClient:
    """Sends the requests of one target over connections that it keeps."""

    def __init__(self, connector: Callable[[], aiohttp.BaseConnector] = TcpConnector) -> None:
        self.peer: str | None = None
        """The IP address that answered last; None at a unix socket."""
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, request: Request) -> Body:
        """The body of the answer, see `fetch.fetch`."""
        if self._session is None:
            # Not earlier: it belongs to the running loop.
            self._session = _session(self._connector(), self._note_peer)
        try:
            return await fetch(self._session, request)
        except BrokenOffError:
            # A kept connection may have been closed meanwhile. aiohttp itself repeats a GET, but no
            # POST, because it can't know that ours only reads.
            if request.posted is None:
                raise
        return await fetch(self._session, request)

    async def _note_peer(
        self,
        session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _event: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        # Now: the server may close the connection as soon as it has answered.

        connector = session.connector
        self.peer = connector.peer() if isinstance(connector, TcpConnector) else None

    async def close(self) -> None:
        """Close the connections, if there are any. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _session(connector: aiohttp.BaseConnector, connected: Connected) -> aiohttp.ClientSession:
    """A session without cookies, proxies, credentials from files, or deadlines of its own.

    It calls `connected` for each new connection.
    """
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        max_headers=_MAX_HEADERS,
        response_class=_Response,
    )
