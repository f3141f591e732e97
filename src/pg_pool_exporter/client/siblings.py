"""One page for all processes of an application on a host.

A scrape through a pre-forking server's port reaches any one of its processes. So that it doesn't
show one at random, that one answers for all of them: it reads its siblings' pages in the socket
directory.
"""

from __future__ import annotations

import http.client
import socket
import stat
from contextlib import suppress
from pathlib import Path

from pg_pool_exporter.catalogue import BY_NAME, Metric
from pg_pool_exporter.client.slots import file_prefix
from pg_pool_exporter.sockets import PAGE_PATH, SUFFIX

_SECONDS = 1.0
_MOST_BYTES = 1 << 20
_MOST_SIBLINGS = 200


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def sibling_pages(own: Path, app: str) -> list[dict[Metric, str]]:
    """The pages of the application's other processes; one that doesn't answer is left out."""
    pages = []
    for path in sorted(own.parent.glob(f"{file_prefix(app)}-*{SUFFIX}"))[:_MOST_SIBLINGS]:
        number = path.name.removeprefix(f"{file_prefix(app)}-").removesuffix(SUFFIX)
        if path == own or not number.isdecimal():
            continue
        with suppress(OSError, http.client.HTTPException):
            pages.append(_by_metric(_read(path)))
    return pages


def _read(path: Path) -> str:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError("not a socket")
    connection = _UnixConnection(path)
    try:
        connection.request("GET", PAGE_PATH)
        response = connection.getresponse()
        body = response.read(_MOST_BYTES + 1)
        if response.status != 200 or len(body) > _MOST_BYTES:
            raise OSError("no page")
        return body.decode("utf-8", "replace")
    finally:
        connection.close()


def _by_metric(page: str) -> dict[Metric, str]:
    """The lines of each metric that we know, without its header."""
    blocks: dict[Metric, list[str]] = {}
    metric: Metric | None = None
    for line in page.splitlines(keepends=True):
        if line.startswith("# TYPE "):
            metric = BY_NAME.get(line.split(" ")[2])
        elif metric is not None and not line.startswith("#"):
            blocks.setdefault(metric, []).append(line)
    return {metric: "".join(lines) for metric, lines in blocks.items()}
