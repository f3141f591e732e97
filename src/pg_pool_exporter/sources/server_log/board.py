"""What the poll of a server knows that the reader of its log needs, and the other way round.

They are targets of their own, so that none waits for the other, and each server is to have as few
connections of ours as can be.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.held_connection import Session
from pg_pool_exporter.sources.server_log.settings import LogSettings


class Board:
    """Notes by server: a configuration that is another one is another server."""

    def __init__(self) -> None:
        self._settings: dict[ServerConfig, LogSettings] = {}
        self._waiting: defaultdict[ServerConfig, set[asyncio.Event]] = defaultdict(set)
        self._sessions: dict[ServerConfig, Session] = {}

    def put_settings(self, server: ServerConfig, settings: LogSettings) -> None:
        """Note how the server logs now."""
        self._settings[server] = settings
        for event in self._waiting.pop(server, ()):
            event.set()

    async def settings(self, server: ServerConfig, patience: float) -> LogSettings | None:
        """How the server logs; None when nobody knows within `patience` seconds."""
        if server not in self._settings:
            event = asyncio.Event()
            self._waiting[server].add(event)
            try:
                async with asyncio.timeout(patience):
                    await event.wait()
            except TimeoutError:
                return None
            finally:
                self._waiting[server].discard(event)
        return self._settings[server]

    def put_session(self, server: ServerConfig, session: Session | None) -> None:
        """Note the session that reads the log over SQL: it is one of the exporter's own."""
        if session is None:
            self._sessions.pop(server, None)
        else:
            self._sessions[server] = session

    def sessions(self, server: ServerConfig) -> Sequence[Session]:
        """Sessions of the exporter, besides the one that polls the server."""
        return [self._sessions[server]] if server in self._sessions else []


BOARD = Board()
"""The one of this program. It outlives a reload, which makes some of a server's targets anew."""
