"""A small HTTP server for one page, on a socket that already listens.

The standard library's is enough: a page is read once every few seconds, and it must add nothing to
the application.
"""

from __future__ import annotations

import http.server
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE
from pg_pool_exporter.sockets import PAGE_PATH

log = logging.getLogger("pg_pool_exporter.client")

# A reader that is slower than this is let go.
_READER_SECONDS = 5.0
# How often its listener may look whether readers still find it.
LOOK_SECONDS = 2.0
_REST_SECONDS = 0.1
_MOST_READERS = 8


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _READER_SECONDS
    server: Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if self.path.partition("?")[0] != PAGE_PATH:
            self.send_error(404, explain=f"The page is {PAGE_PATH}.")
            return
        body = self.server.body()
        if body is None:
            self.send_error(500)
            return
        self.send_response(200)
        self.send_header("Content-Type", TEXT_CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Nothing: the application's standard error is not ours."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers with the page until `closed` is set, each reader in a thread of its own.

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
        self._page = page
        self._closed = closed
        self._told = False  # the log, that the page can't be made
        self._readers: dict[socket.socket, float] = {}

    def body(self) -> bytes | None:
        """The page; None when it can't be made, which is logged once."""
        try:
            body = self._page().encode()
        except Exception:
            if not self._told:
                log.exception("the page of this process can't be made")
            self._told = True
            return None
        self._told = False
        return body

    def abandon_readers(self) -> None:
        """In a forked child: close what was accepted, without an end for those who read it."""
        for reader in self._readers:
            # A plain `close` waits for the files that were made of it, which nobody closes here.
            with suppress(OSError):  # it is closed already
                os.close(reader.detach())

    def get_request(self) -> tuple[socket.socket, Any]:
        if self._closed.is_set():
            # What woke us is no reader, and gevent would wait for one.
            raise OSError("closed")
        try:
            return super().get_request()
        except OSError:
            # Out of descriptors, it would be tried again at once and for ever.
            self._closed.wait(_REST_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._readers) >= _MOST_READERS:
            self._let_slow_ones_go()
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
        log.debug("a reader of the page went away")

    def _let_slow_ones_go(self) -> None:
        for reader, since in list(self._readers.items()):
            if monotonic() - since > _READER_SECONDS:
                with suppress(OSError):  # it has gone by itself
                    reader.shutdown(socket.SHUT_RDWR)
