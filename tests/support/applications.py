"""Applications in other languages: brought into known states, and read as the daemon reads them."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from pg_pool_exporter.config import load
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.model import PoolSample
from support.libraries import SIZE, Library
from support.obedient import ObedientProcess
from support.postgres import Cluster, wait_until
from support.programs import free_port

CLIENTS = Path(__file__).parents[1] / "clients"
ACQUIRE_TIMEOUT = 3.0
"""Seconds after which a request for a connection fails in each application."""
_SETTLE_SECONDS = 5.0


class Application:
    """A running application with a pool of `SIZE` on a server; a context manager.

    `truth` is what its metrics must show after all commands so far.
    """

    def __init__(
        self, library: Library, postgres: Cluster, directory: Path, **environment: str
    ) -> None:
        self.library = library
        self.truth = library.truth()
        self.port = free_port()
        self.config = directory / "config.yaml"
        self.config.write_text(self._configuration(library.loosest_format))
        self._postgres = postgres
        server = f"{postgres.host}:{postgres.port}"
        self._name = library.pool.replace("{server}", server)
        self._process = ObedientProcess(
            [word.replace("{port}", str(self.port)) for word in library.command],
            CLIENTS / library.directory,
            {
                "DATABASE_URL": f"postgresql://postgres:x@{server}/postgres",
                "JDBC_URL": f"jdbc:postgresql://{server}/postgres?user=postgres",
                "METRICS_PORT": str(self.port),
                **environment,
            },
            directory / "application.log",
        )

    def __enter__(self) -> Self:
        wait_until(lambda: self._sessions() == 0, "the sessions of the last application are gone")
        self._started = time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(self._process)
            wait_until(self._listens, "the application serves its page")
            stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.__exit__(*exception)

    def take(self, times: int = 1) -> None:
        """Check out connections that the pool has or may open, and keep them."""
        for _ in range(times):
            self._check_out("take")

    def forget(self) -> None:
        """Check out a connection and drop it without returning it."""
        self._check_out("forget")

    def query(self) -> None:
        """Have the pool do a query, which takes a connection and returns it."""
        self._check_out("query")
        self._came_back()

    def work(self) -> None:
        """Have a checkout do a query of three seconds."""
        assert self._process.send("work") == "done"

    def give(self, times: int = 1) -> None:
        """Return connections, the oldest checkout first."""
        for _ in range(times):
            assert self._process.send("give") == "done"
            self._came_back()

    def ask(self, times: int = 1) -> None:
        """Ask for connections that are all out, without waiting for one."""
        for _ in range(times):
            assert self._process.send("ask") == "done"
            self.truth.requests += 1
            self.truth.queued += 1
            self.truth.waiting += 1

    def take_in_vain(self) -> None:
        """Ask for one more, and wait until this request, and all before it, have failed."""
        assert self._process.send("take").startswith("failed")
        truth = self.truth
        truth.requests += 1
        truth.queued += 1
        truth.timeouts += truth.waiting + 1
        truth.waiting = 0

    def assert_shown(self, form: str | None = None) -> PoolSample:
        """Read the page until it shows what is true and no more; fail when it doesn't.

        In the format `form`, or in one that is recognised, if it can be. Some libraries show what
        was true a second ago.
        """
        expected = self._expected()
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (shown := self._told(sample := self.pool(form))) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"{shown} is shown instead of {expected}")
            time.sleep(0.05)
        assert sample.key[:2] == ("orders", self._name)
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
        """The pool on the page, read by a source of the daemon's. Raises `PollError`."""
        if form is not None:
            self.config.write_text(self._configuration(form))
        (target,) = Discovery(load(self.config)).targets()

        async def poll() -> tuple[PoolSample, ...]:
            source = target.source()
            try:
                return (await source.poll()).pools
            finally:
                await source.close()

        pools = asyncio.run(poll())
        if self.library.with_another:
            pools = tuple(one for one in pools if one.key.pool == self._name)
        (pool,) = pools
        return pool

    @property
    def url(self) -> str:
        """Of its page."""
        return f"http://127.0.0.1:{self.port}{self.library.path}"

    def _configuration(self, form: str) -> str:
        app = f'{{name: orders, format: {form}, targets: ["{self.url}"]}}'
        return f'apps: [{app}]\nsocket_dir: ""\n'

    def _expected(self) -> dict[str, Any]:
        library, truth = self.library, self.truth
        expected: dict[str, Any] = {name: getattr(truth, name) for name in library.shows}
        expected |= {name: of(truth) for name, of in library.differs.items()}
        if "timeouts" in expected:
            kinds = dict.fromkeys(library.timeout_kinds, 0)
            expected["timeouts"] = {**kinds, "pool": truth.timeouts}
        return expected

    def _told(self, sample: PoolSample) -> dict[str, Any]:
        """The values of a sample, without names and what has tests of its own."""
        others = {"key", "info", *self.library.times, *self.library.apart}
        values = {name: getattr(sample, name) for name in sample.__slots__ if name not in others}
        return {name: value for name, value in values.items() if value not in (None, {})}

    def _check_out(self, command: str) -> None:
        assert self._process.send(command) == "done"
        truth = self.truth
        truth.returned_last = False
        truth.requests += 1
        truth.acquired += 1
        truth.active += 1
        if truth.idle:
            truth.idle -= 1
        else:
            truth.connects += 1

    def _came_back(self) -> None:
        truth = self.truth
        truth.returned += 1
        if truth.waiting:
            truth.waiting -= 1
            truth.acquired += 1
            truth.queued_with_success += 1
        else:
            truth.active -= 1
            truth.idle += 1
            truth.returned_last = True

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _sessions(self) -> int:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders'"
        ((sessions,),) = self._postgres.run(statement)
        return int(sessions)
