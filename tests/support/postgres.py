"""Throw-away PostgreSQL servers to break, made from any installation's binaries. Linux only."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pg_pool_exporter.commands.demo.postgres import ThrowAwayPostgres, embedded_binaries, wait_until
from support.programs import free_port

__all__ = [
    "EMBEDDED_16",
    "EMBEDDED_18",
    "OTHER_VERSIONS",
    "Cluster",
    "system_bindirs",
    "wait_until",
]

EMBEDDED_16 = embedded_binaries("pginstall")
EMBEDDED_18 = embedded_binaries("pginstall18")
_SERVERS = Path(__file__).parents[1] / "servers"
OTHER_VERSIONS = {
    version: _SERVERS / f"node_modules/postgresql-{version}/native/bin"
    for version in (13, 14, 15, 17)
}
"""By major version, the `bin` directories of the servers that `make servers` fetches, and of one
that is newer than they, where `PGPE_POSTGRESQL_19` names it."""
if _newest := os.environ.get("PGPE_POSTGRESQL_19"):
    OTHER_VERSIONS[19] = Path(_newest)


def system_bindirs() -> list[Path]:
    """The `bin` directories of PostgreSQL servers from Debian's packages, oldest version first."""
    found = (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return sorted(found, key=lambda path: int(path.parent.name))


_TEMPLATES: dict[Path, Path] = {}
_CREATING = Lock()


@lru_cache
def _store() -> Path:
    """The directory of the templates. Not made by programs that only import this module."""
    path = Path(tempfile.mkdtemp(prefix="pgpe-templates-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Cluster(ThrowAwayPostgres):
    """A throw-away server whose processes can be stopped in their tracks.

    Everybody is trusted unless `hba` says otherwise.
    """

    host = "127.0.0.1"

    def __init__(self, bindir: Path | str, *, settings: Mapping[str, str] | None = None) -> None:
        self._paused: list[int] = []
        self._installation = Path(bindir)
        self.port = free_port()
        own = {"listen_addresses": self.host, "port": str(self.port)}
        super().__init__(bindir, settings={**own, **(settings or {})})

    def __repr__(self) -> str:
        return f"<Cluster {self.version} {self.host}:{self.port}>"

    @property
    def version(self) -> int:
        """The major version."""
        return int((self._data / "PG_VERSION").read_text())

    @property
    def postmaster(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def dsn(self, **params: str | int) -> str:
        """A connection string over TCP, for database and user `postgres` by default."""
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

    def terminate(self, pid: int) -> None:
        """End a session and wait until it is gone."""
        self.run(f"SELECT pg_terminate_backend({pid})")
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the session is gone")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; what is paused must run to do so."""
        self.resume()
        super().stop(mode)

    def restart(self) -> None:
        """Stop and start again, on the same port and data."""
        self.stop()
        self.start()

    def hba(self, lines: Iterable[str]) -> None:
        """Put lines before all others in pg_hba.conf and have the server read it."""
        path = self._data / "pg_hba.conf"
        path.write_text("\n".join([*lines, path.read_text()]))
        self._reload()

    def reload(self, *lines: str) -> None:
        """Add lines to postgresql.conf and have it read; the last line of a setting counts."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._reload()

    def make_standby(self) -> None:
        """From its next start on the server is a standby; it has no primary."""
        (self._data / "standby.signal").touch()

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

    def _create_data(self) -> None:
        """A copy of the data directory that the first server of this version was made with.

        It takes a quarter of initdb's time.
        """
        with _CREATING:
            template = _TEMPLATES.get(self._installation)
            if template is None:
                super()._create_data()
                template = _TEMPLATES[self._installation] = _store() / str(len(_TEMPLATES))
                source, target = self._data, template
            else:
                source, target = template, self._data
            subprocess.run(["cp", "--archive", source, target], check=True)

    def _reload(self) -> None:
        seen = self.log.count("received SIGHUP")
        os.kill(self.postmaster, signal.SIGHUP)
        wait_until(lambda: self.log.count("received SIGHUP") > seen, f"{self} has reloaded")

    def _pause(self, pid: int) -> None:
        self._paused.append(pid)
        os.kill(pid, signal.SIGSTOP)
