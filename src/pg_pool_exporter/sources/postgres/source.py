"""A PostgreSQL server: its sessions, counters and settings, over one held connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import psycopg

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.metrics.catalogue import SESSION_END_REASONS
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import DatabaseCounters, ServerSample, Snapshot
from pg_pool_exporter.sources.connection.held import Batch, HeldConnection, Link, Result
from pg_pool_exporter.sources.connection.postgres import ServerConnection
from pg_pool_exporter.sources.postgres.activity import read_activity
from pg_pool_exporter.sources.postgres.session_groups import SessionGroups
from pg_pool_exporter.sources.postgres.settings_reader import SettingsReader
from pg_pool_exporter.sources.queries import statement
from pg_pool_exporter.sources.queries.rows import ActivityRow
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.settings import LogSettingsReader

MOST_DATABASES = 1000
"""Most databases whose counters are shown."""


class PostgresSource:
    """Polls one server. `protected` names applications whose name is never folded; `log_context` is
    shared with the reader of its log.

    `clock` gives seconds and never goes back.
    """

    def __init__(
        self,
        config: ServerConfig,
        protected: Collection[str] = (),
        log_context: ServerLogContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log_context = log_context or ServerLogContext()
        self._clock = clock
        self._connection = ServerConnection(config, config.timeout)
        self._held = HeldConnection(self._connection.connect, self._connection.prepare, clock)
        self._settings = SettingsReader(config.name, self._held, clock)
        # Over SQL the log's own source asks for itself.
        reads_files = config.log is not None and not config.log.sql
        self._log_settings = LogSettingsReader(self._held, clock) if reads_files else None
        self._groups = SessionGroups(config.max_groups, protected)
        self._databases = NameLimiter[str](MOST_DATABASES)

    async def poll(self) -> Snapshot:
        """One round trip; one more when somebody waits, one for its log if that is read, and a few
        when the settings are due.

        Raises `PollError`; cancelling takes effect at once.
        """
        try:
            link, (sessions, databases) = await self._held.fetch(self._batch)
            waits = await self._waits(link, sessions)
            settings = await self._settings.settings(link)
            if self._log_settings is not None:
                self._log_context.put_settings(await self._log_settings.read())
        except (psycopg.Error, PasswordError) as error:
            raise self._connection.failure(error) from None
        activity = read_activity(
            (ActivityRow(**row) for row in sessions),
            {row["datid"]: row["database"] for row in databases},
            waits,
        )
        self._held.forget_gone(activity.own)
        clients = sum(group.sessions for group in activity.sessions.values())
        now = self._clock()
        groups, folded = self._groups.fold(activity.sessions, now)
        shown = self._databases.choose({row["database"]: 0.0 for row in databases}, now)
        counters = {
            row["database"]: _counters(row) for row in databases if row["database"] in shown
        }
        return Snapshot(
            server=ServerSample(
                host=link.connection.info.host,
                port=str(link.connection.info.port),
                used=len(activity.own) + clients,
                groups=groups,
                databases=counters,
                settings=settings,
                address=link.connection.info.hostaddr,
                sessions=activity.sessions,
                clock=activity.clock,
            ),
            folded=folded + len(databases) - len(counters) + self._settings.left_out,
        )

    async def close(self) -> None:
        """Let go of the connection at once."""
        await self._held.close()

    def _batch(self, link: Link) -> Batch:
        others = [*self._held.abandoned, *self._log_context.sessions]
        return Batch(
            "\n".join(statement(name, link.version) for name in ("sessions", "databases")),
            {
                "abandoned_pids": [session.pid for session in others],
                "abandoned_starts": [session.started for session in others],
            },
        )

    async def _waits(self, link: Link, sessions: Result) -> dict[int, float]:
        """Seconds that sessions have waited for their locks, by process id."""
        if link.version < 14 or not any(row["waiting"] for row in sessions):
            return {}
        batch = Batch(statement("waits", link.version), {})
        _, (waits,) = await self._held.fetch(lambda _: batch)
        return {row["pid"]: row["waited"] for row in waits if row["waited"] is not None}


def _counters(row: dict[str, Any]) -> DatabaseCounters:
    return DatabaseCounters(
        deadlocks=row["deadlocks"],
        sessions=row.get("sessions"),
        ended={reason: row[reason] for reason in SESSION_END_REASONS if reason in row},
    )
