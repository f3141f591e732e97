"""Sources in this process, for tests in which only the way a poll ends matters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pg_pool_exporter.discovery import Target
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot, TargetId


def process_id(name: str = "orders-0") -> TargetId:
    """What discovery calls a process by the name of its socket."""
    return TargetId("process", name, name.rpartition("-")[0])


def target(name: str = "orders-0", *, interval: float = 5.0, timeout: float = 3.0) -> Target:
    """A process's target; what it would be read with is not of interest."""
    return Target(process_id(name), interval, timeout, ())


def snapshot(*names: str, folded: int = 0, active: float = 1.0) -> Snapshot:
    """A snapshot of pools named `app/pool/process`."""
    pools = (PoolSample(key=PoolId(*name.split("/")), active=active) for name in names)
    return Snapshot(pools=tuple(pools), folded=folded)


async def hang() -> Snapshot:
    """A target that never answers."""
    await asyncio.Event().wait()
    raise AssertionError


class Scripted:
    """A source that answers its polls by a script, the last entry again and again.

    An entry is a snapshot, an exception, or a function that is awaited. `polls` holds the times
    at which polls began, on the clock of the loop.
    """

    def __init__(self, *script: Snapshot | Exception | Callable[[], object]) -> None:
        self._script = script
        self.polls: list[float] = []
        self.running = 0
        self.closed = False

    async def poll(self) -> Snapshot:
        entry = self._script[min(len(self.polls), len(self._script) - 1)]
        self.polls.append(asyncio.get_running_loop().time())
        self.running += 1
        assert self.running == 1, "polls of one target overlap"
        try:
            if callable(entry):
                entry = await entry()  # type: ignore[misc] # a coroutine function
            if isinstance(entry, Exception):
                raise entry
            assert isinstance(entry, Snapshot)
            return entry
        finally:
            self.running -= 1

    async def close(self) -> None:
        self.closed = True
