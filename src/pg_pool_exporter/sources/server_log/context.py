"""What the poll of a server knows that the reader of its log needs, and the other way round.

They are targets of their own, so that none waits for the other, and each server is to have as few
connections of ours as can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pg_pool_exporter.sources.connection.held import Session
from pg_pool_exporter.sources.server_log.settings import LogSettings


class Board:
    """Notes about one server. They outlive a source: a reload makes some of them anew."""

    def __init__(self) -> None:
        self._settings: LogSettings | None = None
        self._waiting: set[asyncio.Event] = set()
        self._session: Session | None = None

    def put_settings(self, settings: LogSettings) -> None:
        """Note how the server logs now."""
        self._settings = settings
        for event in self._waiting:
            event.set()

    async def settings(self, patience: float) -> LogSettings | None:
        """How the server logs; None when nobody knows within `patience` seconds."""
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
        """Note the session that reads the log over SQL: it is one of the exporter's own."""
        self._session = session

    @property
    def sessions(self) -> Sequence[Session]:
        """Sessions of the exporter, besides the one that polls the server."""
        return [] if self._session is None else [self._session]
