"""Metrics pages of other processes, in several states of health, and lists that name them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

from support.actuator_page import actuator_page
from support.programs import free_port

PORT = free_port()
_PAGES = [actuator_page(number) for number in range(4)]
_HANGS_SECONDS = 5.0
_numbers = count()


class _Page(BaseHTTPRequestHandler):
    """`/good/N` is a whole page, the others fail in their own way; `/list` is a list for HTTP."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = random.choice(_PAGES)
        match self.path.split("/")[1]:
            case "list":
                body = json.dumps(addresses(3)).encode()
                self._send(200, body, len(body), "application/json")
            case "good":
                self._send(200, body, len(body))
            case "cut":
                self._send(200, body[: len(body) // 2], len(body))
                self.close_connection = True
            case "error":
                self._send(500, b"", 0)
            case "garbage":
                self._send(200, random.randbytes(10_000), 10_000)
            case _:
                time.sleep(_HANGS_SECONDS)
                self.close_connection = True

    def _send(
        self, status: int, body: bytes, length: int, kind: str = "text/plain; version=0.0.4"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Pages(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """The exporter closes connections at its deadlines."""


def addresses(amount: int, *, healthy: bool = False) -> list[dict[str, Any]]:
    """A list as service discovery reads it, with addresses that no list had before."""
    kinds = ["good"] if healthy else ["good", "good", "cut", "error", "garbage", "hang"]
    return [
        {
            "targets": [f"127.0.0.1:{PORT}"],
            "labels": {"__metrics_path__": f"/{random.choice(kinds)}/{next(_numbers)}"},
        }
        for _ in range(amount)
    ]


def write_list(path: Path, *, healthy: bool = False) -> None:
    """Replace the list of addresses in a file."""
    made = path.with_suffix(".new")
    made.write_text(json.dumps(addresses(5, healthy=healthy)))
    made.replace(path)


@contextmanager
def serving() -> Iterator[None]:
    """Serve the pages; at the end all connections are closed with the listener."""
    with _Pages(("127.0.0.1", PORT), _Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
