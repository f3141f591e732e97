"""What the exporter watches during the soak, and what happens to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
import yaml

from bench.soak import pages
from bench.soak.clients import misbehave
from bench.soak.figures import measure
from pg_pool_exporter.sources.connection.connector import APPLICATION_NAME
from support.pgbouncer import PGBOUNCER, Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import answers, fetch, free_port, running
from support.sql import install

LOGGING = {
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%H%M%S.log",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_connections": "on",
    "log_disconnections": "on",
    "max_connections": "60",
}
MOST_PROCESSES = 6
LOG_FILES_KEPT = 3
ROTATIONS = 3
"""Each time, so that what the exporter keeps open is at its bound after the warm-up."""
PAUSE_SECONDS = 4.0
"""Longer than the exporter's deadlines here."""
RECOVERY_SECONDS = 60.0


class Stage:
    """The servers, applications and pages, and the exporter before them: a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sockets = directory / "sockets"
        self._config = directory / "config.yaml"
        self._list = directory / "list.json"
        self._log = directory / "exporter.log"
        self._apps_log = directory / "apps.log"
        self._stack = ExitStack()
        self._pages = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._numbers = count()
        self.port = free_port()
        self._cluster = Cluster(EMBEDDED_16, settings=LOGGING)
        self._bouncer = Bouncer(
            self._cluster, {"shop": "dbname=postgres"}, {"pool_mode": "transaction"}
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._cluster)
            install(self._cluster, "exporter")
            self._cluster.run("CREATE ROLE app LOGIN")
            if self.has_bouncer:
                stack.enter_context(self._bouncer)
            stack.callback(self._end_processes)
            stack.callback(self._pages.close)
            self._pages.enter_context(pages.serving())
            pages.write_list(self._list)
            self._configure()
            self._steady = self._start_process("steady")
            self._exporter = stack.enter_context(self._running_exporter())
            wait_until(lambda: answers(f"{self.url}/-/healthy"), "the exporter answers")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def has_bouncer(self) -> bool:
        """Whether PgBouncer is installed."""
        return PGBOUNCER.exists()

    @property
    def url(self) -> str:
        """Where the exporter answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the exporter has logged."""
        return self._log.read_text(errors="replace")

    def figures(self) -> dict[str, float]:
        """Sizes of the exporter and of the application that runs throughout.

        Sessions of the exporter are missing while the server is away.
        """
        found = {
            f"{name}: {figure}": value
            for name, pid in (("exporter", self._exporter.pid), ("application", self._steady.pid))
            for figure, value in measure(pid, self._figures(name)).items()
        }
        with suppress(psycopg.Error):
            found["exporter: PostgreSQL sessions"] = self._sessions()
        return found

    def events(self) -> dict[str, Callable[[], None]]:
        """What can happen, by name."""
        always: dict[str, Callable[[], None]] = {
            "process starts": self._process_starts,
            "process ends": self._process_ends,
            "file list changes": lambda: pages.write_list(self._list),
            "pages restart": self._pages_restart,
            "log rotates": self._log_rotates,
            "configuration changes": self._reload,
            "configuration is wrong": self._reload_wrong,
            "exporter's sessions end": self._sessions_end,
            "exporter's sessions hang": self._sessions_hang,
            "server restarts": self._cluster.restart,
            "statements fail": self._statements_fail,
            "clients misbehave": lambda: misbehave(self.port),
        }
        bouncer: dict[str, Callable[[], None]] = {
            "bouncer restarts": self._bouncer.restart,
            "bouncer hangs": self._bouncer_hangs,
        }
        return always | (bouncer if self.has_bouncer else {})

    def recover(self) -> None:
        """Leave healthy targets only, and wait until all of them are up.

        Raises `TimeoutError` when one stays down.
        """
        pages.write_list(self._list, healthy=True)
        self._configure(http_list=False)
        self._exporter.send_signal(signal.SIGHUP)
        wait_until(self._all_up, "all targets are up again", RECOVERY_SECONDS)

    def _all_up(self) -> bool:
        lines = fetch(f"{self.url}/metrics").splitlines()
        ups = [line for line in lines if line.startswith("pg_pool_exporter_target_up{")]
        return len(ups) > 4 and all(line.endswith(" 1") for line in ups)

    @contextmanager
    def _running_exporter(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable, "-W", "error", "-m", "bench.soak.daemon",
            str(self._figures("exporter")), f"--config.file={self._config}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        with running(command, log=self._log, directory=Path.cwd()) as process:
            yield process

    def _configure(self, *, wrong: bool = False, http_list: bool = True) -> None:
        """Write the configuration; each has an application that no other had."""
        quick = {"interval": "1s", "timeout": "900ms"}
        log = {"files": [str(self._cluster.directory / "data/log/*.log")], **quick}
        found: dict[str, Any] = {"file_sd": [str(self._list)], **quick}
        if http_list:
            found["http_sd"] = [
                {"url": f"http://127.0.0.1:{pages.PORT}/list", "refresh_interval": "2s"}
            ]
        dsn = self._cluster.dsn(user="exporter")
        content: dict[str, Any] = {
            "socket_dir": str(self._sockets),
            "state_dir": str(self._directory / "state"),
            "processes": quick,
            "servers": [
                {"name": "main", "dsn": dsn, "log": log, **quick},
                {"name": "remote", "dsn": dsn, "log": {"sql": True, **quick}, **quick},
            ],
            "apps": [
                {"name": "fleet", "server": "main", **found},
                {
                    "name": f"changing-{next(self._numbers)}",
                    "targets": [f"http://127.0.0.1:{pages.PORT}/good/changing"],
                    **quick,
                },
            ],
        }
        if self.has_bouncer:
            content["pgbouncers"] = [{"name": "edge", "dsn": self._bouncer.dsn(), **quick}]
        if wrong:
            content["servers"][0]["intervall"] = "1s"
        made = self._config.with_suffix(".new")
        made.write_text(yaml.safe_dump(content))
        made.replace(self._config)

    def _reload(self) -> None:
        self._configure()
        self._exporter.send_signal(signal.SIGHUP)

    def _reload_wrong(self) -> None:
        self._configure(wrong=True)
        self._exporter.send_signal(signal.SIGHUP)

    def _start_process(self, app: str) -> subprocess.Popen[bytes]:
        dsn = self._cluster.dsn(user="app")
        if self.has_bouncer and app != "steady" and random.random() < 0.5:
            dsn = self._bouncer.dsn("shop", "app")
        figures = self._figures("application" if app == "steady" else app)
        with self._apps_log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.soak.shop", dsn, app, str(figures)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PG_POOL_EXPORTER_SOCKET_DIR": str(self._sockets)},
            )  # fmt: skip
        self._processes.append(process)
        return process

    def _process_starts(self) -> None:
        """Of an application with several processes, or of one that nobody has seen before."""
        if len(self._processes) == MOST_PROCESSES:
            self._process_ends()
        self._start_process(random.choice(["orders", f"job-{next(self._numbers)}"]))

    def _process_ends(self) -> None:
        """Killed, or ended in order; the one that runs throughout is the first."""
        if len(self._processes) == 1:
            return
        process = self._processes.pop(random.randrange(1, len(self._processes)))
        process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
        process.wait()

    def _end_processes(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _pages_restart(self) -> None:
        self._pages.close()
        time.sleep(random.uniform(0, PAUSE_SECONDS))
        self._pages.enter_context(pages.serving())

    def _log_rotates(self) -> None:
        for _ in range(ROTATIONS):
            self._cluster.run("SELECT pg_rotate_logfile()")
            time.sleep(1.1)  # the next file's name has the second
        files = sorted(
            (self._cluster.directory / "data/log").iterdir(), key=lambda path: path.stat().st_mtime
        )
        for path in files[:-LOG_FILES_KEPT]:
            path.unlink()

    def _statements_fail(self) -> None:
        with self._cluster.connect(user="app") as session:
            session.execute("SET statement_timeout = '10ms'")
            for _ in range(50):
                with suppress(psycopg.errors.QueryCanceled):
                    session.execute("SELECT pg_sleep(1)")

    def _sessions_end(self) -> None:
        for pid in self._session_pids():
            self._cluster.run(f"SELECT pg_terminate_backend({pid})")

    def _sessions_hang(self) -> None:
        for pid in self._session_pids():
            self._cluster.pause_backend(pid)
        time.sleep(PAUSE_SECONDS)
        self._cluster.resume()

    def _bouncer_hangs(self) -> None:
        self._bouncer.pause()
        time.sleep(PAUSE_SECONDS)
        self._bouncer.resume()

    def _session_pids(self) -> list[int]:
        found = self._cluster.run(
            f"SELECT pid FROM pg_stat_activity WHERE application_name = '{APPLICATION_NAME}'"
        )
        return [pid for (pid,) in found]

    def _sessions(self) -> int:
        return len(self._session_pids())

    def _figures(self, name: str) -> Path:
        return self._directory / f"{name}.json"
