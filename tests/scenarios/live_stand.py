"""A live stand: a real server, the exporter, and applications as real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import NamedTuple

from pg_pool_exporter.config import Thresholds
from scenarios.exporter import INTERVAL, LEAK_AFTER
from support.link import Link
from support.pgbouncer import NEWER, PGBOUNCER, Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import answers, free_port, running

_TESTS = Path(__file__).parents[1]
_STARTS = 60.0
"""Seconds that a program may take for its start when the machine is busy."""
# Ages. How long applications take for their work doesn't change with the exporter's clock.
_AGES = ("long_statement", "idle_in_transaction", "lock_wait", "bouncer_held")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Processes of an application, see tests/apps/workload.py. Rates are in real seconds."""

    app: str = "orders"
    named: bool = True
    """Whether its sessions have its name as `application_name`; else they have none."""
    library: str = "psycopg_pool"
    host: str = "127.0.0.1"
    """Where its sessions come from and its pages are, an address of the loopback."""
    processes: int = 1
    most: int = 10
    least: int = 2
    timeout: float = 10.0
    max_idle: float = 30.0
    rate: float = 20.0
    otherwise: str = "work"
    fault: str = "work"
    one_in: int = 1
    faulty_rate: float | None = None
    period: float = 0.0
    busy: float = 0.0
    at_start: tuple[str, ...] = ()

    def plan(self, leak_after: float) -> str:
        """The argument of a process."""
        faulty = self.rate if self.faulty_rate is None else self.faulty_rate
        return json.dumps({**asdict(self), "leak_after": leak_after, "faulty_rate": faulty})


class _Page(NamedTuple):
    """Of a process that another library measures."""

    app: str
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/metrics"


class Stand:
    """All that runs; it ends when `stack` is closed.

    `page` is how pools are read, as a scenario's. Durations of the exporter are divided by
    `factor`. `settings` and `environment` are the server's.
    """

    def __init__(
        self,
        stack: ExitStack,
        directory: Path,
        *,
        apps: tuple[App, ...],
        page: str,
        factor: float,
        settings: Mapping[str, str],
        environment: Mapping[str, str],
        bouncer: Mapping[str, str | int] | None,
        link: bool,
    ) -> None:
        self.stack, self.directory = stack, directory
        self.ended = Event()
        """That the run is over: who acts on it must come to an end."""
        self.processes: list[subprocess.Popen[bytes]] = []
        self._factor, self._page = factor, page
        cluster = Cluster(EMBEDDED_16, settings=settings)
        cluster.environment.update(environment)
        self.cluster = stack.enter_context(cluster)
        # As usual, but for the whole loopback.
        cluster.hba(["host all all 127.0.0.0/8 trust"])
        cluster.run("CREATE TABLE stock (id int PRIMARY KEY, number int)")
        cluster.run("INSERT INTO stock VALUES (1, 0)")
        self.bouncer: Bouncer | None = None
        self.link: Link | None = None
        """Between the bouncer and the server."""
        if bouncer is not None:
            cluster.run("CREATE ROLE app LOGIN")
            # PgBouncer counts logins from 1.25 on.
            program = NEWER["NEWEST"] or PGBOUNCER
            self.link = stack.enter_context(Link(cluster.port)) if link else None
            where = f"port={self.link.port}" if self.link is not None else ""
            in_front = Bouncer(cluster, {"postgres": where}, bouncer, program=program)
            self.bouncer = stack.enter_context(in_front)
        self._pages = (
            [_Page(app.app, app.host, free_port()) for app in apps for _ in range(app.processes)]
            if page != "client"
            else []
        )
        self._unused = list(self._pages)
        self.address = self._start_exporter()
        for app in apps:
            for _ in range(app.processes):
                self.start(app)

    def start(self, app: App) -> subprocess.Popen[bytes]:
        """Start one process and wait until it can be read."""
        number = len(self.processes)
        log = self.directory / f"{app.app}-{number}.log"
        dsn = self._dsn(app)
        plan = app.plan(LEAK_AFTER / self._factor)
        command = [sys.executable, "-W", "error", "-m", "apps.workload", dsn, plan]
        if self._page != "client":
            page = next(one for one in self._unused if (one.app, one.host) == (app.app, app.host))
            self._unused.remove(page)
            command += [str(page.port), self._page.removeprefix("foreign, ")]
        process = self.stack.enter_context(
            running(
                command,
                log=log,
                environment={"PG_POOL_EXPORTER_SOCKET_DIR": str(self._sockets)},
                stdin=subprocess.PIPE,
                directory=_TESTS,
            )
        )
        self.processes.append(process)
        wait_until(lambda: "ready" in log.read_text(), f"{app.app} is ready: {log}", _STARTS)
        return process

    def begin_fault(self) -> None:
        """Have all processes do what is wrong from now on."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(b"now\n")
            process.stdin.flush()

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as an orderly deployment does."""
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    def _dsn(self, app: App) -> str:
        """Where the processes of an application connect to."""
        if self.bouncer is not None:
            return self.bouncer.dsn("postgres", "app", application_name=app.app)
        name = app.app if app.named else ""
        if app.host == "127.0.0.1":
            return self.cluster.dsn(application_name=name)
        link = self.stack.enter_context(Link(self.cluster.port, source=app.host))
        return self.cluster.dsn(application_name=name, port=link.port)

    @property
    def _sockets(self) -> Path:
        return self.directory / "sockets"

    def _start_exporter(self) -> str:
        """Where it answers."""
        interval = f"{INTERVAL / self._factor * 1000:.0f}ms"
        config = self.directory / "config.json"
        config.write_text(
            json.dumps(
                {
                    "socket_dir": str(self._sockets),
                    "processes": {"interval": interval},
                    "thresholds": {
                        key: f"{getattr(Thresholds(), key) / self._factor:g}s"
                        for key in _AGES
                    },
                    "servers": [
                        {"name": "main", "dsn": self.cluster.dsn(), "interval": interval}
                    ],
                    "pgbouncers": [
                        {"name": "front", "dsn": self.bouncer.dsn(), "interval": interval}
                    ] if self.bouncer else [],
                    "apps": [
                        {
                            "name": app, "format": "micrometer",
                            **({"bouncers": ["front"]} if self.bouncer else {"server": "main"}),
                            "leak_after": f"{LEAK_AFTER / self._factor:g}s", "interval": interval,
                            "targets": [one.url for one in self._pages if one.app == app],
                        }
                        for app in dict.fromkeys(one.app for one in self._pages)
                    ],
                }
            )
        )  # fmt: skip
        address = f"127.0.0.1:{free_port()}"
        self.stack.enter_context(
            running(
                [sys.executable, "-m", "apps.scaled_exporter", f"{self._factor:g}",
                 f"--config.file={config}", f"--web.listen-address={address}"],
                log=self.directory / "exporter.log",
                # The variable has precedence over the configuration.
                environment={"PG_POOL_EXPORTER_SOCKET_DIR": str(self._sockets)},
                directory=_TESTS,
            )
        )  # fmt: skip
        wait_until(lambda: answers(f"http://{address}/-/healthy"), "the exporter answers", _STARTS)
        return address
