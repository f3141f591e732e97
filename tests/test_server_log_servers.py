"""The logs of real servers: each event provoked for real, read in each format and over SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.postgres.source import PostgresSource
from pg_pool_exporter.sources.server_log import log_source
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from support import provoking
from support.postgres import Cluster
from support.sql import install

pytestmark = pytest.mark.xdist_group("server logs")

WAYS = ("stderr", "csvlog", "jsonlog", "sql")
_SUFFIXES = {"stderr": ".log", "csvlog": ".csv", "jsonlog": ".json"}


@pytest.fixture(scope="module")
def logging(any_postgres: Cluster) -> Iterator[Cluster]:
    """A server of each version at hand that logs in each format, with roles to provoke events."""
    with Cluster(any_postgres.bindir, settings=provoking.LOGGING) as cluster:
        provoking.prepare(cluster)
        install(cluster, "exporter")
        yield cluster


def server(cluster: Cluster, way: str, **log: object) -> ServerConfig:
    """The configuration of a server whose log is read in one of the `WAYS`."""
    if way == "sql":
        where: Mapping[str, object] = {"sql": True}
    else:
        pattern = str(cluster.directory / f"data/log/*{_SUFFIXES[way]}")
        where = {"files": [pattern], "format": way}
    return ServerConfig.model_validate(
        {
            "name": way,
            "dsn": cluster.dsn(user="exporter"),
            "log": {"interval": "10s", "timeout": "10s", **where, **log},
        }
    )


class Reader:
    """Polls a server and its log."""

    def __init__(self, config: ServerConfig, state: Path | str = "") -> None:
        context = ServerLogContext()
        self._server = PostgresSource(config, log_context=context)
        self.log: Source = log_source(config, str(state), context)

    async def poll(self) -> LogCounts:
        """The counts after one poll of both."""
        await self._server.poll()
        counts = (await self.log.poll()).log
        assert counts is not None
        return counts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.log.close()
        await self._server.close()


def test_every_event_of_a_real_server_is_counted_in_every_way(logging: Cluster) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            readers = {
                way: await stack.enter_async_context(Reader(server(logging, way))) for way in WAYS
            }
            for reader in readers.values():
                counts = await reader.poll()
                assert set(counts.timeouts) >= {"postgres", "shop"}
                assert not any(sum(kinds.values()) for kinds in counts.timeouts.values())
            await asyncio.to_thread(provoking.look_alikes, logging)
            expected = await asyncio.to_thread(provoking.timeouts, logging)
            refused = await asyncio.to_thread(provoking.refusals, logging)
            for way, reader in readers.items():
                counts = await settled(reader)
                assert counts.timeouts["shop"] == expected, way
                assert counts.refused == refused, way
                assert counts.opened is not None
                assert counts.closed is not None
                # Every session in that database has ended.
                assert counts.opened["shop"] == counts.closed["shop"] >= 10, way
                assert counts.lag == 0

    asyncio.run(main())


async def settled(reader: Reader) -> LogCounts:
    """The counts once polls find nothing more: a server logs a session's end after it."""
    counts = await reader.poll()
    same = 0
    while same < 5:
        await asyncio.sleep(0.05)
        former, counts = counts, await reader.poll()
        same = same + 1 if _of_shop(former) == _of_shop(counts) else 0
    return counts


def _of_shop(counts: LogCounts) -> tuple[object, ...]:
    opened, closed = counts.opened or {}, counts.closed or {}
    return counts.timeouts.get("shop"), counts.refused, opened.get("shop"), closed.get("shop")
