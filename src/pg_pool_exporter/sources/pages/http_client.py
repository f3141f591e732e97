"""The HTTP client of one target, which trusts neither the target nor the environment."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TypeAlias
from weakref import WeakKeyDictionary

import aiohttp

from pg_pool_exporter import __version__
from pg_pool_exporter.blocking.names import Resolver
from pg_pool_exporter.sources.pages.fetch import Body, BrokenOffError, Request, fetch

_MAX_HEADER_BYTES = 8 * 1024
_MAX_HEADERS = 128
Connected: TypeAlias = Callable[
    [aiohttp.ClientSession, SimpleNamespace, aiohttp.TraceConnectionCreateEndParams],
    Awaitable[None],
]
_HEADERS = {"User-Agent": f"pg-pool-exporter/{__version__}"}


class TcpConnector(aiohttp.TCPConnector):
    """Keeps one connection to a host, and knows at which address that is."""

    def __init__(self) -> None:
        # In their order: a former one may not be closed yet, and lead elsewhere.
        self._opened: WeakKeyDictionary[socket.socket, None] = WeakKeyDictionary()
        super().__init__(limit=1, resolver=Resolver(), socket_factory=self._open)

    def peer(self) -> str | None:
        """The IP address that it was connected to last; None while it is to none."""
        for one in reversed([*self._opened]):
            try:
                return str(one.getpeername()[0])
            except OSError:
                continue  # it is closed, or another address answered first
        return None

    def _open(self, address: aiohttp.AddrInfoType) -> socket.socket:
        opened = socket.socket(*address[:3])
        self._opened[opened] = None
        return opened


class HttpClient:
    """Sends a target's requests, over connections that are kept."""

    def __init__(self, connector: Callable[[], aiohttp.BaseConnector] = TcpConnector) -> None:
        self.peer: str | None = None
        """The IP address of whom it was connected to last; None where that is no network's."""
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, request: Request) -> Body:
        """The body of the answer (see `page_fetch.fetch`)."""
        if self._session is None:
            # Not earlier, because it belongs to the loop that runs.
            self._session = _session(self._connector(), self._note_peer)
        try:
            return await fetch(self._session, request)
        except BrokenOffError:
            # A kept connection may have been closed meanwhile. aiohttp then asks anew by itself,
            # but for what is posted, because it can't know that ours only reads.
            if request.posted is None:
                raise
        return await fetch(self._session, request)

    async def _note_peer(
        self,
        session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _event: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        """Now, because the other side may close the connection as soon as it has answered."""
        connector = session.connector
        self.peer = connector.peer() if isinstance(connector, TcpConnector) else None

    async def close(self) -> None:
        """Close the connections, if there are any. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _session(connector: aiohttp.BaseConnector, connected: Connected) -> aiohttp.ClientSession:
    """A session without cookies, proxies, credentials from files, and deadlines of its own.

    It calls `connected` when a connection has been made.
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
    )
