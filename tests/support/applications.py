"""Applications in other languages: brought into known states, and read as the daemon reads them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, Self

from pg_pool_exporter.config import load
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.model import PoolSample
from support.libraries import SIZE, Library
from support.postgres import Cluster, wait_until
from support.programs import free_port

CLIENTS = Path(__file__).parents[1] / "clients"
ACQUIRE_TIMEOUT = 3.0
"""Seconds after which a request for a connection fails in each application."""
_ANSWER_SECONDS = 60
_SETTLE_SECONDS = 5.0


class Application:
    """A running application with a pool of `SIZE` on a server; a context manager.

    It obeys by its standard input, a line a command, and answers each by a line.
    """

    def __init__(
        self, library: Library, postgres: Cluster, directory: Path, **environment: str
    ) -> None:
        self.library = library
        self.truth = library.truth()
        self.port = free_port()
        self.log = directory / "application.log"
        self.config = directory / "config.yaml"
        self._postgres = postgres
        self._environment = {
            "DATABASE_URL": f"postgresql://postgres:x@{postgres.host}:{postgres.port}/postgres",
            "JDBC_URL": f"jdbc:postgresql://{postgres.host}:{postgres.port}/postgres?user=postgres",
            "METRICS_PORT": str(self.port),
            **environment,
        }

    def __enter__(self) -> Self:
        wait_until(lambda: self._sessions() == 0, "the sessions of the last application are gone")
        self._started = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [word.replace("{port}", str(self.port)) for word in self.library.command],
                cwd=CLIENTS / self.library.directory, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**os.environ, **self._environment},
            )  # fmt: skip
        try:
            self._answer("ready")
            wait_until(self._listens, "the application serves its page")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._end()

    def take(self, times: int = 1) -> None:
        """Borrow connections that the pool has or may open, and keep them."""
        for _ in range(times):
            self._borrow("take")

    def forget(self) -> None:
        """Borrow a connection and drop it without returning it."""
        self._borrow("forget")

    def give(self, times: int = 1) -> None:
        """Return connections, the first that was borrowed first."""
        for _ in range(times):
            assert self._tell("give") == "done"
            truth = self.truth
            truth.returned += 1
            if truth.waiting:
                truth.waiting -= 1
                truth.acquired += 1
            else:
                self._returned()

    def query(self) -> None:
        """Have the pool do a query, which takes a connection and returns it."""
        self._borrow("query")
        self.truth.returned += 1
        self._returned()

    def ask(self, times: int = 1) -> None:
        """Ask for connections that are all out, without waiting for one."""
        for _ in range(times):
            assert self._tell("ask") == "done"
            self.truth.requests += 1
            self.truth.queued += 1
            self.truth.waiting += 1

    def take_in_vain(self) -> None:
        """Ask for one more, and wait until this request, and all before it, have failed."""
        assert self._tell("take").startswith("failed")
        truth = self.truth
        truth.requests += 1
        truth.queued += 1
        truth.queued_in_vain += truth.waiting + 1
        truth.timeouts += truth.waiting + 1
        truth.waiting = 0

    def assert_shown(self, form: str | None = None) -> PoolSample:
        """Read the page until it shows what is true and no more; fail when it doesn't.

        In the format `form`, or in one that is recognised, if it can be.

        Some libraries show what was true a second ago.
        """
        expected = self._expected()
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (shown := self._known(sample := self.pool(form))) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"{shown} is shown instead of {expected}")
            time.sleep(0.05)
        name = self.library.pool.replace("{server}", f"{self._postgres.host}:{self._postgres.port}")
        assert sample.key[:2] == ("orders", name)
        assert sample.info is not None
        assert sample.info.application == "orders"
        assert self._sessions() == self.truth.idle + self.truth.active
        return sample

    def assert_times(self, sample: PoolSample) -> None:
        """Its sums of seconds are in seconds, and have in them what must be."""
        elapsed = time.monotonic() - self._started
        truth = self.truth
        for name, in_vain in self.library.times.items():
            if name == "held":  # by all that were out while others waited in vain
                least, most = SIZE * ACQUIRE_TIMEOUT, truth.returned * elapsed
            elif in_vain:
                least, most = truth.timeouts * ACQUIRE_TIMEOUT, truth.queued * elapsed
            else:
                least, most = 0, ACQUIRE_TIMEOUT
            assert least * 0.9 < getattr(sample, name) < most, name

    def pool(self, form: str | None = None) -> PoolSample:
        """The one pool on the page, read by a source of the daemon's. Raises `PollError`."""
        self.config.write_text(
            f"apps: [{{name: orders, format: {form or self.library.loosest_format}, "
            f'targets: ["http://127.0.0.1:{self.port}{self.library.path}"]}}]\nsocket_dir: ""\n'
        )
        (target,) = Discovery(load(self.config)).targets()

        async def poll() -> tuple[PoolSample, ...]:
            source = target.source()
            try:
                return (await source.poll()).pools
            finally:
                await source.close()

        (pool,) = asyncio.run(poll())
        return pool

    def _expected(self) -> dict[str, Any]:
        library, truth = self.library, self.truth
        expected: dict[str, Any] = {name: getattr(truth, name) for name in library.shows}
        expected |= {name: of(truth) for name, of in library.differs.items()}
        if "timeouts" in expected:
            kinds = dict.fromkeys(library.timeout_kinds, 0)
            expected["timeouts"] = {**kinds, "pool": truth.timeouts}
        return expected

    def _known(self, sample: PoolSample) -> dict[str, Any]:
        """What a sample tells, but for what it tells of the clock, and for its names."""
        apart = {"key", "info", *self.library.times, *self.library.apart}
        values = {name: getattr(sample, name) for name in sample.__slots__ if name not in apart}
        return {name: value for name, value in values.items() if value not in (None, {})}

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _sessions(self) -> int:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders'"
        ((sessions,),) = self._postgres.run(statement)
        return int(sessions)

    def _borrow(self, command: str) -> None:
        assert self._tell(command) == "done"
        truth = self.truth
        truth.returned_last = False
        truth.requests += 1
        truth.acquired += 1
        truth.active += 1
        if truth.idle:
            truth.idle -= 1
        else:
            truth.connects += 1

    def _returned(self) -> None:
        self.truth.active -= 1
        self.truth.idle += 1
        self.truth.returned_last = True

    def _tell(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer("done", "failed")

    def _answer(self, *begins: str) -> str:
        """The next line that begins like this; others are what libraries print."""
        assert self._process.stdout is not None
        timer = Timer(_ANSWER_SECONDS, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(begins):
                    return line.rstrip()
        finally:
            timer.cancel()
        raise AssertionError(f"the application has ended:\n{self.log.read_text()}")

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
