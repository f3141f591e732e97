"""The log of a server from files on this host."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import LogConfig, ServerConfig
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.current_file import CurrentFile
from pg_pool_exporter.sources.server_log.format.layouts import SUFFIXES
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat, choose_format
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.positions.files import LogFiles
from pg_pool_exporter.sources.server_log.positions.positions import Position
from pg_pool_exporter.sources.server_log.positions.state import StateFile
from pg_pool_exporter.sources.server_log.tail import LogTail

PIECE_BYTES = 128 * 1024
"""Read and counted at a time. With larger pieces logs with a wrapping take longer; measured."""
# Shares of a poll's timeout: for reading, and for waiting until the server's settings are known.
_READING = 0.5
_PATIENCE = 0.3
_CLOSE_SECONDS = 0.5


class FileLogSource:
    """Follows the files that the configuration names.

    Each poll reads for at most half of its timeout and continues where the previous one ended, so
    a backlog of gigabytes is read in steps. `clock` is monotonic, in seconds.
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
        self._form: LogFormat | None = None
        self._files = LogFiles(self._config.files)
        self._current = CurrentFile()
        self._file = file
        self._tail: LogTail | None = None
        self._lane = Lane(f"log {server.name}")
        self._closed = False

    async def poll(self) -> Snapshot:
        """Read what was written since the last poll, or part of it. Raises `PollError`."""
        patience = self._config.timeout * _PATIENCE if self._form is None else 0
        settings = await self._context.settings(patience)
        form = choose_format(
            self._config.format, self._config.line_prefix, settings, self._config.wrapping
        )
        tail = await self._lane.run(lambda: self._read(form, settings))
        tail.warn_of_gaps(settings)
        return Snapshot(log=tail.counts(settings), notes=tail.notes)

    async def close(self) -> None:
        """Close the files as soon as the read under way ends; wait `_CLOSE_SECONDS` for that."""
        self._closed = True
        with suppress(TimeoutError):
            # With a key: a read that hangs for longer does not cancel it.
            await self._lane.run(self._files.close, key="close", seconds=_CLOSE_SECONDS)

    def _read(self, form: LogFormat, settings: LogSettings | None) -> LogTail:
        end = self._clock() + self._config.timeout * _READING
        if self._tail is None:
            identity = "\n".join(self._config.files)
            self._tail = LogTail(
                self._server.name, identity, self._file, form, self._clock, self._look_back
            )
        tail = self._tail
        if form.name != tail.form.name:
            # Events of the time before the change was known are in the former files.
            self._read_files(tail, settings, end)
        tail.use(form)
        self._form = form
        problem = self._read_files(tail, settings, end)
        problem = problem or self._current.observe(settings, self._files.paths)
        if problem is not None:
            raise problem
        tail.check()
        return tail

    def _read_files(
        self, tail: LogTail, settings: LogSettings | None, end: float
    ) -> PollError | None:
        """Find the files, and count what is in them until `end`; returns a problem, if any."""
        problem = self._files.scan(tail.positions, tail.form.name, self._has_format)
        try:
            for position in tail.positions.behind():
                self._follow(tail, position, end)
        except PollError as error:
            problem = error
        if not self._closed:
            # Once closed, another source may already continue from what was saved before.
            tail.commit(settings)
        return problem

    def _follow(self, tail: LogTail, position: Position, end: float) -> None:
        """Read one file to its end, or until `end`."""
        at = tail.begin(position)
        while self._clock() < end and not self._closed:
            piece = self._files.read(position, at, PIECE_BYTES)
            at = tail.feed(position, at, piece)
            if not piece:
                return

    def _has_format(self, path: str) -> bool:
        """Whether the file's name fits the format that is read.

        A server that logs in several formats is read in one of them.
        """
        if self._config.format != "auto" or self._form is None:
            return True
        others = [suffix for name, suffix in SUFFIXES.items() if name != self._form.name]
        own = SUFFIXES.get(self._form.name)
        name = path.rpartition("/")[2]
        return own in name if own is not None else not any(suffix in name for suffix in others)
