"""The log of a server on another machine, over SQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import psycopg

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import LogConfig, ServerConfig
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.held import HeldConnection
from pg_pool_exporter.sources.connection.results import AnswerError, only
from pg_pool_exporter.sources.connection.server import ServerConnector
from pg_pool_exporter.sources.queries import batch
from pg_pool_exporter.sources.queries.rows import LogFileRow
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.format.layouts import SUFFIXES
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat, choose_format
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.positions.positions import (
    MOST_FILES,
    START_BYTES,
    Entry,
    Position,
)
from pg_pool_exporter.sources.server_log.positions.state import StateFile
from pg_pool_exporter.sources.server_log.settings.reader import LogSettingsReader
from pg_pool_exporter.sources.server_log.tail import LogTail

PIECE_BYTES = 256 * 1024
"""Read in one round trip; the largest piece that `read_log` returns is 1 MiB."""
MOST_NAME = 255
"""Characters of a file's name, as on Linux."""
# Share of a poll's timeout for reading.
_READING = 0.5
_MISSING = (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName)
_INSTALL = (
    "run deploy/sql/log_reader.sql in the database that the dsn names, as a superuser: "
    "psql -v role={role} -f log_reader.sql"
)


class SqlLogSource:
    """Reads the log through the functions of `deploy/sql/log_reader.sql`, over its own connection.

    Each poll reads for at most half of its timeout. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        server: ServerConfig,
        file: StateFile | None,
        context: ServerLogContext,
        clock: Callable[[], float] = time.monotonic,
        look_back: int = 0,
    ) -> None:
        self._look_back = look_back
        assert server.log is not None
        self._server = server
        self._context = context
        self._config: LogConfig = server.log
        self._clock = clock
        self._connector = ServerConnector(server, self._config.timeout)
        self._where = f"server {server.name}"
        self._held = HeldConnection(self._connector, self._connector.prepare, clock)
        self._settings = LogSettingsReader(self._held, self._connector.connect, clock)
        self._install = ""
        self._file = file
        self._tail: LogTail | None = None
        self._newest: LogFileRow | None = None
        self._lane = Lane(f"log {server.name}")

    async def poll(self) -> Snapshot:
        """Read what was written since the last poll, or part of it. Raises `PollError`."""
        end = self._clock() + self._config.timeout * _READING
        try:
            settings = await self._settings.read()
            self._install = _INSTALL.format(role=settings.role)
            self._check(settings)
            form = choose_format(
                self._config.format, self._config.line_prefix, settings, self._config.wrapping
            )
            tail = await self._lane.run(lambda: self._opened(form))
            if form.name != tail.form.name:
                # Events of the time before the change was known are in the former files.
                with suppress(PollError):
                    await self._read_files(tail, settings, end)
                self._newest = None
            await self._lane.run(lambda: tail.use(form))
            problem = await self._read_files(tail, settings, end)
        except _MISSING:
            raise PollError("permission", f"{self._where}: {self._install}") from None
        except psycopg.errors.InsufficientPrivilege:
            raise PollError(
                "permission",
                f"{self._where}: the role has no right to read the log; {self._install}",
            ) from None
        except (psycopg.Error, PasswordError) as error:
            raise self._connector.failure(error) from None
        if problem is not None:
            raise problem
        tail.check()
        tail.warn_of_gaps(settings)
        return Snapshot(log=tail.counts(settings), notes=tail.notes)

    async def close(self) -> None:
        """Close the connection at once."""
        self._context.put_session(None)
        await asyncio.gather(self._held.close(), self._settings.close())

    def _check(self, settings: LogSettings) -> None:
        if not settings.collector:
            raise PollError(
                "other",
                f"{self._where}: logging_collector is off, so the server has no log files to read "
                "over SQL: set logging_collector = on and restart it, or read its log from files",
            )

    def _opened(self, form: LogFormat) -> LogTail:
        if self._tail is None:
            self._tail = LogTail(
                self._server.name, "sql", self._file, form, self._clock, self._look_back
            )
        return self._tail

    async def _read_files(
        self, tail: LogTail, settings: LogSettings, end: float
    ) -> PollError | None:
        """Find the files, and count what is in them until `end`.

        Returns what is wrong although there are files to read.
        """
        problem = await self._scan(tail)
        for position in tail.positions.behind():
            await self._follow(tail, position, end)
        await self._lane.run(lambda: tail.commit(settings))
        return problem

    async def _scan(self, tail: LogTail) -> PollError | None:
        """List the newest files, and read the beginnings of those that changed."""
        ready, (_, files) = await self._held.fetch(
            lambda ready: batch("log_owner", "log_files", version=ready.version)
        )
        self._context.put_session(ready.session)
        wanted = [
            one for one in files if len(one.name) <= MOST_NAME and _has_form(one.name, tail.form)
        ]
        entries: list[Entry] = []
        for one in sorted(wanted, key=lambda file: -file.modified)[:MOST_FILES]:
            unchanged = tail.positions.is_unchanged(one.name, one.size, one.modified)
            start = None if unchanged else await self._read(one.name, 0, START_BYTES)
            entries.append(Entry(one.name, one.size, one.modified, start))
        await self._lane.run(lambda: tail.positions.observe(entries))
        if not wanted:
            raise PollError(
                "other",
                f"{self._where}: the server's log directory has no {tail.form.name} file",
            )
        return self._removed(wanted)

    def _removed(self, files: Sequence[LogFileRow]) -> PollError | None:
        """Whether the newest file is gone without a successor: the server writes on into a file
        that cannot be read.
        """
        latest = max(files, key=lambda file: file.modified)
        former = self._newest
        if (
            former is not None
            and latest.modified < former.modified
            and all(one.name != former.name for one in files)
        ):
            return PollError(
                "other",
                f"{self._where}: the server's current log file was removed; it writes on, and "
                "nobody can read that: SELECT pg_rotate_logfile() makes another one",
            )
        self._newest = latest
        return None

    async def _follow(self, tail: LogTail, position: Position, end: float) -> None:
        """Read one file to its end, or until `end`."""
        at = tail.begin(position)
        while self._clock() < end:
            piece = await self._read(position.key, at, PIECE_BYTES)
            at = await self._lane.run(partial(tail.feed, position, at, piece))
            # What was written after the files were listed is left to the next poll.
            if not piece or at >= position.size:
                return

    async def _read(self, name: str, at: int, most: int) -> bytes:
        """At most `most` bytes of a file; none at its end, or if it is gone.

        Raises `AnswerError` for more.
        """
        _, (_, rows) = await self._held.fetch(
            lambda ready: batch(
                "log_owner", "log_piece", version=ready.version, name=name, at=at, most=most
            )
        )
        piece: bytes = only(rows).piece or b""
        if len(piece) > most:
            # Reading it would hold up the loop.
            raise AnswerError(f"{len(piece)} bytes of a log instead of {most}")
        return piece


def _has_form(name: str, form: LogFormat) -> bool:
    own = SUFFIXES.get(form.name)
    if own is not None:
        return name.endswith(own)
    return not name.endswith(tuple(SUFFIXES.values()))
