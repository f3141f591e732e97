"""Applications that serve their pools' metrics as Prometheus text over HTTP."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

import aiohttp

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config import HttpClientConfig
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.client import HttpClient, TcpConnector
from pg_pool_exporter.sources.http.fetch import (
    MAX_BODY_BYTES,
    Body,
    Request,
    too_large,
)
from pg_pool_exporter.sources.http.request_options import request_options
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader, UnrecognisedError
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import Table
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults

MAX_GZIP_MEMBERS = 100
"""Most parts of one compressed body, each of which costs time, however little is in it."""

_GZIP = 16 + zlib.MAX_WBITS

# One lane reads all pages that take long. Each owner has one job in it at most, so many large pages
# of one owner cannot starve those of another.
_turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()


class ExpositionTextSource:
    """A page at an http or https URL, read by `table`; `defaults` fill what it leaves out.

    `http_client`: headers, credentials and TLS, read again at each poll. `owner`: whose page it is;
    pages that take long to read are read one at a time for each owner.
    """

    def __init__(
        self,
        url: str,
        table: Table = NATIVE,
        defaults: TargetDefaults = NO_DEFAULTS,
        *,
        connector: Callable[[], aiohttp.BaseConnector] = TcpConnector,
        encoding: str = "gzip",
        http_client: HttpClientConfig = HttpClientConfig(),  # noqa: B008 - a frozen value
        owner: Hashable = None,
    ) -> None:
        self._url = url
        self._client = HttpClient(connector)
        self._encoding = encoding
        self._http_client = http_client
        self._reader = PageReader(table, defaults)
        self._turn = _turns.setdefault(owner, asyncio.Lock())

    async def poll(self) -> Snapshot:
        """Read the page."""
        snapshot = await self._read_page()
        return replace(snapshot, address=self._client.peer)

    async def _read_page(self) -> Snapshot:
        options = await request_options(self._http_client)
        request = Request(self._url, options, encoding=self._encoding)
        body = await self._client.fetch(request)
        if not body.gzipped and (lines := self._reader.quick_lines(body.content)) is not None:
            _check_end(body, body.content)
            with suppress(UnrecognisedError):
                return self._reader.read(body.content, lines, length_known=body.length_known)
        async with self._turn:
            return await PARSING.run(partial(self._read_slowly, body))

    def _read_slowly(self, body: Body) -> Snapshot:
        page = page_text(body)
        # A compressed page that was cut is not valid gzip.
        return self._reader.read(page, length_known=body.length_known or body.gzipped)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._client.close()


def page_text(body: Body) -> bytes:
    """The page in an answer. Raises `PollError` when it is visibly cut."""
    page = _unzipped(body.content) if body.gzipped else body.content
    _check_end(body, page)
    return page


def _check_end(body: Body, page: bytes) -> None:
    """Raise `PollError` for a page that is visibly cut."""
    if body.openmetrics:
        if not page.rstrip().endswith(b"# EOF"):
            raise PollError("protocol", "the page is cut: OpenMetrics without `# EOF` at its end")
    elif page and not body.length_known and not body.gzipped and not page.endswith(b"\n"):
        raise PollError("protocol", "the page is cut: it ends in the middle of a line")


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
