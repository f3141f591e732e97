"""A small HTTP server for a process's own page, in a thread of its own.

It serves on the process's unix socket, and on request on a port. The standard library's server is
enough: a page is read once every few seconds, and it must add nothing to the application.
"""

from __future__ import annotations

import errno
import http.server
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from pg_pool_exporter.client.slots import Slot
from pg_pool_exporter.sockets import PAGE_PATH
from pg_pool_exporter.textformat import TEXT_CONTENT_TYPE

log = logging.getLogger("pg_pool_exporter.client")

# A reader that is slower than this is let go.
_READER_SECONDS = 5.0
# How often a listener looks whether its socket is still there, or its port free again.
_LOOK_SECONDS = 2.0
_REST_SECONDS = 0.1
# How long the end of the process may wait for the removal of its socket.
_CLOSE_SECONDS = 1.0
_MOST_READERS = 8


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _READER_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if self.path.partition("?")[0] != PAGE_PATH:
            self.send_error(404, explain=f"The page is {PAGE_PATH}.")
            return
        body = self.server.page().encode()
        self.send_response(200)
        self.send_header("Content-Type", TEXT_CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Nothing: the application's standard error is not ours."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 16
    timeout = _LOOK_SECONDS

    def __init__(
        self, listening: socket.socket, page: Callable[[], str], closed: threading.Event
    ) -> None:
        # Not TCPServer's: it makes a socket of its own.
        socketserver.BaseServer.__init__(self, listening.getsockname(), _Handler)
        self.socket = listening
        self.page = page
        self._closed = closed
        self._readers: dict[socket.socket, float] = {}

    def get_request(self) -> tuple[socket.socket, Any]:
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


class Listener:
    """A place to serve at, and a thread that serves there until `close`."""

    def __init__(self, page: Callable[[], str], name: str) -> None:
        self._page = page
        self._closed = threading.Event()
        self._listening: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start serving, without waiting for it."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and remove what was put into the file system."""
        self._closed.set()
        listening = self._listening
        if listening is not None:
            with suppress(OSError):  # the thread has closed it meanwhile
                listening.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def abandon(self) -> None:
        """Close the socket and nothing else: in a forked child the place is still the parent's."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def listen(self) -> socket.socket | None:
        """A listening socket; None to try again later. Raises `OSError` when there can be none."""
        raise NotImplementedError

    def in_place(self) -> bool:
        """Whether readers still find the socket."""
        return True

    def leave(self) -> None:
        """Remove what `listen` has put into the file system."""

    def _run(self) -> None:
        told = ""
        while not self._closed.is_set():
            try:
                self._listening = self.listen()
            except (OSError, OverflowError) as error:
                # It can get well: a directory is made later, or made again.
                if told != str(error):
                    told = str(error)
                    log.warning("the page of this process can't be served: %s", error)
            if self._listening is None:
                self._closed.wait(_LOOK_SECONDS)
                continue
            told = ""
            self._serve(_Server(self._listening, self._page, self._closed))
            self._listening = None
        self.leave()

    def _serve(self, server: _Server) -> None:
        # A closed socket ends the loop with an error that has nothing to tell.
        with suppress(OSError, ValueError):
            while not self._closed.is_set() and self.in_place():
                server.handle_request()
        server.server_close()


class SocketListener(Listener):
    """Serves on the unix socket of a slot. A socket that somebody removes is bound again."""

    def __init__(self, page: Callable[[], str], slot: Slot) -> None:
        super().__init__(page, "pg-pool-exporter-socket")
        self._slot = slot
        self._path: Path | None = None
        self._bound: os.stat_result | None = None

    def listen(self) -> socket.socket:
        """Bind under a passing name, and move it: readers find it whole, with its final mode."""
        path = self._slot.take()
        passing = path.with_suffix(f".{os.getpid()}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            passing.unlink(missing_ok=True)
            listening.bind(str(passing))
            passing.chmod(0o660)
            listening.listen(_Server.request_queue_size)
            self._bound = passing.lstat()
            passing.rename(path)
        except OSError:
            listening.close()
            raise
        self._path = path
        return listening

    def in_place(self) -> bool:
        """Whether the path still leads to the socket."""
        if self._path is None or self._bound is None:
            return False
        try:
            return os.path.samestat(self._path.lstat(), self._bound)
        except OSError:
            return False

    def leave(self) -> None:
        """Remove the socket, unless it is somebody else's by now."""
        if self._path is not None and self.in_place():
            self._path.unlink(missing_ok=True)


class PortListener(Listener):
    """Serves on a port. Of several processes that want the same, one has it at a time."""

    def __init__(self, page: Callable[[], str], host: str, port: int) -> None:
        super().__init__(page, "pg-pool-exporter-port")
        self._address = (host, port)

    def listen(self) -> socket.socket | None:
        """Bind the port; None while another process has it."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(self._address)
            listening.listen(_Server.request_queue_size)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        return listening
