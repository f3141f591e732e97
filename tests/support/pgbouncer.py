"""A throw-away PgBouncer from Debian's packages, before a throw-away PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Self

import psycopg
from psycopg import ClientCursor
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, TupleRow, dict_row

from pg_pool_exporter.commands.demo.postgres import as_nobody
from support.postgres import Cluster, wait_until
from support.programs import free_port

PGBOUNCER = Path("/usr/sbin/pgbouncer")
NEWER = {
    version: Path(path) if (path := os.environ.get(f"PGPE_PGBOUNCER_{version}")) else None
    for version in ("24", "NEWEST")
}
"""1.24, and the newest of a Debian suite, where a variable says that there is one."""
PASSWORD = "let me in"
"""Of every user."""
_USERS = ("stats", "admin", "postgres", "app", "reports")


class Bouncer:
    """A PgBouncer on a port of the loopback. Use it as a context manager.

    `databases` are lines of its section by name, without host and port, `users` and `peers` of
    theirs; `settings` go into the section [pgbouncer]. `stats` is one of its stats_users, `admin`
    one of its admin_users; the others must be roles of the server.
    """

    def __init__(
        self,
        cluster: Cluster,
        databases: Mapping[str, str],
        settings: Mapping[str, str | int] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        users: Mapping[str, str] | None = None,
        peers: Mapping[int, str] | None = None,
        program: Path = PGBOUNCER,
        port: int | None = None,
        on_unix: bool = False,
    ) -> None:
        self.port = port or free_port()
        self._program = program
        self._environment = dict(environment or {})
        self._directory = Path(tempfile.mkdtemp(prefix="pgpe-bouncer-"))
        self._sockets = self._directory / "sockets"
        self._log = self._directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        own: dict[str, str | int] = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": str(self._sockets) if on_unix else "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._directory / "users"),
            "stats_users": "stats",
            "admin_users": "admin",
            "ignore_startup_parameters": "extra_float_digits",
        }
        where = f"host={cluster.host} port={cluster.port}"
        lines = [
            "[databases]",
            *(f"{name} = {where} {rest}" for name, rest in databases.items()),
            "[users]",
            *(f"{name} = {rest}" for name, rest in (users or {}).items()),
            *(["[peers]"] if peers else []),
            *(f"{number} = {rest}" for number, rest in (peers or {}).items()),
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in {**own, **(settings or {})}.items()),
        ]  # fmt: skip
        (self._directory / "ini").write_text("\n".join(lines) + "\n")
        passwords = "".join(f'"{user}" "{PASSWORD}"\n' for user in _USERS)
        (self._directory / "users").write_text(passwords)
        self._directory.chmod(0o755)
        self._sockets.mkdir()
        self._sockets.chmod(0o777)  # it runs as another user

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._directory)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start it and wait until it takes clients."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, self._directory / "ini"], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, **as_nobody(self._directory, self._environment),
            )  # fmt: skip
        wait_until(self._ready, f"PgBouncer takes clients: {self.log}")

    def stop(self) -> None:
        """End it at once, with all its connections; what is paused must run to do so."""
        assert self._process is not None
        self.resume()
        # From 1.23 on, SIGTERM waits for the clients.
        self._process.send_signal(signal.SIGTERM if self._program == PGBOUNCER else signal.SIGQUIT)
        self._process.wait(20)

    def restart(self) -> None:
        """Stop and start again, on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop (SIGSTOP) the process: it answers to nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of its process; a shell that starts it gives way to it."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(errors="replace")

    def dsn(self, dbname: str = "pgbouncer", user: str = "stats", **params: str) -> str:
        """A connection string: of the console by default."""
        known = {"host": "127.0.0.1", "port": str(self.port), "password": PASSWORD, **params}
        return make_conninfo("", dbname=dbname, user=user, **known)

    def unix_dsn(self, dbname: str = "pgbouncer", user: str = "stats") -> str:
        """The same over its unix socket, which a bouncer `on_unix` has."""
        return self.dsn(dbname, user, host=str(self._sockets))

    def clients(self, dbname: str) -> list[DictRow]:
        """Rows of SHOW CLIENTS about a database."""
        with psycopg.connect(
            self.unix_dsn(user="admin"),
            autocommit=True,
            cursor_factory=ClientCursor,
            row_factory=dict_row,
        ) as session:
            rows = session.execute("SHOW CLIENTS").fetchall()
        return [row for row in rows if row["database"] == dbname]

    def connect(self, dbname: str, user: str = "app") -> psycopg.Connection[TupleRow]:
        """A client that has a connection to the server now (in session pooling: to its end)."""
        client = psycopg.connect(self.dsn(dbname, user), autocommit=True)
        client.execute("SELECT 1")
        return client

    def console_session(self, user: str = "admin") -> psycopg.Connection[DictRow]:
        """A session of the admin console."""
        return psycopg.connect(
            self.dsn(user=user), autocommit=True, cursor_factory=ClientCursor, row_factory=dict_row
        )

    def console(self, command: str) -> list[DictRow]:
        """The rows of a command of the admin console."""
        with self.console_session() as session:
            cursor = session.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def holding(
        self, count: int, dbname: str, user: str = "app", *, waiting: int = 0
    ) -> Iterator[None]:
        """`count` clients that each have a connection to the server, and some that wait for one.

        Those that wait get one when the others let go, at the end.
        """
        waiters = [Thread(target=self._wait, args=(dbname, user)) for _ in range(waiting)]
        with ExitStack() as holders:
            for _ in range(count):
                holders.enter_context(self.connect(dbname, user))
            for thread in waiters:
                thread.start()
            wait_until(lambda: self._waiting(dbname, user) == waiting, f"{waiting} clients wait")
            yield
        for thread in waiters:
            thread.join()

    def _wait(self, dbname: str, user: str) -> None:
        self.connect(dbname, user).close()

    def _waiting(self, dbname: str, user: str) -> int:
        rows = self.console("SHOW POOLS")
        return sum(
            row["cl_waiting"] for row in rows if (row["database"], row["user"]) == (dbname, user)
        )

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PgBouncer did not start:\n{self.log}")
        return "process up" in self.log and self._listens()

    def _listens(self) -> bool:
        try:
            self.console("SHOW VERSION")
        except psycopg.OperationalError:
            return False
        return True

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
