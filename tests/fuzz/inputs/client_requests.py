"""HTTP requests to the small server in an application, over real connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

from fuzz.beside import Records
from fuzz.harness import Check, Harness
from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.serving.server import Server
from pg_pool_exporter.metrics.text_format import Blocks
from support.pages import page_of, pool
from support.serving import exchange

_PAGE = page_of(pool(process="web:1"))
_STATUSES = (b"200", b"400", b"404", b"405")


@contextmanager
def _start() -> Iterator[Check]:
    records, closed = Records(), Event()
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    server = Server(listening, _PAGE.decode, closed)

    def serve() -> None:
        while not closed.is_set():
            server.handle_request()

    thread = Thread(target=serve, daemon=True)

    def check(data: bytes) -> Sequence[Blocks]:
        answer = exchange(port, data, timeout=10)
        assert not records.texts, records.texts
        # Nothing where it has not sent a line, or has hung up.
        assert not answer or answer[:9] == b"HTTP/1.0 ", answer[:100]
        assert not answer or answer[9:12] in _STATUSES, answer[:100]
        assert answer[9:12] != b"200" or answer.endswith((_PAGE, b"\r\n\r\n")), answer[-100:]
        return ()

    log.addHandler(records)
    thread.start()
    try:
        yield check
    finally:
        log.removeHandler(records)
        closed.set()
        socket.create_connection(("127.0.0.1", port)).close()  # it waits for a reader
        thread.join()
        listening.close()


HARNESS = Harness(
    name="client_requests",
    seeds=[
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n",
        b"HEAD /metrics?name=x HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    ],
    tokens=[
        b"\r\n", b"\r\n\r\n", b"\n", b"GET ", b"HEAD ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"/metrics", b"?", b"%00", b"..", b"HTTP/1.", b"HTTP/9", b"Expect: 100-continue\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Content-Length: 99999999\r\n", b"\0", b"\xff",
        b"Range: bytes=0-\r\n", b"x" * 9000,
    ],
    start=_start,
    max_bytes=32 * 1024,
)  # fmt: skip
