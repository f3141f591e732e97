"""HTTP requests to the exporter, over real connections."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fuzz.beside import Records
from fuzz.harness import Check, Harness
from pg_pool_exporter.metrics.text_format import Blocks
from support.serving import exchange, serving_in_thread


@contextmanager
def _start() -> Iterator[Check]:
    records = Records()
    with serving_in_thread() as port:

        def check(data: bytes) -> Sequence[Blocks]:
            records.texts.clear()
            answer = exchange(port, data, timeout=10)
            assert not answer or answer.startswith(b"HTTP/"), answer[:100]
            assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), answer[:100]
            assert b"Traceback" not in answer
            assert not records.texts, records.texts
            return ()

        logging.getLogger().addHandler(records)
        try:
            yield check
        finally:
            logging.getLogger().removeHandler(records)


_HEADERS = b"Host: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n"
HARNESS = Harness(
    name="requests",
    seeds=[
        *(
            b"GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (path, _HEADERS)
            for path in (b"/", b"/metrics", b"/probe?target=a", b"/-/ready", b"/api/v1/findings")
        ),
        (b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
        b"Content-Length: 5\r\n\r\nhello"),
        (b"PUT /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"),
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n" * 2,
    ],
    tokens=[
        b"\r\n", b"\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HEAD ", b"OPTIONS * ", b"TRACE ",
        b"CONNECT a:1 ",
        b"Expect: 100-continue\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAA\r\n", b"%00", b"%zz",
        b"Content-Encoding: gzip\r\n", b"Authorization: Basic YTpi\r\n", b"?target=", b"..%2f",
        b"//", b"#",
        b"Accept: ", b";q=", b"Host: [::1]:99\r\n", b"Range: bytes=0-\r\n", b"If-None-Match: *\r\n",
    ],
    start=_start,
    max_bytes=32 * 1024,
)  # fmt: skip
