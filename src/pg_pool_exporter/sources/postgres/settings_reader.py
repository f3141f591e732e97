"""Reads a server's settings and limits every few minutes, and logs which ones are forbidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg.sql import Identifier

from pg_pool_exporter.model import ServerSettings
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.postgres.settings import Limits, server_settings
from pg_pool_exporter.sources.queries import Batch, batch
from pg_pool_exporter.sources.queries.rows import ServerRow, Session

log = structlog.get_logger(__name__)

SETTINGS_SECONDS = 120.0
"""How often the settings are read: reading them costs as much as several polls."""
MOST_ENTRIES = 1000
"""Most limits of databases, limits of roles, and overrides that are shown, of each."""

_CATALOGUES = {
    "database_limits": "pg_database",
    "role_limits": "pg_roles",
    "overrides": "pg_db_role_setting",
}


class SettingsReader:
    """The latest settings of the server `name`. `clock` is monotonic, in seconds."""

    def __init__(self, name: str, held: HeldConnection, clock: Callable[[], float]) -> None:
        self._held = held
        self._clock = clock
        self._log = log.bind(server=name)
        self._session: Session | None = None
        self._read_at = 0.0
        self._settings: ServerSettings | None = None
        self._sees_all = True
        self._denied: set[str] = set()
        self.left_out = 0
        """Entries over `MOST_ENTRIES`, or without a readable value, in the last reading."""

    async def settings(self, ready: ReadyConnection) -> ServerSettings:
        """The settings, read again after `SETTINGS_SECONDS`, and in another session.

        Raises what `HeldConnection.fetch` does. Limits that the role has no right to read are
        absent, and logged once.
        """
        if (
            self._settings is None
            or self._session != ready.session
            or self._clock() - self._read_at >= SETTINGS_SECONDS
        ):
            self._settings = await self._read()
        return self._settings

    async def _read(self) -> ServerSettings:
        ready, (servers, values) = await self._held.fetch(_batch("server", "settings"))
        server = only(servers)
        limits = Limits(*[await self._limits(name, server.role) for name in _CATALOGUES])
        settings, self.left_out = server_settings(
            server, values, ready.own_settings, limits, MOST_ENTRIES
        )
        self._check_rights(server)
        self._read_at = self._clock()
        self._session = ready.session
        return settings

    async def _limits(self, name: str, role: str) -> list[Any]:
        """One catalogue, in a transaction of its own: a missing right affects nothing else."""
        catalogue = _CATALOGUES[name]
        try:
            _, (rows,) = await self._held.fetch(_batch(name))
        except psycopg.errors.InsufficientPrivilege:
            if catalogue not in self._denied:
                self._denied.add(catalogue)
                self._log.warning(
                    "no right to read a catalogue, its series are absent",
                    catalogue=catalogue,
                    role=role,
                    remedy=f"GRANT SELECT ON {catalogue} TO {Identifier(role).as_string()}",
                )
            return []
        self._denied.discard(catalogue)
        return rows

    def _check_rights(self, server: ServerRow) -> None:
        """Log once for each change that sessions of other roles are hidden."""
        if self._sees_all and not server.sees_all:
            self._log.warning(
                "no right to see other roles' sessions, their states are unknown",
                role=server.role,
                remedy=f"GRANT pg_monitor TO {Identifier(server.role).as_string()}",
            )
        self._sees_all = server.sees_all


def _batch(*names: str) -> Callable[[ReadyConnection], Batch]:
    return lambda ready: batch(*names, version=ready.version, limit=MOST_ENTRIES + 1)
