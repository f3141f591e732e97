"""The HTTP client of one target, which trusts neither the target nor the environment."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from pg_pool_exporter import __version__
from pg_pool_exporter.sources.page_fetch import Body, BrokenOffError, Request, fetch
from pg_pool_exporter.sources.resolving import Resolver

_MAX_HEADER_BYTES = 8 * 1024
_MAX_HEADERS = 128
_HEADERS = {"User-Agent": f"pg-pool-exporter/{__version__}"}


def tcp_connector() -> aiohttp.BaseConnector:
    """Keeps one connection to a host."""
    return aiohttp.TCPConnector(limit=1, resolver=Resolver())


class HttpClient:
    """Sends a target's requests, over connections that are kept."""

    def __init__(self, connector: Callable[[], aiohttp.BaseConnector] = tcp_connector) -> None:
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, request: Request) -> Body:
        """The body of the answer (see `page_fetch.fetch`)."""
        if self._session is None:
            # Not earlier, because it belongs to the loop that runs.
            self._session = _session(self._connector())
        try:
            return await fetch(self._session, request)
        except BrokenOffError:
            # A kept connection may have been closed meanwhile. aiohttp then asks anew by itself,
            # but for what is posted, because it can't know that ours only reads.
            if request.posted is None:
                raise
        return await fetch(self._session, request)

    async def close(self) -> None:
        """Close the connections, if there are any. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session without cookies, proxies, credentials from files, and deadlines of its own."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        max_headers=_MAX_HEADERS,
    )
