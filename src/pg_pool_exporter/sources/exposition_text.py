"""Applications that serve their pools' metrics as Prometheus text over HTTP."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import aiohttp

from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sockets import PAGE_PATH
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from pg_pool_exporter.sources.native_page import NATIVE
from pg_pool_exporter.sources.origin import UNKNOWN, Origin
from pg_pool_exporter.sources.page_fetch import (
    MAX_BODY_BYTES,
    Body,
    NotConnectedError,
    fetch,
    session,
    too_large,
)
from pg_pool_exporter.sources.page_table import Table
from pg_pool_exporter.sources.resolving import Resolver
from pg_pool_exporter.sources.socket_file import SocketFile
from pg_pool_exporter.sources.text_reader import PageReader

# A page of this size is read in some milliseconds; a larger one would hold up the scrapes. Larger
# ones are read one after the other: each thread that computes takes its share from the scrapes.
_MOST_BYTES_INLINE = 64 * 1024
_READING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-page")


class ExpositionTextSource:
    """A page at an http or https URL, read by `table`; `origin` tells what it may leave out."""

    def __init__(
        self,
        url: str,
        table: Table = NATIVE,
        origin: Origin = UNKNOWN,
        *,
        connector: Callable[[], aiohttp.BaseConnector] = lambda: aiohttp.TCPConnector(
            limit=1, resolver=Resolver()
        ),
        encoding: str = "gzip",
    ) -> None:
        self._url = url
        self._connector = connector
        self._encoding = encoding
        self._session: aiohttp.ClientSession | None = None
        self._reader = PageReader(table, origin)

    async def poll(self) -> Snapshot:
        """Read the page."""
        if self._session is None:
            self._session = session(self._connector())
        body = await fetch(self._session, self._url, encoding=self._encoding)
        if body.gzipped or len(body.content) > _MOST_BYTES_INLINE:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_READING, self._read, body)
        return self._read(body)

    def _read(self, body: Body) -> Snapshot:
        return self._reader.read(_unzipped(body.content) if body.gzipped else body.content)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._session is not None:
            await self._session.close()


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
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            page = stream.read(MAX_BODY_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise PollError("protocol", "the body is not valid gzip") from None
    if len(page) > MAX_BODY_BYTES:
        raise too_large()
    return page
