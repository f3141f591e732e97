"""How a server logs: what its settings say, and what can't be counted because of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from pg_pool_exporter.sources.connection.held import Batch, HeldConnection, Link
from pg_pool_exporter.sources.queries import statement
from pg_pool_exporter.sources.server_log.layouts import Format
from pg_pool_exporter.sources.server_log.phrases import language
from pg_pool_exporter.sources.server_log.prefix import parse

# How often the overrides of lc_messages are read.
_OVERRIDES_SECONDS = 120.0
# Formats from the one that tells most, as far as the server writes them.
_PREFERRED: tuple[Format, ...] = ("jsonlog", "csvlog", "stderr")
# Values of log_connections with which opened sessions are logged; from PostgreSQL 18 it is a list.
_OPENED_LOGGED = {"on", "true", "yes", "1", "all", "authorization"}
# Values of log_min_messages that keep errors out of the log.
_WITHOUT_ERRORS = {"log", "fatal", "panic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What a server says of its log."""

    line_prefix: str
    formats: tuple[Format, ...]
    """That it writes, the preferred one first; syslog and eventlog are none of them."""
    collector: bool
    opened: bool
    """Whether opened sessions are logged."""
    closed: bool
    errors: bool
    """Whether all errors are logged."""
    languages: tuple[str, ...]
    databases: tuple[str, ...]
    role: str
    """Who we are there."""


class Gap(NamedTuple):
    """Something that is not counted, and what to do about it."""

    text: str
    remedy: str


class LogSettingsReader:
    """Reads them over a connection: a cheap round trip, and seldom another one.

    `clock` gives seconds and never goes back.
    """

    def __init__(self, held: HeldConnection, clock: Callable[[], float]) -> None:
        self._held = held
        self._clock = clock
        self._overrides: tuple[str, ...] = ()
        self._read_at: float | None = None

    async def read(self) -> LogSettings:
        """The settings. Raises what `HeldConnection.fetch` does."""
        _, ((row,), databases) = await self._held.fetch(_batch("log_settings"))
        if self._read_at is None or self._clock() - self._read_at >= _OVERRIDES_SECONDS:
            self._overrides = await self._read_overrides()
            self._read_at = self._clock()
        names = tuple(one["database"] for one in databases)
        return settings_of(row, self._overrides, names)

    async def _read_overrides(self) -> tuple[str, ...]:
        """Values of lc_messages for roles and databases; none without the right to see them."""
        try:
            _, (rows,) = await self._held.fetch(_batch("log_languages"))
        except psycopg.errors.InsufficientPrivilege:
            return ()
        return tuple(row["messages"] for row in rows)


def settings_of(
    row: dict[str, Any], overrides: tuple[str, ...], databases: tuple[str, ...]
) -> LogSettings:
    """The settings from a row of log_settings.sql, and more values of lc_messages."""
    destinations = {part.strip().lower() for part in row["destination"].split(",")}
    connections = {part.strip().lower() for part in row["connections"].split(",")}
    return LogSettings(
        line_prefix=row["prefix"],
        formats=tuple(one for one in _PREFERRED if one in destinations),
        collector=row["collector"],
        opened=bool(connections & _OPENED_LOGGED),
        closed=row["disconnections"],
        errors=row["least"] not in _WITHOUT_ERRORS,
        languages=tuple(sorted({language(one) for one in (row["messages"], *overrides)})),
        databases=databases,
        role=row["role"],
    )


def gaps(settings: LogSettings, form: Format, line_prefix: str) -> Iterator[Gap]:
    """What this server's log can't tell in this format."""
    if not settings.errors:
        yield Gap("errors are not logged, so most time-outs are not", "log_min_messages = warning")
    if not settings.opened:
        yield Gap("opened sessions are not logged", "log_connections = on")
    if not settings.closed:
        yield Gap("closed sessions are not logged", "log_disconnections = on")
    if form == "stderr":
        prefix = parse(line_prefix)
        if not prefix.has_database:
            yield Gap(
                'the prefix does not name the database: time-outs have database="unknown"',
                "add %d to log_line_prefix",
            )
        if not prefix.has_code:
            yield Gap(
                "the prefix has no SQLSTATE: errors are told apart by their texts only",
                "add %e to log_line_prefix",
            )


def _batch(name: str) -> Callable[[Link], Batch]:
    return lambda link: Batch(statement(name, link.version), {})
