"""Pools of the clients in other languages, in the form of `support.pools`.

One program a language plays with its pools as a line of its input says, see
`tests/clients/*/scenarios`. What it shows is read from its socket, as the daemon reads it.
"""

from __future__ import annotations

import asyncio
import atexit
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sockets import ENVIRONMENT
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from support.applications import CLIENTS
from support.client import page_of
from support.obedient import ObedientProcess
from support.pools import Kind, Pool

APP = "shop"
_SOON = 0.3
"""Seconds after which a request that finds no connection shall fail."""
_LONG = 20.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Program:
    """A program that plays the scenarios, and the file in which it checks connections out."""

    toolchain: str
    built: Path
    command: Sequence[str]
    source: Path
    directory: Path
    kind: str
    """A pool library that it has."""
    locks: bool = True
    """Whether it holds its number by a lock of the file system."""


GO = Program(
    toolchain="go",
    built=CLIENTS / "go/build/scenarios",
    command=("build/scenarios",),
    source=CLIENTS / "go/scenarios/pools.go",
    directory=CLIENTS / "go",
    kind="pgxpool",
)
NODE = Program(
    toolchain="node",
    built=CLIENTS / "node/node_modules/pg-pool-exporter-client",
    command=("node", "--expose-gc", "scenarios/main.js"),
    source=CLIENTS / "node/scenarios/pools.js",
    directory=CLIENTS / "node",
    kind="pg",
    locks=False,
)
JAVA = Program(
    toolchain="java",
    built=CLIENTS / "java/pools/target/classes/orders/Scenarios.class",
    command=(
        "java",
        "-Dcom.zaxxer.hikari.housekeeping.periodMs=20",
        "-cp",
        "target/classes:target/lib/*",
        "orders.Scenarios",
    ),
    source=CLIENTS / "java/pools/src/main/java/orders/ScenarioPool.java",
    directory=CLIENTS / "java/pools",
    kind="hikaricp",
)
PROGRAMS = (GO, NODE, JAVA)
_MISTAKES = ("forgotten", "failure", "return")


class Running:
    """A running program, with a socket directory of its own."""

    def __init__(self, program: Program, dsn: str, directory: Path) -> None:
        said = dict(pair.split("=") for pair in dsn.split())
        server = f"{said['host']}:{said['port']}/{said['dbname']}"
        self.directory = directory
        log = directory.with_name(f"{directory.name}-{next(_numbers)}.log")
        self.process = ObedientProcess(
            program.command,
            program.directory,
            {
                "DATABASE_URL": f"postgresql://{said['user']}:x@{server}",
                "JDBC_URL": f"jdbc:postgresql://{server}?user={said['user']}",
                ENVIRONMENT: str(directory),
            },
            log,
        )
        self._log = log

    def page(self, number: int = 0) -> str:
        """The page of the process that has a number, from its socket."""
        return page_of(self.directory / f"{APP}-{number}.sock")

    def own_page(self) -> str:
        """Its own page, on whichever number; empty while it serves none."""
        pages = map(page_of, self.directory.glob("*.sock"))
        return next((page for page in pages if f'pid="{self.process.pid}"' in page), "")

    def log(self) -> str:
        """What it has said at its standard error."""
        return self._log.read_text()


_numbers = count()
_programs: dict[tuple[str, str], Running] = {}
_stack = ExitStack()
atexit.register(_stack.close)  # where a run is interrupted


def end_programs() -> None:
    """End the programs that are running, and with them their sessions."""
    _stack.close()
    _programs.clear()


def _running(program: Program, dsn: str) -> Running:
    """The one process of a program, which all tests of a module share."""
    key = program.toolchain, dsn
    if key not in _programs:
        # A socket's path must be short.
        name = _stack.enter_context(tempfile.TemporaryDirectory(prefix="pgpe-"))
        running = Running(program, dsn, Path(name))
        _stack.enter_context(running.process)
        _programs[key] = running
    return _programs[key]


class RemotePool(Pool):
    """A pool of a program. A connection is known by a number."""

    def __init__(self, kind: Kind, program: Program, dsn: str) -> None:
        super().__init__(self)
        self.name = f"{kind.name}-{next(_numbers)}"
        self._kind = kind
        self._program = program
        self._dsn = dsn

    def send(self, *words: object) -> None:
        """Have something done. Raises `RuntimeError` with what went wrong."""
        answer = _running(self._program, self._dsn).process.send(" ".join(map(str, words)))
        if answer != "done":
            raise RuntimeError(answer.removeprefix("failed: "))

    async def open(self) -> None:
        self.send("open", self.name, self._kind.name)

    async def close(self) -> None:
        number = next(_numbers)
        self.send("close", self.name, number)
        await self._ended(number)

    async def check_out(self) -> int:
        number = next(_numbers)
        self.send("take", self.name, number, _SOON)
        return number

    async def check_out_for_long(self) -> int:
        """Check out, declared long-lived."""
        number = next(_numbers)
        self.send("keep", self.name, number, _SOON)
        return number

    async def check_out_when_free(self) -> int:
        number = next(_numbers)
        self.send("begin", self.name, number, _LONG)
        try:
            await self._ended(number)
        except asyncio.CancelledError:
            self.send("cancel", number)
            raise
        return number

    async def _ended(self, number: int) -> None:
        while True:
            try:
                return self.send("ended", number)
            except RuntimeError as error:
                if str(error) != "not yet":
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    async def check_in(self, connection: int) -> None:
        self.send("give", connection)

    async def ask(self, connection: int, statement: str) -> None:
        self.send("ask", connection, statement)

    @asynccontextmanager
    async def block(self) -> AsyncIterator[int]:
        number = await self.check_out()
        try:
            yield number
        finally:
            await self.check_in(number)

    def forget(self, connection: int) -> None:
        """Drop the connection."""
        self.send("forget", connection)

    def use(self, kind: str) -> None:
        """Use a connection as an application does: `statement`, `rows`, and so on."""
        self.send("use", self.name, kind)

    def leak(self, kind: str) -> None:
        """Make one of the classical mistakes."""
        self.send("leak", self.name, kind)

    def collect(self) -> None:
        """Have the program collect its garbage."""
        self.send("collect", "all")

    def samples(self) -> list[PoolSample]:
        """What the program's page shows of this pool."""
        page = _running(self._program, self._dsn).page()
        pools = PageReader(max_pools=10_000).read(page.encode()).pools
        return [pool for pool in pools if pool.key.pool == self.name]


class RemoteWatched:
    """A remote pool as `support.client.Watched`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.registry = self

    def samples(self, _process: str) -> list[PoolSample]:
        """Its samples: none, or one."""
        samples: list[PoolSample] = self._pool.samples()
        return samples

    def sample(self) -> PoolSample:
        """One reading of the pool."""
        (sample,) = self.samples("")
        return sample


def _kind(program: Program, name: str, **differences: Any) -> Kind:
    kind = Kind(
        name,
        lambda dsn: RemotePool(kind, program, dsn),
        source=program.source,
        built=program.built,
        toolchain=program.toolchain,
        library=name,
        **differences,
    )
    return kind


KINDS = (
    _kind(
        GO,
        "pgxpool",
        dropped="overdue",
        cancels=True,
        leaks=(*_MISTAKES, "rows"),
    ),
    _kind(
        GO,
        "database/sql",
        dropped="overdue",
        when_full="unseen",
        lost=0,  # the driver looks at a session as it is checked out again
        cancels=True,
        leaks=_MISTAKES,
        drops="rows",
    ),
    _kind(NODE, "pg", dropped="overdue", leaks=_MISTAKES),
    _kind(NODE, "knex", dropped="overdue", leaks=_MISTAKES),
    _kind(NODE, "sequelize", dropped="overdue", leaks=_MISTAKES),
    *(
        _kind(JAVA, name, dropped="leaked", leaks=_MISTAKES, drops="dropped", lost=None)
        for name in ("hikaricp", "agroal", "tomcat-jdbc", "dbcp2")
    ),
)
