"""A TCP link to a server that can be watched and broken."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, Self

_DRIP_SECONDS = 0.1


class Link:
    """Relays `host`:`port` to a server on 127.0.0.1:`to`, until the end of the `with` block.

    A `port` of 0 becomes a free one. The server sees its connections come from `source`, an address
    of the loopback.
    """

    def __init__(
        self, to: int, *, source: str = "127.0.0.1", host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._to, self._source = to, source
        self._listener = socket.create_server((host, port))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._last: socket.socket | None = None
        self._silent = False
        self.lag = 0.0
        """Seconds by which each piece of data is late."""
        self.data: Literal["passes", "vanishes", "drips"] = "passes"
        """Dripping data passes a byte at a time, ten in a second."""
        self.newcomers: Literal["pass", "are cut", "are reset"] = "pass"
        """What becomes of new connections."""
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        """How often a client's message followed an answer: what a slow network costs."""

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_exception: object) -> None:
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

    def reset(self) -> None:
        """Break all connections there are with RST; new ones are accepted."""
        pairs, self._pairs = self._pairs, []
        for client, server in pairs:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                # Ends the pump's reading, without a FIN.
                client.shutdown(socket.SHUT_RD)
            _reset(client)
            server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.newcomers == "are reset":
                _reset(client)
                continue
            if self.newcomers == "are cut":
                client.close()
                continue
            try:
                server = socket.create_connection(
                    ("127.0.0.1", self._to), source_address=(self._source, 0)
                )
            except ConnectionRefusedError:
                _reset(client)
                continue
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
                for piece in self._pieces(data):
                    target.sendall(piece)
            if not self._silent:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        time.sleep(self.lag)
        if self.data == "vanishes":
            return
        if self.data == "passes":
            yield data
            return
        for byte in data:
            if self.data == "drips":
                time.sleep(_DRIP_SECONDS)
            yield bytes([byte])


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
