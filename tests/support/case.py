"""A pool that a test plays with, of any library and language, and what is true of it."""

from __future__ import annotations

import asyncio
import gc
import linecache
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from pg_pool_exporter.client import libraries
from pg_pool_exporter.commands.other_clients import OTHER_CLIENTS
from pg_pool_exporter.model import PoolSample
from support import remote_pools
from support.client import Watched
from support.pools import SIZE, Kind, Pool, cases
from support.postgres import Cluster, wait_until
from support.remote_pools import RemotePool, RemoteWatched

Scenario = Callable[["Case"], Awaitable[None]]


def of_toolchain(name: str) -> pytest.MarkDecorator:
    """The marker of tests that need a toolchain."""
    marker: pytest.MarkDecorator = getattr(pytest.mark, name)
    return marker


OTHERS = [
    pytest.param(kind, id=kind.name, marks=[of_toolchain(kind.toolchain), pytest.mark.slow])
    for kind in remote_pools.KINDS
]
CANCELLABLE = [
    one for one, kind in zip(OTHERS, remote_pools.KINDS, strict=True) if kind.waits and kind.cancels
]
"""Those in whose language a waiting request can be cancelled."""
each_kind = pytest.mark.parametrize("kind", [*cases(), *OTHERS])
each_other_kind = pytest.mark.parametrize("kind", OTHERS)


class Case:
    """A pool in use, and what the test knows of it."""

    def __init__(self, kind: Kind, pool: Pool, watched: Watched | RemoteWatched) -> None:
        self.kind = kind
        self.pool = pool
        self.watched = watched
        self.acquired = self.returned = self.refused = 0

    async def check_out(self) -> Any:
        connection = await self.pool.check_out()
        self.acquired += 1
        return connection

    async def check_in(self, connection: Any) -> None:
        await self.pool.check_in(connection)
        self.returned += 1

    async def ask(self, connection: Any) -> None:
        await self.pool.ask(connection, "select 1")

    async def check_out_all(self) -> list[Any]:
        return [await self.check_out() for _ in range(SIZE)]

    async def return_all(self, out: list[Any]) -> None:
        while out:
            await self.check_in(out.pop())

    def sample(self) -> PoolSample:
        return self.watched.sample()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Poll for it, while the loop goes on."""
        await asyncio.to_thread(wait_until, condition, what, 20)

    def collect(self) -> None:
        """Collect the garbage, wherever it is."""
        if isinstance(self.pool, RemotePool):
            self.pool.collect()
        gc.collect()

    def check(self, active: int = 0) -> None:
        """What is shown is what has happened, and the rest is out, and nothing else."""
        self.collect()
        sample = self.sample()
        assert (sample.acquired, sample.returned) == (self.acquired, self.returned)
        assert sample.requests in (self.acquired + self.refused, None)
        assert sample.active == active
        assert (sample.leaked_slots, sample.reclaimed) == ({}, {})
        assert (sample.leaked or 0, sample.unaccounted or 0) == (0, 0)
        if not active:
            assert sample.overdue == {}


def run(kind: Kind, postgres: Cluster, scenario: Scenario) -> None:
    """Instrument a pool before it is opened, and play the scenario with it."""

    async def main() -> None:
        watched: Watched | RemoteWatched
        if kind.toolchain:
            built(kind.built)
        pool = kind.make(postgres.dsn())
        if isinstance(pool, RemotePool):
            watched = RemoteWatched(pool)
        else:
            watched = Watched(pool.own, leak_after=1e-9)
        await pool.open()
        try:
            await scenario(Case(kind, pool, watched))
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2 if kind.toolchain else 2):
                    await pool.close()

    asyncio.run(main())


def unknown(kind: Kind) -> Set[str]:
    """The fields of a sample that the library cannot show."""
    if kind.toolchain:
        return OTHER_CLIENTS[kind.library].unknown
    return libraries.KINDS[kind.library].unknown if kind.library in libraries.KINDS else set()


def built(program: Path | None) -> None:
    """Skip the test, or fail it in CI, when a program has not been built."""
    require(program and program.exists(), f"{program}, which `make clients` builds")


def source_of(kind: Kind, site: str) -> str:
    """The source line of a site in the file that checks out."""
    place, _, _ = site.partition(" ")
    file, _, line = place.rpartition(":")
    assert kind.source.match(f"**/{file}"), site
    return linecache.getline(str(kind.source), int(line)).strip()
