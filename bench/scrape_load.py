"""A load of scrapes: clients in processes of their own, each with one connection at a time."""

from __future__ import annotations

import multiprocessing
import socket
import time
from dataclasses import dataclass
from math import ceil

_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class Scrapes:
    """What the clients measured; times in seconds from sending the request."""

    per_second: float
    first_byte: list[float]
    last_byte: list[float]
    size: int
    """Bytes of the last body."""


def percentile(values: list[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them are not above."""
    return sorted(values)[ceil(share * len(values)) - 1]


def load(port: int, *, clients: int, seconds: float, gzip: bool = False) -> Scrapes:
    """Scrape `/metrics` on the loopback with `clients` at once, as often as they can."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    with context.Pool(clients, _share, (barrier,)) as pool:
        results = pool.starmap(_client, [(port, seconds, gzip)] * clients, chunksize=1)
    return Scrapes(
        per_second=sum(len(first) / elapsed for first, _, _, elapsed in results),
        first_byte=[value for first, *_ in results for value in first],
        last_byte=[value for _, last, *_ in results for value in last],
        size=results[0][2],
    )


def _share(barrier: object) -> None:
    globals()["_barrier"] = barrier


def _client(port: int, seconds: float, gzip: bool) -> tuple[list[float], list[float], int, float]:
    encoding = b"Accept-Encoding: gzip\r\n" if gzip else b""
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + encoding + b"\r\n"
    first: list[float] = []
    last: list[float] = []
    buffer = memoryview(bytearray(_BUFFER))
    connection = socket.create_connection(("127.0.0.1", port))
    size = _scrape(connection, request, buffer)[2]
    globals()["_barrier"].wait()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        sent = time.perf_counter()
        if size < 0:
            # The server closes after each answer, so connecting is a part of its scrapes.
            connection.close()
            connection = socket.create_connection(("127.0.0.1", port))
        first_at, last_at, size = _scrape(connection, request, buffer)
        first.append(first_at - sent)
        last.append(last_at - sent)
    connection.close()
    return first, last, abs(size), time.perf_counter() - begin


def _scrape(
    connection: socket.socket, request: bytes, buffer: memoryview
) -> tuple[float, float, int]:
    """Times of the first and last byte, and the body's size; negative when the server closes."""
    connection.sendall(request)
    got = connection.recv_into(buffer)
    first = time.perf_counter()
    head = bytes(buffer[:got])
    while b"\r\n\r\n" not in head:
        got = connection.recv_into(buffer)
        head += bytes(buffer[:got])
    head, _, body = head.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if " 200 " not in status:
        raise RuntimeError(status)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers["content-length"]) if "content-length" in headers else None
    count = len(body)
    while count != length:
        got = connection.recv_into(buffer)
        if not got:
            break
        count += got
    last = time.perf_counter()
    closes = status.startswith("HTTP/1.0") or headers.get("connection") == "close"
    return first, last, -count if closes else count
