"""The examples of docs/how-to: their files and commands, taken from the very text."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pg_pool_exporter.sockets import ENVIRONMENT
from support.client import labels, page_of, request, values
from support.pools import url
from support.postgres import Cluster, wait_until
from support.programs import free_port, running

DIRECTORY = Path(__file__).parents[2] / "docs/how-to"

QUERY = "select 1"
"""What each of them asks PostgreSQL."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# ([a-z_]+\.py)\n")
_PORT = "8000"
_INSTRUMENT = re.compile(r"\binstrument(_all)?\(")


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of docs/how-to/NAME.md that are in a language."""
    found = _BLOCK.findall((DIRECTORY / f"{name}.md").read_text())
    return [text for kind, text in found if kind == language]


class Example:
    """A running example."""

    def __init__(self, sockets: Path, port: int) -> None:
        self._sockets = sockets
        self._port = port

    def get(self, path: str = "/") -> str:
        """What it answers; empty while it doesn't."""
        try:
            status, _, body = request(self._port, path=path)
        except OSError:
            return ""
        return body if status == 200 else ""

    def pages(self) -> list[str]:
        """The page of each of its processes that has a pool in use."""
        found = [page_of(path) for path in sorted(self._sockets.glob("*.sock"))]
        return [page for page in found if values(page, "pg_pool_acquired_total")]

    def acquired(self) -> list[float]:
        """Checkouts of each of its processes that has made one."""
        counts = [sum(values(page, "pg_pool_acquired_total")) for page in self.pages()]
        return [count for count in counts if count]

    def reported(self, label: str) -> set[str]:
        """What all its pools say in a label of `pg_pool_info`."""
        return {text for page in self.pages() for text in labels(page, "pg_pool_info", label)}


def environment_of(postgres: Cluster, dsn: str, scheme: str, directory: Path) -> Mapping[str, str]:
    """What an example needs to run in a directory, with the database at `dsn`."""
    return {
        "DATABASE_URL": url(scheme, dsn),
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "SECRET_KEY": "example",
        "PG_POOL_EXPORTER_APP": "from-outside",
        "PROMETHEUS_MULTIPROC_DIR": str(directory),
    }


@contextmanager
def example(
    name: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    without_us: bool = False,
    query: str = QUERY,
) -> Iterator[Example]:
    """Write the example's files into a directory and run its last command.

    What its `export` lines say holds, where `environment` doesn't say otherwise. `without_us` takes
    the instrumentation out of its code, and puts it before its command. `query` is what it asks
    PostgreSQL for each request.
    """
    for text in blocks(name, "python"):
        found = _NAME.match(text)
        if found is not None:
            code = text.replace(QUERY, query)
            if without_us:
                code = _INSTRUMENT.sub("(lambda pool=None, **names: pool)(", code)
            (directory / found[1]).write_text(code)
    (console,) = blocks(name, "console")
    *exports, command = [line.removeprefix("$ ") for line in console.splitlines()]
    words = [word for line in exports for word in shlex.split(line.removeprefix("export "))]
    said = dict(word.split("=", 1) for word in words)
    port, sockets = free_port(), directory / "sockets"
    own = {
        **said, **environment, ENVIRONMENT: str(sockets), "PYTHONPATH": str(directory),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "XDG_RUNTIME_DIR": str(directory),
    }  # fmt: skip
    log = directory / "log"
    arguments = shlex.split(command.replace(_PORT, str(port)))
    if without_us:
        arguments = [sys.executable, "-m", "pg_pool_exporter.client.auto", *arguments]
    with running(arguments, log=log, environment=own, directory=directory):
        try:
            yield Example(sockets, port)
        except (TimeoutError, AssertionError):
            sys.stderr.write(log.read_text())
            raise


def until_served(one: Example) -> int:
    """Ask until two processes have answered from their pools; gives how often they did."""
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += one.get() == "1"
        return len(one.acquired()) == 2

    wait_until(ask, "two processes have answered")
    return asked
