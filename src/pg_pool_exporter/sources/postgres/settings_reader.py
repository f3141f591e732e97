"""Reads a server's settings and limits every few minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog
from psycopg.sql import Identifier

from pg_pool_exporter.model import ServerSettings
from pg_pool_exporter.sources.connection.held import ReadyConnection
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.postgres.settings import Limits, everywhere, server_settings
from pg_pool_exporter.sources.queries.rows import ServerRow, ServerStateRow, Session

log = structlog.get_logger(__name__)

SETTINGS_SECONDS = 120.0
"""How often the settings are read: reading them costs as much as several polls."""
MOST_ENTRIES = 1000
"""Most limits of databases, limits of roles, and overrides that are shown, of each."""

_LIMITS = ("database_limits", "role_limits", "overrides")


class SettingsReader:
    """The latest settings of the server `name`. `clock` is monotonic, in seconds.

    They are read by the same message as the sessions: a round trip of their own would keep a server
    down that answers just one before a poll's deadline.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._log = log.bind(server=name)
        self._session: Session | None = None
        self._read_at = 0.0
        self._settings: ServerSettings | None = None
        self._state: ServerStateRow | None = None
        self._begun_with: dict[str, str] | None = None
        self._sees_all = True
        self.left_out = 0
        """Entries over `MOST_ENTRIES`, or without a readable value, in the last reading."""

    def due(self, ready: ReadyConnection) -> tuple[str, ...]:
        """The statements to execute now: none until `SETTINGS_SECONDS` later, in one session.

        At once after the server was promoted, restarted, or has loaded its configuration.
        """
        if (
            self._settings is not None
            and self._state is not None
            and self._session == ready.session
            and self._clock() - self._read_at < SETTINGS_SECONDS
        ):
            return ()
        return ("server", "settings", *_LIMITS)

    def settings(
        self, ready: ReadyConnection, state: ServerStateRow, rows: Mapping[str, list[Any]]
    ) -> ServerSettings:
        """The settings, from the `rows` of the statements that were due.

        Those that cannot be read have none. Raises `AnswerError`.
        """
        if self._settings is None or rows:
            self._settings = self._made(ready, state, rows)
            self._state = state
        elif self._state is not None and _has_changed(self._state, state):
            self._settings = replace(self._settings, in_recovery=state.in_recovery)
            self._state = None  # the rest is read by the next poll
        return self._settings

    def _made(
        self, ready: ReadyConnection, state: ServerStateRow, rows: Mapping[str, list[Any]]
    ) -> ServerSettings:
        server = only(rows["server"])
        limits = Limits(*[rows[name] for name in _LIMITS])
        if self._session != ready.session:
            self._begun_with = everywhere(limits)
        settings, self.left_out = server_settings(
            server,
            state,
            rows["settings"],
            ready.own_settings,
            limits,
            MOST_ENTRIES,
            self._begun_with,
        )
        settings = replace(settings, role=server.role)
        self._check_rights(server)
        self._read_at = self._clock()
        self._session = ready.session
        return settings

    def _check_rights(self, server: ServerRow) -> None:
        """Log once for each change that sessions of other roles are hidden."""
        if self._sees_all and not server.sees_all:
            self._log.warning(
                "no right to see other roles' sessions, their states are unknown",
                role=server.role,
                remedy=f"GRANT pg_monitor TO {Identifier(server.role).as_string()}",
            )
        self._sees_all = server.sees_all


def _has_changed(before: ServerStateRow, now: ServerStateRow) -> bool:
    """Behind a bouncer each poll may ask another session, which has loaded earlier."""
    same_start = (before.in_recovery, before.started) == (now.in_recovery, now.started)
    return not same_start or now.loaded > before.loaded
