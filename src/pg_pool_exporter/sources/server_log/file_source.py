"""The log of a server from files on this host."""

from __future__ import annotations

import time
from collections.abc import Callable

from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import LogConfig, ServerConfig
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.book import Form, LogBook, choose_form
from pg_pool_exporter.sources.server_log.context import Board
from pg_pool_exporter.sources.server_log.files import LogFiles
from pg_pool_exporter.sources.server_log.layouts import SUFFIXES
from pg_pool_exporter.sources.server_log.positions import Position
from pg_pool_exporter.sources.server_log.settings import LogSettings
from pg_pool_exporter.sources.server_log.state import StateFile

PIECE_BYTES = 128 * 1024
"""How much is read and counted at a time: while it is counted no scrape is answered."""
# Shares of a poll's time: for reading, and for waiting until the server has said how it logs.
_READING = 0.5
_PATIENCE = 0.3


class FileLogSource:
    """Follows the files that the configuration names.

    Each poll reads for half of its time at most and goes on where the one before has ended, so a
    log of gigabytes is caught up with piece by piece.
    """

    def __init__(
        self,
        server: ServerConfig,
        file: StateFile | None,
        board: Board,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        assert server.log is not None
        self._server = server
        self._board = board
        self._config: LogConfig = server.log
        self._clock = clock
        self._form: Form | None = None
        self._files = LogFiles(self._config.files, self._wanted, wall)
        self._file = file
        self._book: LogBook | None = None
        self._lane = Lane(f"log {server.name}")
        self._closed = False

    async def poll(self) -> Snapshot:
        """Read what has been written since the last poll, or a part of it. Raises `PollError`."""
        patience = self._config.timeout * _PATIENCE if self._form is None else 0
        settings = await self._board.settings(patience)
        form = choose_form(self._config.format, self._config.line_prefix, settings)
        book = await self._lane.run(lambda: self._read(form, settings))
        book.tell_gaps(settings)
        return Snapshot(log=book.counts(settings))

    async def close(self) -> None:
        """Let go of the files; a read that is under way ends soon, and closes them then."""
        self._closed = True
        if not self._lane.busy:
            self._files.close()

    def _read(self, form: Form, settings: LogSettings | None) -> LogBook:
        try:
            return self._read_on(form, settings)
        finally:
            if self._closed:
                self._files.close()

    def _read_on(self, form: Form, settings: LogSettings | None) -> LogBook:
        end = self._clock() + self._config.timeout * _READING
        if self._book is None:
            source = "\n".join(self._config.files)
            self._book = LogBook(self._server.name, source, self._file, self._clock)
        book, self._form = self._book, form
        book.use(form)
        problem = self._files.look(book.positions, form.format)
        try:
            for position in book.positions.behind():
                self._follow(book, position, end)
        except PollError as error:
            problem = error
        if not self._closed:
            # Otherwise another source may read on from what was kept last.
            book.close_page(settings)
        if problem is not None:
            raise problem
        return book

    def _follow(self, book: LogBook, position: Position, end: float) -> None:
        """Read one file to its end, or until `end`."""
        at = book.begin(position)
        while self._clock() < end and not self._closed:
            piece = self._files.read(position, at, PIECE_BYTES)
            at = book.feed(position, at, piece)
            if not piece:
                return

    def _wanted(self, path: str) -> bool:
        """Whether the file has the format that is read, as far as its name tells.

        What the server writes in several formats is read in one of them.
        """
        if self._config.format != "auto" or self._form is None:
            return True
        others = [suffix for name, suffix in SUFFIXES.items() if name != self._form.format]
        own = SUFFIXES.get(self._form.format)
        name = path.rpartition("/")[2]
        return own in name if own is not None else not any(suffix in name for suffix in others)
