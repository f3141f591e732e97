"""What a metrics endpoint answers: status line, headers, chunks, compression; over a connection."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fuzz.beside import Endpoint
from fuzz.harness import Check, Harness, check_error
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
from support.pages import page_of, pool

# An answer that is cut is waited for; a whole one is there in some milliseconds.
_DEADLINE = 0.5


@contextmanager
def _start() -> Iterator[Check]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
    endpoint = Endpoint(listening)
    with asyncio.Runner() as runner:

        def check(data: bytes) -> Sequence[Blocks]:
            endpoint.answer = _with_head_that_fits(data)
            try:
                snapshot = runner.run(_polled(url))
            except PollError as error:
                check_error(error)
                return ()
            except TimeoutError:
                return ()  # the poller's deadline
            return [blocks(of_pools(snapshot.pools))]

        try:
            yield check
        finally:
            endpoint.close()


def _with_head_that_fits(data: bytes) -> bytes:
    """`LENGTH` and `GZIP` of the head made true: else nearly every mutant would end there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if b"GZIP\r\n" in head:
        body = gzip.compress(body, 1, mtime=0)
        head = head.replace(b"GZIP\r\n", b"Content-Encoding: gzip\r\n")
    return head.replace(b"LENGTH", b"Content-Length: %d" % len(body)) + end + body


async def _polled(url: str) -> Snapshot:
    source = ExpositionTextSource(url)
    try:
        async with asyncio.timeout(_DEADLINE):
            return await source.poll()
    finally:
        await source.close()


_PAGE = page_of(pool(process="web:1"))
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
HARNESS = Harness(
    name="http_answers",
    seeds=[
        _OK + b"LENGTH\r\n\r\n" + _PAGE,
        _OK + b"GZIP\r\nLENGTH\r\n\r\n" + _PAGE,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(_PAGE), _PAGE),
        _OK + b"Content-Encoding: gzip\r\nLENGTH\r\n\r\n" + gzip.compress(bytes(6 << 20), mtime=0),
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nLENGTH\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _OK + b"LENGTH\r\n\r\n" + _PAGE,
        b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nLENGTH\r\n\r\n",
    ],
    tokens=[
        b"\r\n", b"\r\n\r\n", b"HTTP/1.1 ", b"HTTP/0.9", b" 100 Continue\r\n\r\n", b" 204 ",
        b" 206 ", b" 307 ", b"Location: //evil\r\n", b"Location: http://[::1\r\n", b"GZIP\r\n",
        b"LENGTH\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"0\r\n\r\n", b";x=y\r\n",
        b"Content-Encoding: br\r\n", b"Content-Type: application/openmetrics-text\r\n",
        b"Content-Type: text/plain; charset=utf-7\r\n", b"Set-Cookie: a=b\r\n", b"\0", b"\x80",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\3",
    ],
    start=_start,
)  # fmt: skip
