"""A PostgreSQL server: its sessions, counters and settings, over one held connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import psycopg
import structlog

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import ServerSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.errors import may_be_limit
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection, Results
from pg_pool_exporter.sources.connection.login_trial import LoginTrial
from pg_pool_exporter.sources.connection.refusals import NOT_THERE
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.connection.server import ServerConnector
from pg_pool_exporter.sources.postgres.activity import read_activity
from pg_pool_exporter.sources.postgres.facts import ServerFactsReader
from pg_pool_exporter.sources.postgres.lacking import Lacking
from pg_pool_exporter.sources.postgres.limits import reached_limit
from pg_pool_exporter.sources.postgres.server_clock import ServerClock
from pg_pool_exporter.sources.postgres.session_groups import SessionGroups
from pg_pool_exporter.sources.postgres.settings_reader import MOST_ENTRIES, SettingsReader
from pg_pool_exporter.sources.queries import Batch, batch
from pg_pool_exporter.sources.queries.rows import ActivityRow, DatabaseRow, LockWaitRow, Session
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.settings.reader import LogSettingsReader

log = structlog.get_logger(__name__)

# Of refused logins whose text is not English, or says no more than that one was refused.
_IN_ANY_LANGUAGE = ("other", "too_many_connections")
_MOST_AGE = 600.0
"""Seconds for which a reading says which limit refuses a login."""
# The first version with statistics of lock waits.
_LOCK_STATISTICS = 19
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
        self._connector = ServerConnector(config, config.timeout)
        self._held = HeldConnection(self._connector, self._connector.prepare, clock)
        self._settings = SettingsReader(config.name, clock)
        self._lacking = Lacking(config.name, self._held, clock)
        # Over SQL the log's own source asks for itself.
        reads_files = config.log is not None and not config.log.sql
        self._log_settings = (
            LogSettingsReader(self._held, self._connector.connect, clock) if reads_files else None
        )
        self._groups = SessionGroups(config.max_groups, protected)
        self._databases = NameLimiter[str](MOST_DATABASES)
        self._trial = LoginTrial(self._connector.connect, clock)
        self._server_clock = ServerClock()
        self._last: ServerSample | None = None
        self._last_at = 0.0
        self._session: Session | None = None
        self._facts = ServerFactsReader(config.facts, config.max_groups)
        self._due: tuple[str, ...] = ()
        self._asked: dict[str, str] = {}
        """The statements of the last message, besides sessions and state."""
        self._log = log.bind(server=config.name)

    async def poll(self) -> Snapshot:
        """Poll in one round trip.

        One more when a session waits for a lock, and one for the log's settings. Raises
        `PollError`; cancelling takes effect at once.
        """
        try:
            begun = self._clock()
            ready, (sessions, state, *rest) = await self._fetched()
            rows = dict(zip(self._asked, rest, strict=True))
            databases: list[DatabaseRow] = rows["databases"]
            if sessions:
                self._follow_clock(sessions[0].clock, begun)
            waits = await self._waits(ready, sessions)
            settings = self._settings.settings(
                ready, only(state), {name: rows.get(name, []) for name in self._due}
            )
            if self._log_settings is not None:
                self._log_context.put_settings(await self._log_settings.read())
        except (psycopg.Error, PasswordError) as error:
            raise self._failure(error) from None
        self._note_session(ready.session)
        databases.sort(key=lambda row: row.datid)  # for less than what it costs the server
        names = {row.datid: row.database for row in databases}
        activity = read_activity(sessions, names, waits, self._server_clock, self._lacking.columns)
        self._held.forget_gone(activity.own)
        clients = sum(group.sessions for group in activity.sessions.values())
        waited = rows.get("lock_waits", [])
        now = self._clock()
        groups, folded = self._groups.fold(activity.sessions, now)
        shown = self._databases.choose({row.database: 0.0 for row in databases}, now)
        counters = {row.database: row for row in databases if row.database in shown}
        self._last_at = now
        self._last = ServerSample(
            host=ready.connection.info.host,
            port=str(ready.connection.info.port),
            used=len(activity.own) + clients,
            groups=groups,
            databases=counters,
            settings=settings,
            address=ready.connection.info.hostaddr,
            sessions=activity.sessions,
            backends=activity.backends,
            clock=activity.clock,
            last_login=self._trial.follow(activity.last_login),
            lock_waits=_known(waited, "waits"),
            lock_wait_seconds=_known(waited, "seconds"),
            facts=self._facts.read(
                activity.sessions, rows, settings.sees_all, now, self._lacking.columns
            ),
            login_waiting=self._trial.waiting,
        )
        self._lacking.report()
        return Snapshot(
            server=self._last,
            notes=self._lacking.notes,
            folded=folded + len(databases) - len(counters) + self._settings.left_out,
        )

    def _follow_clock(self, clock: float, begun: float) -> None:
        """Take in the server's clock; log that it was set since the last poll."""
        set_by = self._server_clock.follow(clock, begun, self._clock())
        if set_by is not None:
            self._log.warning(
                "server's clock was set, or this machine was suspended: ages are corrected",
                set_by_seconds=round(set_by, 1),
            )

    def _failure(self, error: psycopg.Error | PasswordError) -> PollError:
        failure = self._connector.failure(error)
        reason, user, database = failure.reason, self._connector.user, self._connector.database
        if reason in _IN_ANY_LANGUAGE and not isinstance(error, PasswordError):
            reason = self._reached_limit(error) or reason
        limited = {"role_limit": user, "database_limit": database}.get(reason, "")
        return PollError(reason, str(failure), limited)

    def _reached_limit(self, error: psycopg.Error) -> str | None:
        if self._last is None or self._clock() - self._last_at > _MOST_AGE:
            return None
        if not may_be_limit(error):
            return None
        return reached_limit(self._last, self._connector.user, self._connector.database)

    def _note_session(self, session: Session) -> None:
        """Log once that another session has replaced the former one."""
        if self._session not in (None, session):
            self._log.warning(
                "own session replaced: the former one was ended, hung, or lost its network",
                pid=session.pid,
            )
        self._session = session

    async def close(self) -> None:
        """Close the connection at once."""
        await asyncio.gather(
            self._held.close(),
            self._trial.close(),
            *([self._log_settings.close()] if self._log_settings is not None else []),
        )

    async def _fetched(self) -> tuple[ReadyConnection, Results]:
        try:
            return await self._held.fetch(self._batch)
        except NOT_THERE:
            if not await self._lacking.find(("sessions", *self._asked)):
                raise
        return await self._held.fetch(self._batch)

    def _batch(self, ready: ReadyConnection) -> Batch:
        others = [*self._held.abandoned, *self._log_context.sessions]
        self._lacking.follow(ready)
        self._due = self._settings.due(ready)
        statistics = ("lock_waits",) if ready.version >= _LOCK_STATISTICS else ()
        self._asked = self._lacking.present(
            ("databases", *statistics, *self._facts.statements, *self._due)
        )
        return batch(
            "sessions",
            "server_state",
            *self._asked.values(),
            version=ready.version,
            without=self._lacking.columns,
            limit=MOST_ENTRIES + 1,
            abandoned_pids=[session.pid for session in others],
            abandoned_starts=[session.started for session in others],
        )

    async def _waits(
        self, ready: ReadyConnection, sessions: Iterable[ActivityRow]
    ) -> dict[int, float]:
        """Seconds that sessions have waited for their locks, by process id."""
        if ready.version < 14 or not any(row.waiting for row in sessions):
            return {}
        if not self._lacking.present(("waits",)):
            return {}
        try:
            _, (waits,) = await self._held.fetch(
                lambda ready: batch("waits", version=ready.version)
            )
        except NOT_THERE:
            await self._lacking.find(("waits",))
            return {}
        return {row.pid: row.waited for row in waits if row.waited is not None}


def _known(rows: Iterable[LockWaitRow], field: str) -> dict[str, Any]:
    """The counter `field` by type of lock, where it is known."""
    return {row.lock_type: value for row in rows if (value := getattr(row, field)) is not None}
