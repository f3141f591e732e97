"""Everything that asks the exporter for something, well behaved or not."""

from __future__ import annotations

import http.client
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from pg_pool_exporter.web.paths import FINDINGS_PATH, HEALTHY_PATH, READY_PATH

_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
REQUESTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/metrics", {}),
    ("/metrics", {"Accept-Encoding": "gzip"}),
    ("/metrics", {"Accept": _OPENMETRICS, "Accept-Encoding": "gzip"}),
    ("/", {}),
    (FINDINGS_PATH, {}),
    (HEALTHY_PATH, {}),
    (READY_PATH, {}),
    ("/nowhere", {}),
)
_TIMEOUT_SECONDS = 10.0
_PAUSE_SECONDS = 0.2


class Scrapers:
    """Two that ask for each path in turn: on new connections, and on one that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = Event()
        self.answers: Counter[str] = Counter()
        """By status; `failed` where none came in time."""

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [Thread(target=self._run, args=(kept,)) for kept in (False, True)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _run(self, kept: bool) -> None:
        connection = self._connection()
        number = 0
        while not self._stopping.wait(_PAUSE_SECONDS):
            path, headers = REQUESTS[number % len(REQUESTS)]
            number += 1
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                self.answers[str(answer.status)] += 1
            except (OSError, http.client.HTTPException):
                self.answers["failed"] += 1
                connection.close()
            if not kept:
                connection.close()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)


def misbehave(port: int) -> None:
    """Clients that send half a request, never read, send nonsense, or leave at once."""
    held = []
    for sent in (
        b"",
        b"GET /metr",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
        b"\0\xff\r\n\r\n",
    ) * 5:
        client = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        with suppress(OSError):
            client.sendall(sent)
        held.append(client)
    time.sleep(random.uniform(0, 2))
    for client in held:
        client.close()
