"""Faults of the daemon's own process, and of those who scrape it."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.faults.case import fault
from bench.faults.stand import Stand
from support.programs import exporter

_PROCESS, _SCRAPERS = "Process", "Scrapers"
_GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@fault(_PROCESS, "its address is taken: a second one ends and names it")
def _taken(stand: Stand) -> Iterator[None]:
    arguments = (f"--web.listen-address={stand.address}", "--socket-dir=")
    done = subprocess.run(
        exporter("run", *arguments), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0, "it ends with success"
    assert stand.address.rpartition(":")[2] in done.stderr, "it does not name the address"
    yield


@fault(_PROCESS, "no descriptor left")
def _descriptors(stand: Stand) -> Iterator[None]:
    pid = stand.daemon.pid
    used = [int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(used) + 1, limits[1]))
    time.sleep(2)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    yield


@fault(_PROCESS, "wall clock an hour ahead", needs="clock")
def _ahead(stand: Stand) -> Iterator[None]:
    stand.set_clock(3600)
    yield
    stand.set_clock(0)


@fault(_PROCESS, "wall clock 20 years back", needs="clock")
def _back(stand: Stand) -> Iterator[None]:
    stand.set_clock(-20 * 365 * 86400)
    yield
    stand.set_clock(0)


def _connect(stand: Stand, sent: bytes) -> socket.socket:
    host, _, port = stand.address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=5)
    client.sendall(sent)
    return client


@fault(_SCRAPERS, "100 that never read their answer")
def _slow(stand: Stand) -> Iterator[None]:
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(_connect(stand, _GET + b"\r\n"))
        yield


@fault(_SCRAPERS, "100 that never finish their request")
def _unfinished(stand: Stand) -> Iterator[None]:
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(_connect(stand, _GET + b"X-Slow: "))
        yield


@fault(_SCRAPERS, "half-closed: it gets its answer")
def _half_closed(stand: Stand) -> Iterator[None]:
    with _connect(stand, _GET + b"Connection: close\r\n\r\n") as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(99).startswith(b"HTTP/1.1 200"), "it gets none"
    yield


@fault(_SCRAPERS, "no HTTP: it gets an error")
def _garbage(stand: Stand) -> Iterator[None]:
    with _connect(stand, os.urandom(64) + b"\r\n\r\n") as client:
        assert b" 400 " in client.recv(99), "it gets no status 400"
    yield
