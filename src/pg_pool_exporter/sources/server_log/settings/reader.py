"""Reads the settings of a server's log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection, Results
from pg_pool_exporter.sources.connection.refusals import NOT_THERE, RefusalPeriod
from pg_pool_exporter.sources.connection.results import only
from pg_pool_exporter.sources.queries import Batch, batch
from pg_pool_exporter.sources.queries.rows import (
    FixedSettingsRow,
    LogDetailsRow,
    LogSettingsRow,
    Session,
)
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.messages.catalogue import language
from pg_pool_exporter.sources.server_log.settings.fixed import FixedSettings

_OVERRIDES_SECONDS = 120.0
"""Interval between reads of the overrides of lc_messages."""
# Without them a log is read all the same.
_OPTIONAL = {"fixed_settings", "log_databases", "log_details", "log_language", "log_languages"}
# The most complete first.
_PREFERRED: tuple[Format, ...] = ("jsonlog", "csvlog", "stderr")
# Values of log_connections with which opened sessions are logged; from PostgreSQL 18 it is a list.
_OPENED_LOGGED = {"on", "true", "yes", "1", "all", "authorization"}
# Values of log_min_messages that keep out of the log: errors of statements (ERROR), records of
# opened and closed sessions (LOG), and errors that end a session (FATAL).
_WITHOUT_ERRORS = {"log", "fatal", "panic"}
_WITHOUT_SESSIONS = {"fatal", "panic"}
_WITHOUT_FATALS = {"panic"}


class LogSettingsReader:
    """Reads the settings over a held connection: one cheap round trip, rarely a second one.

    `connect` opens another connection to the server: one is needed after each reload of its
    configuration. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        held: HeldConnection,
        connect: Callable[[], Awaitable[BoundedConnection]],
        clock: Callable[[], float],
    ) -> None:
        self._held = held
        self._fixed = FixedSettings(connect, clock)
        self._clock = clock
        self._overrides: tuple[str, ...] = ()
        self._read_at: float | None = None
        self._denied: frozenset[str] = frozenset()
        self._period = RefusalPeriod(clock)

    async def read(self) -> LogSettings:
        """The settings. Raises what `HeldConnection.fetch` does."""
        # What is read rarely comes first: it is kept where the deadline ends this poll.
        if self._read_at is None or self._clock() - self._read_at >= _OVERRIDES_SECONDS:
            (overrides,) = await self._fetched("log_languages")
            self._overrides = tuple(row.messages for row in overrides)
            self._read_at = self._clock()
        rows, details, fixed, language, databases = await self._fetched(
            "log_settings", "log_details", "fixed_settings", "log_language", "log_databases"
        )
        return settings_of(
            only(rows),
            only(details) if details else None,
            self._fixed.latest(only(fixed)) if fixed else None,
            (*(row.messages for row in language), *self._overrides),
            tuple(row.database for row in databases),
        )

    async def close(self) -> None:
        """End the query under way."""
        await self._fixed.close()

    async def _fetched(self, *names: str) -> Results:
        """The rows of each of these statements; none of one that the server lacks."""
        try:
            return await self._results(names)
        except NOT_THERE:
            for name in _OPTIONAL.intersection(names) - self._denied:
                try:
                    await self._results([name])
                except NOT_THERE:
                    self._denied |= {name}
        return await self._results(names)

    async def _results(self, names: Sequence[str]) -> Results:
        asked: list[str] = []

        def compose(ready: ReadyConnection) -> Batch:
            self._follow(ready.session)
            asked[:] = [name for name in names if name not in self._denied]
            return batch(*asked, version=ready.version)

        _, results = await self._held.fetch(compose)
        found = dict(zip(asked, results, strict=True))
        return [found.get(name, []) for name in names]

    def _follow(self, session: Session) -> None:
        """Try all again in another session, or after an hour."""
        if self._period.begins_anew(session):
            self._denied = frozenset()


def settings_of(
    row: LogSettingsRow,
    details: LogDetailsRow | None,
    fixed: FixedSettingsRow | None,
    messages: tuple[str, ...],
    databases: tuple[str, ...],
) -> LogSettings:
    """The settings from the rows of the held session, `fixed` settings as new sessions have them,
    the values of lc_messages and the databases.
    """
    destinations = {part.strip().lower() for part in row.destination.split(",")}
    least = None if details is not None and details.own_level else _least_level(row.least)
    return LogSettings(
        line_prefix=row.prefix,
        formats=tuple(one for one in _PREFERRED if one in destinations),
        collector=row.collector,
        opened=_opened_logged(fixed.connections if fixed else None),
        closed=fixed.disconnections if fixed else None,
        errors=None if least is None else least not in _WITHOUT_ERRORS,
        fatals=None if least is None else least not in _WITHOUT_FATALS,
        sessions=None if least is None else least not in _WITHOUT_SESSIONS,
        languages=tuple(sorted({language(one) for one in messages or ("",)})),
        databases=databases,
        role=row.role,
        file=_file(details),
    )


def _file(details: LogDetailsRow | None) -> str | None:
    if details is None or details.directory is None or details.filename is None:
        return None
    return f"{details.directory}/{details.filename}"


def _least_level(least: str) -> str:
    """The level of a value of log_min_messages for sessions of clients.

    From PostgreSQL 19 it is a list: a level for all, and some for types of processes.
    """
    levels = {"": "warning"}
    for part in least.lower().split(","):
        process, _, level = part.strip().rpartition(":")
        levels[process.strip()] = level.strip()
    return levels.get("backend", levels[""])


def _opened_logged(connections: str | None) -> bool | None:
    """Whether a value of log_connections has opened sessions logged."""
    if connections is None:
        return None
    aspects = {part.strip(' "').lower() for part in connections.split(",")}
    return bool(aspects & _OPENED_LOGGED)
