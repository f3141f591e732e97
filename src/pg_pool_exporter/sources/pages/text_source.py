"""Applications that serve their pools' metrics as Prometheus text over HTTP."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NoReturn

import aiohttp

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config import HttpClientConfig
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sockets import PAGE_PATH
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from pg_pool_exporter.sources.pages.fetch import (
    MAX_BODY_BYTES,
    NotConnectedError,
    Request,
    too_large,
)
from pg_pool_exporter.sources.pages.http_client import HttpClient, TcpConnector
from pg_pool_exporter.sources.pages.native_page import NATIVE
from pg_pool_exporter.sources.pages.origin import UNKNOWN, Origin
from pg_pool_exporter.sources.pages.request_options import request_options
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.table import Table
from pg_pool_exporter.sources.pages.text_reader import PageReader

MAX_GZIP_MEMBERS = 100
"""Most parts of one compressed body, each of which costs time, however little is in it."""

_GZIP = 16 + zlib.MAX_WBITS


class ExpositionTextSource:
    """A page at an http or https URL, read by `table`; `origin` tells what it may leave out.

    `http_client`: headers, credentials and TLS, read again at each poll.
    """

    def __init__(
        self,
        url: str,
        table: Table = NATIVE,
        origin: Origin = UNKNOWN,
        *,
        connector: Callable[[], aiohttp.BaseConnector] = TcpConnector,
        encoding: str = "gzip",
        http_client: HttpClientConfig = HttpClientConfig(),  # noqa: B008 - a frozen value
    ) -> None:
        self._url = url
        self._client = HttpClient(connector)
        self._encoding = encoding
        self._http_client = http_client
        self._reader = PageReader(table, origin)

    async def poll(self) -> Snapshot:
        """Read the page."""
        snapshot = await self._read_page()
        return replace(snapshot, address=self._client.peer)

    async def _read_page(self) -> Snapshot:
        options = await request_options(self._http_client)
        request = Request(self._url, options, encoding=self._encoding)
        body = await self._client.fetch(request)
        if body.gzipped:
            return await PARSING.run(partial(self._unzip_and_read, body.content))
        lines = self._reader.quick_lines(body.content)
        if lines is None:
            return await PARSING.run(partial(self._reader.read, body.content))
        return self._reader.read(body.content, lines)

    def _unzip_and_read(self, content: bytes) -> Snapshot:
        return self._reader.read(_unzipped(content))

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._client.close()


class SocketSource:
    """The page of a process on this host, at its unix socket."""

    def __init__(self, socket: SocketFile) -> None:
        self._socket = socket
        # A new connection each time, so that a process never keeps a thread waiting for us;
        # and no compression, which would cost the application more than it saves.
        self._page = ExpositionTextSource(
            f"http://localhost{PAGE_PATH}",
            connector=lambda: aiohttp.UnixConnector(str(socket.path), force_close=True),
            encoding="identity",
        )

    async def poll(self) -> Snapshot:
        """Read the page. The socket of a process that has ended is removed."""
        if not self._socket.in_place():
            raise TargetGoneError
        try:
            return await self._page.poll()
        except NotConnectedError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                self._remove()
            raise

    def _remove(self) -> NoReturn:
        """Remove the socket that nobody listens at."""
        # A successor may have put its own there in the meantime.
        if self._socket.in_place():
            try:
                self._socket.path.unlink(missing_ok=True)
            except OSError as error:
                raise PollError(
                    "refused", f"nobody listens, and its socket can't be removed: {error.strerror}"
                ) from None
        raise TargetGoneError

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._page.close()


def _unzipped(content: bytes) -> bytes:
    page = bytearray()
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(wbits=_GZIP)
        try:
            page += member.decompress(content, MAX_BODY_BYTES + 1 - len(page))
        except zlib.error:
            break
        if len(page) > MAX_BODY_BYTES:
            raise too_large()
        if not member.eof:
            break
        content = member.unused_data
        if not content:
            return bytes(page)
    raise PollError(
        "protocol", f"the body is not valid gzip, or of more than {MAX_GZIP_MEMBERS} parts"
    )
