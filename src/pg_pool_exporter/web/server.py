"""How it is served: addresses, TLS, users, limits."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from pg_pool_exporter.web.basic_auth import BasicAuth, BusyError
from pg_pool_exporter.web.config import WebConfigFile, live_context

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Longer than most scrape intervals, so that Prometheus keeps its connection; in seconds. Also the
# time in which a client must have sent its first request.
_KEEPALIVE = 75.0
# Time for running answers at the end, in seconds.
_SHUTDOWN_TIMEOUT = 0.5
_MAX_REQUEST_BODY = 1024
_CHALLENGE = 'Basic realm="pg-pool-exporter", charset="UTF-8"'
# For a client whose password cannot be checked now, in seconds.
_RETRY_AFTER = "1"
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,5})", re.ASCII)


class ListenError(Exception):
    """An address cannot be listened on; the message says which one and why."""


class Address(NamedTuple):
    """A listen address: `host` None is every interface, port 0 is any free one."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def _is_not_the_clients_fault(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


# The library tells of each malformed request, with a traceback and text from the client: anybody
# who reaches the port could fill the log.
log.addFilter(_is_not_the_clients_fault)


def parse_address(text: str) -> Address:
    """`:10432`, `127.0.0.1:10432`, `localhost:10432` or `[::1]:10432`.

    Raises `ValueError` for anything else.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535 or not _is_ipv6(found["ipv6"] or "::"):
        raise ValueError("must be HOST:PORT, :PORT or [IPV6]:PORT")
    return Address(found["ipv6"] or found["host"] or None, int(found["port"]))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _refusal(status: HTTPStatus, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, text=f"{status.phrase}\n", headers=headers)


class WebServer:
    """Serves `routes` on `addresses`; `config` adds TLS, users and headers."""

    def __init__(
        self,
        routes: Iterable[web.AbstractRouteDef],
        addresses: Iterable[Address],
        config: WebConfigFile | None = None,
    ) -> None:
        self._addresses = tuple(addresses)
        self._config = config
        self._auth = BasicAuth()
        application = web.Application(
            middlewares=[self._authenticate], client_max_size=_MAX_REQUEST_BODY
        )
        application.add_routes(routes)
        application.on_response_prepare.append(self._add_headers)
        self._runner = web.AppRunner(
            application,
            logger=log,
            access_log=None,
            keepalive_timeout=_KEEPALIVE,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
            # Nothing is done any more for a client that has hung up.
            handler_cancellation=True,
        )

    async def start(self) -> None:
        """Listen on all addresses. Raises `ListenError`; then none of them stays open."""
        await self._runner.setup()
        tls = None
        if self._config is not None and self._config.current().tls is not None:
            tls = live_context(self._config.current)
        for address in self._addresses:
            try:
                await web.TCPSite(self._runner, address.host, address.port, ssl_context=tls).start()
            except OSError as error:
                await self.close()
                # asyncio's own text repeats the address. A name that isn't known has no errno.
                number = error.errno or 0
                reason = os.strerror(number) if number > 0 else error.strerror or "unknown reason"
                raise ListenError(f"cannot listen on {address}: {reason}") from None

    @property
    def bound(self) -> list[Address]:
        """The addresses that are listened on, with the ports that the system chose."""
        return [Address(host, port) for host, port, *_ in self._runner.addresses]

    async def close(self) -> None:
        """Stop listening, and end what runs."""
        await self._runner.cleanup()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        users = self._config.current().config.basic_auth_users if self._config else {}
        if not users:
            return await handler(request)
        try:
            allowed = await self._auth.allows(request.headers.get(hdrs.AUTHORIZATION), users)
        except BusyError:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, {hdrs.RETRY_AFTER: _RETRY_AFTER})
        if not allowed:
            return _refusal(HTTPStatus.UNAUTHORIZED, {hdrs.WWW_AUTHENTICATE: _CHALLENGE})
        return await handler(request)

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        # The names of what runs here, and their versions, are for the metrics only.
        response.headers[hdrs.SERVER] = "pg-pool-exporter"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if self._config is not None:
            response.headers.update(self._config.current().config.http_server_config.headers)
