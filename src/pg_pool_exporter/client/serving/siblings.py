"""One page for all processes of an application on a host.

A scrape through a pre-forking server's port reaches any one of its processes. So that it doesn't
show one at random, that one answers for all of them: it reads its siblings' pages in the socket
directory.
"""

from __future__ import annotations

import http.client
import re
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from pg_pool_exporter.metrics.catalogue import BY_NAME, Metric
from pg_pool_exporter.sockets import PAGE_PATH

# One that hangs must not hide those after it, and all together must not hold up the scrape.
_SECONDS = 0.5
_SECONDS_FOR_ALL = 2.0
_MOST_BYTES = 1 << 20

_LABEL = r'[a-z_]+="(?:[^"\\\n]|\\.)*"'
_SAMPLE = re.compile(rf"([a-z_]+)(?:\{{{_LABEL}(?:,{_LABEL})*\}})? [-+0-9.eInf]+", re.ASCII)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def sibling_pages(sockets: Iterable[Path]) -> list[dict[Metric, str]]:
    """The pages of the application's other processes; one that doesn't answer is left out."""
    pages = []
    deadline = monotonic() + _SECONDS_FOR_ALL
    for path in sockets:
        if monotonic() > deadline:
            break
        with suppress(OSError, http.client.HTTPException):
            pages.append(_by_metric(_read(path)))
    return pages


def _read(path: Path) -> str:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError("not a socket")
    deadline = monotonic() + _SECONDS
    connection = _UnixConnection(path)
    try:
        connection.request("GET", PAGE_PATH)
        response = connection.getresponse()
        if response.status != 200:
            raise OSError("no page")
        body = bytearray()
        while chunk := response.read1(1 << 16):
            body += chunk
            if len(body) > _MOST_BYTES or monotonic() > deadline:
                raise OSError("no end")
        return body.decode("utf-8", "replace")
    finally:
        connection.close()


def _by_metric(page: str) -> dict[Metric, str]:
    """The lines of each metric that we know, without its header."""
    blocks: dict[Metric, list[str]] = {}
    metric: Metric | None = None
    for line in page.split("\n"):
        if line.startswith("# TYPE "):
            metric = BY_NAME.get(line.split(" ")[2])
        sample = _SAMPLE.fullmatch(line)
        if metric is not None and sample is not None and sample[1].startswith(metric.name):
            blocks.setdefault(metric, []).append(f"{line}\n")
    return {metric: "".join(lines) for metric, lines in blocks.items()}
