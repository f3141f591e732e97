"""The stand on which faults are provoked: a daemon, and one of each kind of its targets."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import yaml

from bench.faults.page import Certificates, Page
from pg_pool_exporter.sockets import ENVIRONMENT
from support.link import Link
from support.pages import Peer, answer, page_of, pool
from support.pgbouncer import PGBOUNCER, Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import answers, exporter, free_port, running
from support.wall_clock import LIBFAKETIME

INTERVAL, TIMEOUT = 1.0, 0.9
"""Of all polls, in seconds."""
PASSWORD = "right"
TOKEN = "open sesame"
PAGE = page_of(replace(pool("billing"), leaked_slots={}, timeouts={"pool": 0, "connect": 0}))
"""A metrics page on which nothing is wrong."""
_FOREIGN_PAGE = b"".join(
    b'hikaricp_connections%s{pool="main"} %d\n' % value
    for value in ((b"_max", 5), (b"_idle", 4), (b"_active", 1), (b"_pending", 0))
)
PEER = Path(os.environ.get("PGPE_POSTGRES_EXPORTER", "/usr/bin/prometheus-postgres-exporter"))
"""postgres_exporter: Debian's, if the environment names no other one."""
PEER_SECONDS = 4.0
"""How long its answer is waited for."""
END_EXPORTERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE usename IN ('exporter', 'former')"
)
_APPS = Path(__file__).parents[2] / "tests/apps"
_SETTINGS = {
    "max_connections": "20",
    "superuser_reserved_connections": "3",
    "logging_collector": "on",
    "log_file_mode": "0644",
    "log_filename": "server.log",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "idle_in_transaction_session_timeout": "5min",
}
_ROLES = (
    f"CREATE ROLE exporter LOGIN PASSWORD '{PASSWORD}'",
    "GRANT pg_monitor TO exporter",
    "CREATE ROLE app LOGIN",
    "CREATE DATABASE monitored",
)
# Without these root opens every file, and an unreadable one could not be shown.
_BOUND_BY_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


class Scrape(NamedTuple):
    """One answer of `/metrics`."""

    seconds: float
    series: dict[str, float]
    """Values by name and labels, as they are written."""


class Stand:
    """Everything, running. `serving` makes one."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self.directory = directory
        self.log_directory = directory / "log"
        self.log_directory.mkdir()
        self.log_directory.chmod(0o777)  # the server runs as nobody where this is root
        settings = {**_SETTINGS, "log_directory": str(self.log_directory)}
        self.cluster = stack.enter_context(Cluster(EMBEDDED_16, settings=settings))
        self._prepare_server()
        self.link = stack.enter_context(Link(self.cluster.port))
        self.certificates = Certificates()
        self.page = stack.enter_context(Page(_wants_the_token))
        self.secure_page = stack.enter_context(
            Page(answer(_FOREIGN_PAGE, "Content-Type: text/plain"), self.certificates.context)
        )
        targets = json.dumps([{"targets": [f"127.0.0.1:{self.page.port}"]}])
        self.list_page = stack.enter_context(
            Page(answer(targets.encode(), "Content-Type: application/json"))
        )
        self.bouncer = self._bouncer()
        self.address = f"127.0.0.1:{free_port()}"
        self.config = directory / "config.yaml"
        self.web_config = directory / "web.yaml"
        self.password_file = directory / "password"
        self.token_file = directory / "token"
        self.list_file = directory / "list.json"
        self.sockets = directory / "sockets"
        self.state = directory / "state"
        self.log_file = self.log_directory / "server.log"
        self._log = directory / "daemon.log"
        self.second_log = directory / "second.log"
        self._write_files()
        self.app = stack.enter_context(self.application())
        self.daemon = stack.enter_context(running(
            [*_bound_by_modes(), *exporter(*self.arguments(self.address))],
            log=self._log,
        ))  # fmt: skip
        self._peer_stack = stack.enter_context(ExitStack())
        self.peer: str | None = None

    def _prepare_server(self) -> None:
        for statement in _ROLES:
            self.cluster.run(statement)
        self.hba = self.cluster.directory / "data/pg_hba.conf"
        self.hba.write_text(f"host all exporter all scram-sha-256\n{self.hba.read_text()}")
        self.cluster.run("SELECT pg_reload_conf()")

    def _bouncer(self) -> Bouncer | None:
        if not PGBOUNCER.exists():
            return None
        return self._stack.enter_context(
            Bouncer(
                self.cluster, {"shop": "dbname=monitored user=postgres"}, {"server_lifetime": 1}
            )
        )

    def _write_files(self) -> None:
        self.password_file.write_text(PASSWORD)
        self.token_file.write_text(TOKEN)
        authority = self.directory / "authority.pem"
        self.certificates.authority.cert_pem.write_to_path(str(authority))
        self.list_file.write_text(json.dumps([{"targets": [f"127.0.0.1:{self.page.port}"]}]))
        self.sockets.mkdir(mode=0o700)
        self.state.mkdir()
        self.web_config.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
        self.config.write_text(yaml.safe_dump(self.configuration()))
        for file in (self.password_file, self.token_file, self.config):
            file.chmod(0o600)

    def configuration(self) -> dict[str, Any]:
        """What the daemon's file says."""
        pace = {"interval": f"{INTERVAL * 1000:.0f}ms", "timeout": f"{TIMEOUT * 1000:.0f}ms"}
        dsn = self.cluster.dsn(port=self.link.port, user="exporter", dbname="monitored")
        log = {"files": [str(self.log_file)], "format": "stderr", **pace}
        own = {"bearer_token_file": str(self.token_file), **pace}
        bouncers = []
        if self.bouncer is not None:
            bouncers.append({"name": "edge", "dsn": self.bouncer.dsn(), **pace})
        return {
            "socket_dir": str(self.sockets),
            "state_dir": str(self.state),
            "processes": pace,
            "servers": [{
                "name": "main", "dsn": dsn, "password_file": str(self.password_file),
                "log": log, **pace,
            }],
            "pgbouncers": bouncers,
            "apps": [
                {"name": "billing", "targets": [f"http://127.0.0.1:{self.page.port}/metrics"],
                 **own},
                {"name": "vault", "targets": [f"https://127.0.0.1:{self.secure_page.port}/metrics"],
                 "tls_config": {"ca_file": str(self.directory / "authority.pem")}, **pace},
                {"name": "listed", "file_sd": [str(self.list_file)], **own},
                {"name": "called", "http_sd": [{
                    "url": f"http://127.0.0.1:{self.list_page.port}/", "refresh_interval": "1s",
                }], **own},
            ],
        }  # fmt: skip

    def arguments(self, address: str) -> tuple[str, ...]:
        """The command line of a daemon with this configuration."""
        return (
            "run", f"--config.file={self.config}", f"--socket-dir={self.sockets}",
            f"--web.config.file={self.web_config}",
            f"--web.listen-address={address}", "--web.enable-lifecycle", "--log.format=json",
        )  # fmt: skip

    @contextmanager
    def second_daemon(
        self, environment: Mapping[str, str] | None = None, server: str = ""
    ) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """Another daemon for the same targets, but for what only one may use: its address too.

        With the dsn of another `server` it polls that one, and nothing else.
        """
        file = self.directory / "second.yaml"
        own = {**self.configuration(), "state_dir": "", "socket_dir": ""}
        if server:
            own = {"servers": [{"name": "main", "dsn": server, "interval": "1s"}]}
        file.write_text(yaml.safe_dump(own))
        address = f"127.0.0.1:{free_port()}"
        command = exporter("run", f"--config.file={file}", f"--web.listen-address={address}")
        with running(command, log=self.second_log, environment=environment) as process:
            wait_until(lambda: is_up(series_of(address)), "the second daemon polls all targets")
            yield address, process

    def start_peer(self) -> None:
        """Start postgres_exporter on the same server, over the same link, anew."""
        self._peer_stack.close()
        if not PEER.exists():
            return
        address = f"127.0.0.1:{free_port()}"
        source = (
            f"postgresql://exporter:{PASSWORD}@127.0.0.1:{self.link.port}/monitored?sslmode=disable"
        )
        self._peer_stack.enter_context(running(
            [PEER, f"--web.listen-address={address}"], log=self.directory / "peer.log",
            environment={"DATA_SOURCE_NAME": source},
        ))  # fmt: skip
        wait_until(lambda: answers(f"http://{address}/"), "postgres_exporter answers")
        self.peer = address
        self.ask_peer()

    @contextmanager
    def application(self) -> Iterator[subprocess.Popen[bytes]]:
        """An instrumented process with a pool of its own."""
        process = subprocess.Popen(
            [sys.executable, _APPS / "leaks_on_command.py", self.cluster.dsn(user="app")],
            stdin=subprocess.PIPE, env={**os.environ, ENVIRONMENT: str(self.sockets)},
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def scrape(self, path: str = "/metrics", seconds: float = 5.0) -> Scrape:
        """Scrape the daemon. Raises `OSError` when it does not answer."""
        started = time.monotonic()
        text = _get(self.address, path, seconds)
        return Scrape(time.monotonic() - started, _series(text))

    def findings(self) -> dict[str, Any]:
        """The document of `/api/v1/findings`."""
        return findings_of(self.address)

    def doctor(self) -> int:
        """The exit code of `doctor --url`."""
        command = exporter("doctor", f"--url=http://{self.address}")
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode

    def log_size(self) -> int:
        """How much the daemon has logged, in bytes."""
        return self._log.stat().st_size

    def logged(self, since: int) -> list[dict[str, Any]]:
        """What the daemon has logged beyond the first `since` bytes."""
        with self._log.open("rb") as file:
            file.seek(since)
            lines = file.read().decode(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for_log(self, message: str) -> None:
        """Wait until the daemon logs `message` from now on."""
        since = self.log_size()
        wait_until(
            lambda: any(message in one["msg"] for one in self.logged(since)),
            f"the log has {message}",
        )

    def ask_peer(self) -> str:
        """What postgres_exporter does now, in words."""
        assert self.peer is not None
        started = time.monotonic()
        try:
            series = _series(_get(self.peer, "/metrics", PEER_SECONDS))
        except TimeoutError:
            return f"no answer in {PEER_SECONDS:g} s"
        except (OSError, HTTPException):
            return "breaks off"
        up = series.get("pg_up")
        sessions = any(one.startswith("pg_stat_activity_count{") for one in series)
        sees = "sessions" if sessions else "no sessions"
        return f"pg_up {up:g}, {sees}, in {time.monotonic() - started:.1f} s"

    def end_own_sessions(self) -> None:
        """Terminate the sessions of the exporters."""
        self.cluster.run(END_EXPORTERS)

    def own_sessions(self) -> list[int]:
        """The process ids of the exporters' sessions."""
        rows = self.cluster.run("SELECT pid FROM pg_stat_activity WHERE usename = 'exporter'")
        return [int(pid) for (pid,) in rows]

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection[Any]]:
        """A session that can do everything."""
        with self.cluster.connect() as connection:
            yield connection

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until every target answers and the checklist has only what is fine."""
        end = time.monotonic() + seconds
        while complaints := self.complaints():
            if time.monotonic() > end:
                raise TimeoutError(f"not well after {seconds:g} s: {'; '.join(complaints)}")
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """Everything that is wrong."""
        try:
            series = self.scrape().series
            checks = self.findings()["checks"]
        except (OSError, HTTPException):
            return ["no answer"]
        found = [
            name for name, value in series.items() if value == 0 and name.split("{")[0] in _HEALTH
        ]
        kinds = {
            name.partition('kind="')[2].partition('"')[0]
            for name in series
            if name.startswith("pg_pool_exporter_target_up{")
        }
        expected = {"server", "log", "app", "process"} | ({"bouncer"} if self.bouncer else set())
        found += [f"no {kind}" for kind in expected - kinds]
        return found + [
            f"{one['check']} {one['verdict']}"
            for one in checks
            if one["verdict"] != "fine"
            and one["check"] not in _SLOW
            and not (one["verdict"] == "unknown" and one["check"] in _UNKNOWN_FIRST)
        ]


# Unknown, or remembered, for minutes.
_SLOW = ("timeouts", "deadlocks")
_UNKNOWN_FIRST = ("leaks",)
_HEALTH = (
    "pg_pool_exporter_target_up",
    "pg_pool_exporter_discovery_up",
    "pg_pool_exporter_config_last_reload_successful",
    "pg_pool_exporter_web_config_last_reload_successful",
    "pg_pool_exporter_socket_directory_up",
    "pg_pool_exporter_log_state_saved",
)


def is_possible(needs: str) -> bool:
    """Whether this machine has what a fault needs."""
    return {
        "bouncer": PGBOUNCER.exists(),
        "clock": LIBFAKETIME is not None,
        "device": _may_make_devices(),
    }.get(needs, True)


@cache
def _may_make_devices() -> bool:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "full")
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)  # noqa: PTH116
            path.open("wb").close()
        except OSError:
            return False
    return True


@contextmanager
def serving() -> Iterator[Stand]:
    """A stand on which everything is well."""
    # Not in the directory of the tests: a socket's path is short.
    directory = Path(tempfile.mkdtemp(prefix="pgpe-faults-"))
    try:
        with ExitStack() as stack:
            directory.chmod(0o755)  # for the server
            stand = Stand(stack, directory)
            stand.settle()
            yield stand
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _wants_the_token(peer: Peer) -> None:
    request = await peer.request()
    allowed = f"Bearer {TOKEN}".encode() in request
    status = "200 OK" if allowed else "401 Unauthorized"
    body = PAGE
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    await peer.send(head.encode() + body)


def _bound_by_modes() -> list[str]:
    return _BOUND_BY_MODES if os.getuid() == 0 and shutil.which("setpriv") else []


def is_up(series: Mapping[str, float]) -> bool:
    """Whether all targets are up, and there is a server."""
    up = {name: value for name, value in series.items() if name.startswith(_HEALTH[0])}
    return any('kind="server"' in name for name in up) and all(up.values())


def series_of(address: str) -> dict[str, float]:
    """The series that a daemon shows; none while it does not answer."""
    try:
        return _series(_get(address, "/metrics", 5.0))
    except (OSError, HTTPException):
        return {}


def findings_of(address: str) -> dict[str, Any]:
    """The document of a daemon's `/api/v1/findings`."""
    document: dict[str, Any] = json.loads(_get(address, "/api/v1/findings", 5.0))
    return document


def _get(address: str, path: str, seconds: float) -> str:
    connection = HTTPConnection(address, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _series(page: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in page.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, _, value in lines}
