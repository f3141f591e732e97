"""The exporter's own source, whose console is a test's: all but the connection is real."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import psycopg
from pydantic import SecretStr

from pg_pool_exporter.config import BouncerConfig
from pg_pool_exporter.sources.connection.held import ReadyConnection
from pg_pool_exporter.sources.pgbouncer.answers import Rows
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource

HOST, PORT = "bouncer.example", "6432"
CONSOLE = "pgbouncer"


class ConsoleSource(BouncerSource):
    """Polls a console that `answer` plays."""

    def __init__(
        self, name: str = "edge", clock: Callable[[], float] = time.monotonic, **config: Any
    ) -> None:
        super().__init__(BouncerConfig(name=name, dsn=SecretStr(f"host={HOST}"), **config), clock)
        info = SimpleNamespace(dbname=CONSOLE, host=HOST, port=PORT, hostaddr="192.0.2.9")
        self._ready = cast(ReadyConnection, SimpleNamespace(connection=SimpleNamespace(info=info)))

    @abstractmethod
    def answer(self, what: str) -> Rows | None:
        """The rows of a SHOW command; None for one that the console does not know."""

    async def _show(self, what: str) -> tuple[ReadyConnection, Rows]:
        found = self.answer(what)
        if found is None:
            raise psycopg.errors.SyntaxError(f"unknown command: SHOW {what}")
        return self._ready, found
