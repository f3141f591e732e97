"""A TCP link to a server that can be watched and broken."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Link:
    """Relays 127.0.0.1:`port` to a server on 127.0.0.1:`to`, until the end of the `with` block.

    The server sees its connections come from `source`, an address of the loopback.
    """

    def __init__(self, to: int, *, source: str = "127.0.0.1") -> None:
        self._to, self._source = to, source
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._last: socket.socket | None = None
        self._silent = False
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        """How often a client's message followed an answer: what a slow network costs."""

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in (side for pair in self._pairs for side in pair):
            one.close()

    def cut(self) -> None:
        """Break all connections there are; new ones are accepted."""
        for one in (side for pair in self._pairs for side in pair):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its other side has gone already

    def cut_clients(self) -> None:
        """Break the clients' side of all connections there are; the server never learns of it."""
        self._silent = True
        for client, _ in self._pairs:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(
                ("127.0.0.1", self._to), source_address=(self._source, 0)
            )
            self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                pump = threading.Thread(target=self._pump, args=(source, target, client))
                self._threads.append(pump)
                pump.start()

    def _pump(self, source: socket.socket, target: socket.socket, client: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if source is client and self._last is not source:
                    self.round_trips += 1
                self._last = source
                target.sendall(data)
            if not self._silent:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            return
