"""The HTTP server: addresses, users, and the way from a request to its answer."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import NamedTuple

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from pg_pool_exporter.blocking.names import getaddrinfo
from pg_pool_exporter.web.basic_auth import BasicAuth, BusyError
from pg_pool_exporter.web.config import WebConfigFile, live_context
from pg_pool_exporter.web.connections import Connection, Connections, Limits
from pg_pool_exporter.web.origin import is_foreign
from pg_pool_exporter.web.paths import HEALTHY_PATH, READY_PATH
from pg_pool_exporter.web.rate_limit import RateLimiter

TEXT = "text/plain; charset=utf-8"

_CHALLENGE = 'Basic realm="pg-pool-exporter", charset="UTF-8"'
# Seconds until a client with an unchecked password should retry.
_RETRY_AFTER = "1"
# Bound of the memory that one slow client takes. Other clients get their turn in between.
_PIECE = 256 * 1024
_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. All clients can share one `body`."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[web.BaseRequest], Awaitable[Answer]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Handlers by path and method; HEAD is answered by the handler for GET."""


class ListenError(Exception):
    """An address cannot be listened on; the message says which one and why."""


class Address(NamedTuple):
    """A listen address: `host` None is every interface, port 0 is any free one."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


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


def plain_answer(
    message: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Answer:
    """A line of text. Never repeat in it what a client sent."""
    return Answer(f"{message}\n".encode(), status=status, headers=headers or {})


class WebServer:
    """Serves `routes` on `addresses` and on `listeners`; `config` adds TLS, users and headers."""

    def __init__(
        self,
        routes: Routes,
        addresses: Iterable[Address],
        config: WebConfigFile | None = None,
        limits: Limits | None = None,
        listeners: Iterable[socket.socket] = (),
    ) -> None:
        self._passed = tuple(listeners)
        self._routes = routes
        self._addresses = tuple(addresses)
        self._own_names = {address.host for address in self._addresses if address.host}
        self._config = config
        self._limits = limits or Limits()
        self._auth = BasicAuth()
        self._limiter = RateLimiter()
        self._connections: Connections | None = None
        self._bound: list[Address] = []

    async def start(self) -> None:
        """Listen on all addresses. Raises `ListenError`; then none of them stays open."""
        listeners = [*self._passed]
        try:
            for address in self._addresses:
                listeners += await _listeners(address)
        except ListenError:
            for listener in listeners:
                listener.close()
            raise
        self._bound = [Address(*listener.getsockname()[:2]) for listener in listeners]
        self._connections = Connections(self._respond, self._limits, self._extra_headers)
        tls = None
        if self._config is not None and self._config.current().tls is not None:
            tls = live_context(self._config.current)
        for listener in listeners:
            self._connections.listen(listener, tls)

    @property
    def bound(self) -> list[Address]:
        """The addresses that are listened on, with the ports that the system chose."""
        return self._bound

    async def close(self) -> None:
        """Stop listening, and end all connections."""
        if self._connections is not None:
            await self._connections.close()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        return await _send(request, await self._answer(request))

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if request.version not in (HttpVersion10, HttpVersion11):
            return plain_answer("HTTP/1.1 only", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        refusal = self._limit_rate(request) or await self._authenticate(request)
        if refusal is not None:
            return refusal
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            return plain_answer("unknown expectation", HTTPStatus.EXPECTATION_FAILED)
        methods = self._routes.get(request.path)
        if methods is None:
            return plain_answer("not found", HTTPStatus.NOT_FOUND)
        method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
        if method not in methods:
            allowed = [*methods, *([hdrs.METH_HEAD] if hdrs.METH_GET in methods else [])]
            return plain_answer(
                "method not allowed",
                HTTPStatus.METHOD_NOT_ALLOWED,
                {hdrs.ALLOW: ", ".join(allowed)},
            )
        if method not in _SAFE_METHODS and is_foreign(request, self._own_names):
            return plain_answer(
                "Host must be an IP address, localhost, this machine's name or a name of "
                "--web.listen-address; Origin must be absent or the same",
                HTTPStatus.FORBIDDEN,
            )
        return await methods[method](request)

    def _limit_rate(self, request: web.BaseRequest) -> Answer | None:
        """The refusal of a request that comes too soon after others.

        Probes are never refused: else a client that asks often would have the process restarted.
        """
        if self._config is None or request.path in (HEALTHY_PATH, READY_PATH):
            return None
        delay = self._limiter.delay(self._config.current().config.rate_limit)
        if not delay:
            return None
        return plain_answer(
            "too many requests: rate_limit",
            HTTPStatus.TOO_MANY_REQUESTS,
            {hdrs.RETRY_AFTER: str(ceil(delay))},
        )

    async def _authenticate(self, request: web.BaseRequest) -> Answer | None:
        """The refusal of a request without valid credentials; None for an allowed one."""
        users = self._config.current().config.basic_auth_users if self._config else {}
        if not users:
            return None
        connection = request.protocol
        assert isinstance(connection, Connection)
        header = request.headers.get(hdrs.AUTHORIZATION)
        try:
            if await self._auth.allows(header, users, connection.client):
                return None
        except BusyError:
            return plain_answer(
                "too many passwords to check",
                HTTPStatus.SERVICE_UNAVAILABLE,
                {hdrs.RETRY_AFTER: _RETRY_AFTER},
            )
        return plain_answer(
            "unauthorized", HTTPStatus.UNAUTHORIZED, {hdrs.WWW_AUTHENTICATE: _CHALLENGE}
        )

    def _extra_headers(self) -> Mapping[str, str]:
        return self._config.current().config.http_server_config.headers if self._config else {}


async def _listeners(address: Address) -> list[socket.socket]:
    """Sockets that listen on all that a listen address means. Raises `ListenError`."""
    host, port = address
    listeners: list[socket.socket] = []
    skipped: OSError | None = None
    try:
        found = (
            # A name can take long, or hang; no name is the system's own list.
            await getaddrinfo(host, port)
            if host
            else socket.getaddrinfo(None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        )
        for family, _, _, _, where in dict.fromkeys(found):
            try:
                listeners.append(socket.create_server(where, family=family, backlog=128))
            except OSError as error:
                # A host without IPv6 still lists it.
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                skipped = error
        if not listeners and skipped is not None:
            raise skipped
    except OSError as error:
        for listener in listeners:
            listener.close()
        # The text of the library repeats the address. A name that is not known has no errno.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or "unknown reason"
        raise ListenError(
            f"cannot listen on {address}: {reason}; choose another address with "
            "--web.listen-address"
        ) from None
    return listeners


def _response(answer: Answer) -> tuple[web.StreamResponse, memoryview]:
    """The response, and the body that is to be written to it in pieces.

    A small body is in the response itself, which sends it together with the headers.
    """
    headers = {**answer.headers, hdrs.CONTENT_TYPE: answer.content_type}
    if len(answer.body) <= _PIECE:
        small = web.Response(body=answer.body, status=answer.status, headers=headers)
        return small, memoryview(b"")
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    return response, memoryview(answer.body)


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response, body = _response(answer)
    if request.method == hdrs.METH_HEAD:
        body = body[:0]
    try:
        await response.prepare(request)
        for start in range(0, len(body), _PIECE):
            await response.write(body[start : start + _PIECE])
            # Where the client reads as fast as this writes, `write` never waits.
            await asyncio.sleep(0)
        await response.write_eof()
        # aiohttp waits for large answers only: without this a client that sends request after
        # request and reads nothing would have all the answers in our memory.
        await request.writer.drain()
    except ConnectionError:
        pass  # the client closed the connection
    return response
