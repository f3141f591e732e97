"""A small HTTP server for the metrics, on a socket that already listens.

Not the standard library's `http.server`: it reads megabytes of headers, and imports `ssl`, which
gevent must patch first.
"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from pg_pool_exporter.client.faults import log
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE
from pg_pool_exporter.sockets import PAGE_PATH

READER_SECONDS = 5.0
"""Deadline of a whole exchange: single bytes do not extend it."""
# How often the listener checks that readers still find it, and ends slow ones.
LOOK_SECONDS = 2.0
_REST_SECONDS = 0.1
_MAX_READERS = 8
_MAX_HEAD_BYTES = 1 << 14


class _Handler(socketserver.StreamRequestHandler):
    timeout = 60.0  # of a single step; `end_slow_readers` ends the exchange
    server: Server

    def handle(self) -> None:
        """Answer one request."""
        request = self._request()
        if request is None:
            self._answer("400 Bad Request")
            return
        method, target = request
        if method not in ("GET", "HEAD"):
            self._answer("405 Method Not Allowed", "Allow: GET, HEAD\r\n")
        elif target.partition("?")[0] != PAGE_PATH:
            self._answer("404 Not Found", body=f"The metrics are at {PAGE_PATH}.\n", method=method)
        elif (page := self.server.page()) is None:
            self._answer("500 Internal Server Error", method=method)
        else:
            self._answer("200 OK", body=page, method=method, content_type=TEXT_CONTENT_TYPE)

    def _request(self) -> tuple[str, str] | None:
        """Method and target; None for what is no request. Its headers are read and ignored."""
        first = line = self.rfile.readline(_MAX_HEAD_BYTES)
        room = _MAX_HEAD_BYTES - len(line)
        while line.strip():
            line = self.rfile.readline(room)
            room -= len(line)
        words = first.decode("latin-1").split()
        if room <= 0 or len(words) != 3 or not words[2].startswith("HTTP/1."):
            return None
        return words[0], words[1]

    def _answer(
        self, status: str, headers: str = "", *, body: str = "", method: str = "GET",
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:  # fmt: skip
        content = body.encode()
        head = (
            f"HTTP/1.0 {status}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\n{headers}\r\n"
        )
        self.wfile.write(head.encode() + (content if method != "HEAD" else b""))


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers with the metrics until `closed` is set, each reader in a thread of its own.

    `handle_request` waits `LOOK_SECONDS` for a reader at most. Closes the socket at the end.
    """

    daemon_threads = True
    request_queue_size = 16
    timeout = LOOK_SECONDS

    def __init__(
        self, listening: socket.socket, page: Callable[[], str], closed: threading.Event
    ) -> None:
        # Not TCPServer's: it makes a socket of its own.
        socketserver.BaseServer.__init__(self, listening.getsockname(), _Handler)
        self.socket = listening
        self._make_page = page
        self._closed = closed
        self._failed = False  # the page could not be made, which is logged once
        self._readers: dict[socket.socket, float] = {}

    def page(self) -> str | None:
        """The metrics page; None when it can't be made, which is logged once."""
        try:
            page = self._make_page()
        except Exception:  # noqa: BLE001 - logged
            if not self._failed:
                log.exception("metrics of this process can't be made")
            self._failed = True
            return None
        self._failed = False
        return page

    def abandon_readers(self) -> None:
        """In a forked child: close accepted sockets, without ending their readers' exchange."""
        for reader in self._readers:
            # A plain `close` waits for the files made of it, which stay open here.
            with suppress(OSError):  # it is closed already
                os.close(reader.detach())

    def get_request(self) -> tuple[socket.socket, Any]:
        if self._closed.is_set():
            # `close` woke us, not a reader, and gevent would wait for one.
            raise OSError("closed")
        try:
            return super().get_request()
        except OSError:
            # Without descriptors it would be retried at once and forever.
            self._closed.wait(_REST_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._readers) >= _MAX_READERS:
            self.end_slow_readers()
            self.shutdown_request(request)
            return
        self._readers[request] = monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there can be no more threads
            del self._readers[request]
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._readers[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a reader of the metrics went away")

    def end_slow_readers(self) -> None:
        """Shut down exchanges that have lasted for longer than a reader may take."""
        for reader, since in self._readers.copy().items():
            if monotonic() - since > READER_SECONDS:
                with suppress(OSError):  # it has ended meanwhile
                    reader.shutdown(socket.SHUT_RDWR)
