"""What the client reads of its other processes, over a real socket."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzz.beside import Endpoint
from fuzz.harness import Check, Harness
from pg_pool_exporter.client.serving.siblings import sibling_pages
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import Blocks, blocks, page
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from support.pages import page_of, pool

_OWN = blocks(of_pools([pool()]))


@contextmanager
def _start() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "orders-7.sock")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen(8)
        sibling = Endpoint(listening)

        def check(data: bytes) -> list[Blocks]:
            # A head that fits as a rule, or nearly every mutant would end there.
            head, end, body = data.partition(b"\r\n\r\n")
            length = b"Content-Length: %d" % len(body)
            sibling.answer = head.replace(b"LENGTH", length) + end + body
            shown = [_OWN, *sibling_pages([path], apps=["orders", 'q"\\'], own=_OWN)]
            # The exporter refuses a page of which one series is wrong.
            assert PageReader().read(page(shown).encode()).pools
            return shown

        try:
            yield check
        finally:
            sibling.close()


HARNESS = Harness(
    name="siblings",
    seeds=[
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nLENGTH\r\n\r\n" + body
        for body in (
            page_of(pool(process="web:1")),
            page_of(pool(), pool(app='q"\\', process="web:2"), pool(app="other")),
            b"",
        )
    ],
    tokens=[
        b"LENGTH\r\n", b"\r\n\r\n", b"content-length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
        b"pg_pool_waiting_requests", b'{app="orders",pool="main",process="web:1"} 1\n',
        b'le="+Inf"',
        b"pg_pool_acquire_seconds_bucket", b'",le="', b"e-e", b"+Inf",
    ],
    start=_start,
)  # fmt: skip
