"""Facts shared by the poll of a server and the reader of its log.

They are separate targets, so that neither waits for the other, but share connections where they
can: each server gets as few of ours as possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pg_pool_exporter.sources.queries.rows import Session
from pg_pool_exporter.sources.server_log.format.settings import LogSettings


class ServerLogContext:
    """Shared facts about one server. Outlives its sources, which a reload may replace."""

    def __init__(self) -> None:
        self._settings: LogSettings | None = None
        self._waiting: set[asyncio.Event] = set()
        self._session: Session | None = None

    def put_settings(self, settings: LogSettings) -> None:
        """Store the server's present log settings."""
        self._settings = settings
        for event in self._waiting:
            event.set()

    async def settings(self, patience: float) -> LogSettings | None:
        """The server's log settings; None if still unknown after `patience` seconds."""
        if self._settings is None:
            event = asyncio.Event()
            self._waiting.add(event)
            try:
                async with asyncio.timeout(patience):
                    await event.wait()
            except TimeoutError:
                return None
            finally:
                self._waiting.discard(event)
        return self._settings

    def put_session(self, session: Session | None) -> None:
        """Store the session that reads the log over SQL; None once it is closed."""
        self._session = session

    @property
    def sessions(self) -> Sequence[Session]:
        """Sessions of the exporter besides the one that polls the server."""
        return [] if self._session is None else [self._session]
