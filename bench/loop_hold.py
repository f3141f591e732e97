"""What holds the event loop, and for how long: `python -m bench.loop_hold`.

Publishes the polls of a fleet at the usual interval while clients ask for the page, the findings
and the metrics without a pause. Prints how late a timer was, and the CPU time of the longest
callbacks and garbage collections, which a busy machine lengthens less. Only the sources are
missing: everything else is the exporter's own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.commands.garbage import GarbageCollections
from pg_pool_exporter.commands.latency import responsive
from pg_pool_exporter.config import Config
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS
from pg_pool_exporter.model import (
    ClientKey,
    Health,
    Histogram,
    PoolId,
    PoolInfo,
    PoolSample,
    ServerSample,
    ServerSettings,
    SessionGroup,
    SessionKey,
    Snapshot,
    TargetId,
)
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.web.handlers import Web
from pg_pool_exporter.web.server import Address, WebServer

INTERVAL = 5.0
APPS_A_SERVER = 100
TICK = 0.001
PATHS = ("/", "/api/v1/findings", "/metrics")


class Fleet:
    """Applications with one process each, and the servers that their pools lead to."""

    def __init__(self, apps: int, pools: int, store: Store) -> None:
        self._store = store
        self._random = random.Random(1)
        self._pools_an_app = pools // apps
        self._apps = [f"app-{number}" for number in range(apps)]
        self._servers = -(-apps // APPS_A_SERVER)
        self._polls = 0

    async def poll(self, until: float) -> None:
        """Publish each target once an interval."""
        targets = [*range(len(self._apps)), *range(-self._servers, 0)]
        self._random.shuffle(targets)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        turn = 0
        while loop.time() < until:
            for at, target in enumerate(targets):
                due = begun + INTERVAL * (turn + at / len(targets))
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self._publish(target)
            turn += 1

    async def _publish(self, number: int) -> None:
        self._polls += 1
        if number < 0:
            key, snapshot = TargetId("server", f"db-{-number}"), self._server(-number - 1)
        else:
            app = self._apps[number]
            key, snapshot = TargetId("process", f"{app}-0", app), self._process(number)
        now = time.monotonic()
        health = Health(up=True, polls=self._polls, duration=0.01, last_success=time.time())
        await self._store.publish(
            TargetState(
                key=key, interval=INTERVAL, is_local=True, health=health, snapshot=snapshot,
                begun=now - 0.01, taken=now,
            )
        )  # fmt: skip

    def _process(self, number: int) -> Snapshot:
        return Snapshot(pools=tuple(self._pool(number, pool) for pool in range(self._pools_an_app)))

    def _pool(self, number: int, pool: int) -> PoolSample:
        active = self._random.randint(0, 10)
        count = float(self._polls)
        acquire, hold = (
            Histogram((self._polls,) * (len(bounds) + 1), count)
            for bounds in (ACQUIRE_BOUNDS, HOLD_BOUNDS)
        )
        leaks = number % 10 == 0
        return PoolSample(
            key=PoolId(self._apps[number], f"pool-{pool}", f"web-{number}:0"),
            idle=10 - active, active=active, max=10, min=2, waiting=self._random.randint(0, 2),
            oldest_idle=1.0, oldest_active=2.0, active_seconds=count, saturated_seconds=count,
            requests=count, queued=count, rejected=0, acquire_wait=count, acquired=count,
            held=count, returned=count, connects=10, connect_errors=0, lost=0, leaked=0,
            leak_after=60, long_lived=0, timeouts={"pool": 0, "connect": 0},
            overdue={f"shop/cart.py:{number} hold": 1} if leaks else {},
            acquire=acquire, hold=hold,
            info=PoolInfo(
                client="psycopg_pool", source="instrumented", host="localhost",
                port=str(5432 + number // APPS_A_SERVER), database="shop", user="app",
                application=self._apps[number],
            ),
        )  # fmt: skip

    def _server(self, number: int) -> Snapshot:
        first = number * APPS_A_SERVER
        sessions = {
            ClientKey(SessionKey("shop", "app", app)): SessionGroup(
                ages={"idle": (300.0, 5.0, *(1.0,) * 10), "active": (0.1,) * 5}
            )
            for app in self._apps[first : first + APPS_A_SERVER]
        }
        return Snapshot(
            server=ServerSample(
                host="localhost", address="127.0.0.1", port=str(5432 + number),
                used=17 * len(sessions), sessions=sessions, databases={},
                groups={key.sessions: group for key, group in sessions.items()},
                settings=ServerSettings(
                    version="16.4", in_recovery=False, max_connections=5000,
                    reserved_connections=3,
                ),
                clock=time.time(),
            )
        )  # fmt: skip


class Holds:
    """The longest holds of the loop, by what held it."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}
        self.late: list[float] = []
        self.collections = [0, 0, 0]
        """Of each generation."""
        self._collecting = 0.0

    def note(self, what: str, seconds: float) -> None:
        """Remember what took so long."""
        self.longest[what] = max(self.longest.get(what, 0.0), seconds)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time each callback of the loop, and each collection."""
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            begun = time.thread_time()
            run(handle)
            took = time.thread_time() - begun
            if took > TICK:
                self.note(_name(handle), took)

        def collected(phase: str, info: dict[str, int]) -> None:
            if phase == "start":
                self._collecting = time.thread_time()
            else:
                took = time.thread_time() - self._collecting
                self.collections[info["generation"]] += 1
                self.note(f"garbage collection, generation {info['generation']}", took)

        asyncio.events.Handle._run = timed  # type: ignore[assignment,method-assign] # no hook for it
        gc.callbacks.append(collected)
        try:
            yield
        finally:
            asyncio.events.Handle._run = run  # type: ignore[method-assign]
            gc.callbacks.remove(collected)

    async def tick(self, until: float) -> None:
        """Note how late a timer is."""
        loop = asyncio.get_running_loop()
        while (begun := loop.time()) < until:
            await asyncio.sleep(TICK)
            self.late.append(loop.time() - begun - TICK)


def _name(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return getattr(task.get_coro(), "__qualname__", "?")
    return getattr(callback, "__qualname__", repr(callback))


def ask(port: int, asked: Any) -> None:
    """Ask for everything, in turns and without a pause."""
    while True:
        for path in PATHS:
            for encoding in ("gzip", "identity"):
                url = f"http://127.0.0.1:{port}{path}"
                with urlopen(Request(url, headers={"Accept-Encoding": encoding})) as answer:
                    answer.read()
                with asked.get_lock():
                    asked.value += 1


async def collect(until: float, holds: Holds) -> None:
    """Make the garbage collections that are due, as the daemon does."""
    loop = asyncio.get_running_loop()
    lane, collections = Lane("garbage"), GarbageCollections()

    def timed() -> None:
        begun = time.thread_time()
        collections.collect()
        holds.note("GarbageCollections.collect", time.thread_time() - begun)

    while loop.time() < until:
        await lane.run(timed)
        await asyncio.sleep(1)


async def measure(arguments: argparse.Namespace) -> None:
    """Run and print."""
    store = Store()
    analyzer = Analyzer(store, Config())
    exposition = Exposition(store, analyzer)
    site = Web(store, exposition, analyzer, telemetry_path="/metrics", unpolled=list, reload=None)
    server = WebServer(site.routes(), [Address("127.0.0.1", 0)])
    await server.start()
    fleet, holds = Fleet(arguments.apps, arguments.pools, store), Holds()
    loop = asyncio.get_running_loop()
    analyzer.start()
    spawning = multiprocessing.get_context("spawn")
    asked = spawning.Value("i", 0)
    client = spawning.Process(target=ask, args=(server.bound[0].port, asked), daemon=True)
    client.start()
    warm = loop.time() + INTERVAL
    until = warm + arguments.seconds
    tasks = [asyncio.create_task(one) for one in (fleet.poll(until), collect(until, holds))]
    await asyncio.sleep(INTERVAL)
    begun = asked.value
    with holds.watching():
        await holds.tick(until)
    requests = asked.value - begun
    client.kill()
    for task in tasks:
        task.cancel()
    analyzer.stop()
    await server.close()
    late = sorted(holds.late)
    print(f"{arguments.pools} pools of {arguments.apps} applications, {requests} requests in "
          f"{arguments.seconds:g} s, {len(analyzer.analysis.findings)} findings")  # fmt: skip
    print(f"A timer was late by at most {late[-1] * 1000:.1f} ms; 99.9 %: "
          f"{late[int(len(late) * 0.999)] * 1000:.1f} ms, "
          f"99 %: {late[int(len(late) * 0.99)] * 1000:.1f} ms")  # fmt: skip
    for what, seconds in sorted(holds.longest.items(), key=lambda item: -item[1])[:12]:
        print(f"{seconds * 1000:8.1f} ms  {what}")
    young, middle, full = holds.collections
    begun = time.thread_time()
    gc.collect()
    took = time.thread_time() - begun
    print(f"Garbage collections: {young} of the youngest generation, {middle} of the middle one, "
          f"{full} full ones; one of all objects takes {took * 1000:.0f} ms")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=1000)
    parser.add_argument("--pools", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with responsive():
        asyncio.run(measure(arguments))


if __name__ == "__main__":
    main()
