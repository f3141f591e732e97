"""Real bouncers and real servers behind them, polled and analysed together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

from pydantic import SecretStr

from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.config import BouncerConfig, Config, ServerConfig
from pg_pool_exporter.model import Health, Snapshot, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.polling import run, snapshot_of


class BothEnds:
    """Polls bouncers and servers, by name and connection string."""

    def __init__(
        self, config: Config, bouncers: Mapping[str, str], servers: Mapping[str, str]
    ) -> None:
        self._store = Store()
        self._analyzer = Analyzer(self._store, config)
        self._bouncers, self._servers = bouncers, servers

    @property
    def analysis(self) -> Analysis:
        """Of what has been polled so far."""
        return self._analyzer.update()

    def put(self, key: TargetId, begun: float, snapshot: Snapshot, *, is_local: bool) -> None:
        """Take in a poll that has just ended."""
        self._store.put(
            TargetState(
                key=key, interval=5.0, health=Health(up=True, polls=1), snapshot=snapshot,
                begun=begun, taken=time.monotonic(), is_local=is_local,
            )
        )  # fmt: skip

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Gives what polls all once, over connections that are kept meanwhile."""
        sources = dict(self._sources())

        async def poll() -> None:
            for key, source in sources.items():
                begun = time.monotonic()
                self.put(key, begun, await snapshot_of(source), is_local=False)

        try:
            yield poll
        finally:
            for source in sources.values():
                await source.close()

    def poll(self) -> Analysis:
        """Poll all once, and analyse that."""

        async def main() -> None:
            async with self.polling() as poll:
                await poll()

        run(main())
        return self.analysis

    def _sources(self) -> Iterator[tuple[TargetId, BouncerSource | PostgresSource]]:
        for name, dsn in self._bouncers.items():
            bouncer = BouncerConfig(name=name, dsn=SecretStr(dsn))
            yield TargetId("bouncer", name), BouncerSource(bouncer)
        for name, dsn in self._servers.items():
            server = ServerConfig(name=name, dsn=SecretStr(dsn))
            yield TargetId("server", name), PostgresSource(server)
