"""What has been read and counted of one log, and kept in its state file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import structlog

from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.layouts import Csv, Format, Json, Layout, Stderr
from pg_pool_exporter.sources.server_log.parser import LogParser
from pg_pool_exporter.sources.server_log.phrases import forms, texts
from pg_pool_exporter.sources.server_log.positions import Position, Positions
from pg_pool_exporter.sources.server_log.prefix import parse
from pg_pool_exporter.sources.server_log.settings import Gap, LogSettings, gaps
from pg_pool_exporter.sources.server_log.state import LogState, StateError, StateFile
from pg_pool_exporter.sources.server_log.totals import LogTotals

log = structlog.get_logger(__name__)


class Form(NamedTuple):
    """How the log is written."""

    format: Format
    line_prefix: str
    """Of `stderr`; "" of the others."""
    languages: tuple[str, ...] | None
    """None: any."""

    def layout(self) -> Layout:
        """The format's layout."""
        if self.format == "stderr":
            return Stderr(parse(self.line_prefix), forms(texts(self.languages), "LOG"))
        return Csv() if self.format == "csvlog" else Json()

    @property
    def has_time(self) -> bool:
        """Whether each record begins with the time it was written."""
        return self.format != "stderr" or any(
            escape in self.line_prefix for escape in ("%m", "%t", "%n")
        )


class LogBook:
    """Positions, counts and their state file for the log of the server `name`.

    `source` says which log it is: what was kept of another one is of no use. `clock` gives seconds
    and never goes back.
    """

    def __init__(
        self,
        name: str,
        source: str,
        file: StateFile | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log.bind(server=name)
        self._source = source
        self._file = file
        self._clock = clock
        self._totals = LogTotals(None)
        self._form: Form | None = None
        self._parser: LogParser | None = None
        self._positions: Positions | None = None
        self._saved: LogState | None = None
        self._told: set[Gap] = set()
        self._warned: str | None = None

    @property
    def positions(self) -> Positions:
        """Those of the log's files; there are some once `use` has been called."""
        assert self._positions is not None
        return self._positions

    def use(self, form: Form) -> None:
        """Read what follows as `form`."""
        if form == self._form:
            return
        if self._form is None:
            former = self._load(form)
            self._totals = LogTotals(former)
            self._positions = _positions(former, form)
        elif form.format != self._form.format:
            # What the server logs in two formats was counted in the other one.
            self._positions = _positions(None, form)
        self._form = form
        self._parser = LogParser(form.layout(), texts(form.languages))

    def begin(self, position: Position) -> int:
        """Go on in this file; the offset of the first byte that is to be fed."""
        assert self._parser is not None
        self._parser.restart(skipping=position.skipping)
        return position.offset

    def feed(self, position: Position, at: int, piece: bytes) -> int:
        """Count a piece of the file, which stands at the offset `at`; the offset of the next."""
        parser = self._parser
        assert parser is not None
        if not piece:
            # The end, or it is shorter than it was said to be, or gone.
            position.size = at
            return at
        parser.feed(piece)
        end = at + len(piece)
        self._totals.read += max(0, end - position.offset - position.pending)
        position.offset, position.pending = end - parser.pending, parser.pending
        position.skipping = parser.skipping
        return end

    def close_page(self, settings: LogSettings | None) -> None:
        """Add up what has been counted, and keep it where a restart finds it."""
        parser = self._parser
        assert parser is not None
        tally, parser.tally = parser.tally, type(parser.tally)()
        databases = settings.databases if settings is not None else None
        self._totals.add(tally, parser.database, databases, self._clock())
        self._save()

    def counts(self, settings: LogSettings | None) -> LogCounts:
        """What is shown."""
        assert self._form is not None
        assert self._positions is not None
        form = self._form
        by_database = form.format != "stderr" or parse(form.line_prefix).has_database
        return self._totals.counts(settings, by_database=by_database, lag=self._positions.lag)

    def tell_gaps(self, settings: LogSettings | None) -> None:
        """Say what can't be counted, once, and again after it had changed."""
        if settings is None or self._form is None:
            return
        found = set(gaps(settings, self._form.format, self._form.line_prefix))
        for gap in sorted(found - self._told):
            self._log.warning(
                "the server's log tells less than it can", gap=gap.text, remedy=gap.remedy
            )
        self._told = found

    def _load(self, form: Form) -> LogState | None:
        if self._file is None:
            return None
        try:
            state = self._file.load()
        except StateError as error:
            self._log.warning("reading the log begins at its end", error=str(error))
            return None
        if state is not None and state.source != self._of(form):
            self._log.info("another log than before: reading begins at its end")
            return None
        return state

    def _of(self, form: Form) -> str:
        return f"{form.format} {self._source}"

    def _save(self) -> None:
        if self._file is None or self._positions is None or self._form is None:
            return
        positions = tuple(replace(position) for position in self._positions.known)
        state = replace(self._totals.state(self._of(self._form)), positions=positions)
        if self._saved is not None and self._saved.positions == positions:
            return
        try:
            self._file.save(state)
        except StateError as error:
            if self._warned is None:
                self._log.warning("a restart will lose what is logged meanwhile", error=str(error))
            self._warned = str(error)
            return
        self._warned = None
        self._saved = state


def _positions(former: LogState | None, form: Form) -> Positions:
    return Positions(
        former.positions if former else (),
        from_end=former is None,
        unique_starts=form.has_time,
    )


def choose_form(wanted: str, line_prefix: str | None, settings: LogSettings | None) -> Form:
    """How the log is written, from the configuration and from what the server says.

    Raises `PollError` when that is not enough.
    """
    languages = settings.languages if settings is not None else None
    if wanted != "auto":
        form = next(one for one in _FORMATS if one == wanted)
    elif settings is not None:
        if not settings.formats:
            raise PollError(
                "other",
                "the server logs to none of stderr, csvlog and jsonlog: set log_destination",
            )
        form = settings.formats[0]
    else:
        raise PollError("other", "it is not known how the server logs, for " + _UNREACHED)
    if form != "stderr":
        return Form(form, "", languages)
    if line_prefix is None and settings is None:
        raise PollError("other", "log_line_prefix is not known, for " + _UNREACHED)
    prefix = line_prefix if line_prefix is not None else settings.line_prefix if settings else ""
    return Form(form, prefix, languages)


_FORMATS: tuple[Format, ...] = ("stderr", "csvlog", "jsonlog")
_UNREACHED = (
    "the server has not been reached yet; with format and line_prefix in the configuration its "
    "log can be read all the same"
)
