"""Polls a source as the poller does, and watches what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pg_pool_exporter.config import BouncerConfig, FactsConfig, ServerConfig
from pg_pool_exporter.model import ServerSample, Snapshot
from pg_pool_exporter.sources.base import PollError, Source
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.postgres import Cluster

DEADLINE = 5.0
"""Of a poll that is to succeed: long, because the machine may be busy."""
SHORT = 0.4
"""Of a poll that is to reach its deadline."""
SECRET = "correct-horse"
"""The password of the role `exporter` on the server of the fixture `locked`."""


def source_of(
    cluster: Cluster,
    *,
    dsn: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    **config: Any,
) -> PostgresSource:
    """A source for `cluster`, as its superuser unless `dsn` names another."""
    server = ServerConfig(name="main", dsn=SecretStr(dsn or cluster.dsn()), **config)
    return PostgresSource(server, clock=clock)


def server_source(dsn: str, **config: Any) -> PostgresSource:
    """A source for whatever is at `dsn`."""
    return PostgresSource(ServerConfig(name="main", dsn=SecretStr(dsn), **config))


def source_at(
    kind: str, port: int, clock: Callable[[], float] = time.monotonic
) -> PostgresSource | BouncerSource:
    """A source for a `server`, with all its facts, or a `bouncer` on this port of the loopback."""
    dsn = f"host=127.0.0.1 port={port} user=u password={SECRET} sslmode=disable dbname=d"
    if kind == "server":
        facts = FactsConfig(
            client_networks=True, wait_events=True, idle_in_transaction=True, snapshots=True
        )
        server = ServerConfig(name="main", dsn=SecretStr(dsn), facts=facts)
        return PostgresSource(server, clock=clock)
    return BouncerSource(BouncerConfig(name="edge", dsn=SecretStr(dsn)))


async def snapshot_of(source: Source, deadline: float = DEADLINE) -> Snapshot:
    """One poll with a deadline, which must hold. Raises `PollError`."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(deadline):
            return await source.poll()
    except TimeoutError:
        raise PollError("timeout", "no answer") from None
    finally:
        assert loop.time() - started < deadline + 1, "the poll went on after its deadline"


async def poll(source: PostgresSource, deadline: float = DEADLINE) -> ServerSample:
    """One poll of a server. Raises `PollError`."""
    server = (await snapshot_of(source, deadline)).server
    assert server is not None
    return server


async def outcome(source: Source, deadline: float = DEADLINE) -> str:
    """`up`, or the reason of a failed poll."""
    try:
        await snapshot_of(source, deadline)
    except PollError as error:
        return error.reason
    return "up"


async def failure(source: Source) -> PollError:
    """The error of a poll that fails."""
    try:
        await snapshot_of(source)
    except PollError as error:
        return error
    raise AssertionError("the poll did not fail")


async def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Let the loop run until the condition holds; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        for _ in iter(condition, True):
            await asyncio.sleep(0.01)


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Poll until `check` finds what it looks for; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        found = await check()
        while not found:
            await asyncio.sleep(0.01)
            found = await check()


def run(main: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run`, and no task is left over, and none has failed without being looked at."""
    complaints: list[str] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        async with asyncio.timeout(60):
            await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        gc.collect()

    asyncio.run(watched())
    assert not complaints, complaints


def sockets_to(cluster: Cluster) -> int:
    """How many TCP sockets this process has to the server, open or half-open."""
    return sockets_to_port(cluster.port)


def sockets_to_port(port: int) -> int:
    """How many TCP sockets this process has to a port of this host, open or half-open."""
    mine = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            mine.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    fields = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    remote = f":{port:04X}"
    return sum(row[2].endswith(remote) and f"socket:[{row[9]}]" in mine for row in fields)


def sessions_opened(cluster: Cluster) -> int:
    """How many sessions of the exporter the server has ever accepted (needs log_connections)."""
    return cluster.log.count("application_name=pg_pool_exporter")
