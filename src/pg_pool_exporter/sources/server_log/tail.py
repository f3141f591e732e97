"""Positions and counts of one log, and its state file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.counting.coverage import Coverage
from pg_pool_exporter.sources.server_log.counting.reader import LogReader
from pg_pool_exporter.sources.server_log.counting.totals import LogTotals
from pg_pool_exporter.sources.server_log.diagnosis import advice
from pg_pool_exporter.sources.server_log.format.log_format import Gap, LogFormat, gaps
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.positions.positions import Position, Positions
from pg_pool_exporter.sources.server_log.positions.state import LogState, StateError, StateFile

log = structlog.get_logger(__name__)
# Share of lines that belong to no record from which it is worth a look why.
_MANY = 0.5
# Records in a row without a known severity after which the log is not understood.
_ENOUGH_RECORDS = 3
_UNKNOWN_LANGUAGE = (
    "none of its last records has a severity in a language of PostgreSQL's: set lc_messages = 'C' "
    "on the server"
)


class LogTail:
    """Positions, counts and state file of one log, read as `form`.

    `server` is the server's name. `source` identifies the log: state of another source is ignored.
    With `look_back` so many bytes at the end of the newest file are read at first, and each line is
    looked at. `clock` is monotonic, in seconds. Blocking: it reads the state file.
    """

    def __init__(
        self,
        server: str,
        source: str,
        file: StateFile | None,
        form: LogFormat,
        clock: Callable[[], float] = time.monotonic,
        look_back: int = 0,
    ) -> None:
        self._log = log.bind(server=server)
        self._look_back = look_back
        self._source = source
        self._file = file
        self.form = form
        """The format that is read."""
        self._clock = clock
        self._reader = self._new_reader(form)
        self._unparsed = 0
        # Whether an earlier reader has found records.
        self._was_understood = False
        self._saved: LogState | None = None
        self._save_error: str | None = None
        self._gaps: set[Gap] = set()
        former = self._load()
        self._totals = LogTotals(former)
        self.positions: Positions = _positions(former, form, look_back)
        """Those of the log's files."""

    def use(self, form: LogFormat) -> None:
        """Read what follows as `form`. What was read is committed before."""
        if form == self.form:
            return
        if form.name != self.form.name:
            # The server may log in both formats: what is in these files has been counted from the
            # former ones.
            self.positions = _positions(None, form, self._look_back)
        self.form = form
        self._unparsed += self._reader.coverage.unparsed
        self._was_understood |= self._reader.has_known_word
        self._reader = self._new_reader(form)

    def begin(self, position: Position) -> int:
        """Continue in this file; returns the offset of the first byte to feed."""
        is_new = position.offset == 0
        self._reader.restart(position.key, skipping=position.skipping, is_new=is_new)
        return position.offset

    def feed(self, position: Position, at: int, piece: bytes) -> int:
        """Count a piece that stands at offset `at` of the file; returns the next offset."""
        if not piece:
            # The end of the file, or it was truncated or removed after its size was read.
            position.size = at
            return at
        reader = self._reader
        reader.feed(piece)
        end = at + len(piece)
        self._totals.read += max(0, end - position.offset - position.pending)
        position.offset, position.pending = end - reader.pending, reader.pending
        position.skipping = reader.skipping
        return end

    def commit(self, settings: LogSettings | None) -> None:
        """Add up what has been counted, and save it with the positions."""
        databases = settings.databases if settings is not None else None
        tally = self._reader.take_tally(frozenset(databases or ()))
        self._totals.add(tally, databases, self._clock())
        self._save()

    def counts(self, settings: LogSettings | None) -> LogCounts:
        """The counts since the exporter first read the log."""
        counts = self._totals.counts(
            settings, by_database=self.form.has_database, lag=self.positions.lag
        )
        if self._is_unknown:
            counts = replace(counts, timeouts={}, opened=None, closed=None, refused={})
        saved = None if self._file is None else self._save_error is None
        unparsed = self._unparsed + self._reader.coverage.unparsed
        coverage, recognised = self._reader.coverage, self._reader.recognised
        return replace(
            counts,
            written={} if recognised is None else {(recognised.format, recognised.wrapping): 1.0},
            records=coverage.records,
            unparsed=unparsed,
            unparsed_ratio=coverage.unparsed_ratio,
            unparsed_shape=coverage.last_shape,
            unparsed_advice=self.advice if _is_in_doubt(coverage) else "",
            state_saved=saved,
            state_problem=self._save_error,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Why counters are absent, although the log can be read."""
        if not self._is_unknown:
            return ()
        coverage = self._reader.coverage
        if coverage.records:
            return (f"its counters are absent: {_UNKNOWN_LANGUAGE}",)
        lines = coverage.foreign_before_record
        return (
            f"its counters are absent: no record of {self.form} in the {lines} lines read so far",
        )

    @property
    def _is_unknown(self) -> bool:
        """Whether lines were read, and no record was ever found, or none in a known language."""
        if self._reader.unknown_records >= _ENOUGH_RECORDS:
            return True
        if self._was_understood or not self._totals.is_empty:
            return False
        coverage = self._reader.coverage
        return coverage.foreign_before_record > 0 or (
            coverage.records > 0 and not self._reader.has_known_word
        )

    def check(self) -> None:
        """Raise `PollError` if the last lines belong to no record: counts would be too low."""
        coverage = self._reader.coverage
        if coverage.is_understood:
            if self._reader.unknown_records >= _ENOUGH_RECORDS:
                raise PollError("not_understood", _UNKNOWN_LANGUAGE)
            return
        if coverage.has_only_others and not coverage.since_record:
            raise PollError(
                "not_understood",
                f"none of the {coverage.skipped} lines read is marked as PostgreSQL's or begins a "
                f"record of {self.form}: wrong file, syslog_ident or line_prefix; "
                + advice(self.form, coverage.last_skipped),
            )
        raise PollError(
            "not_understood",
            f"the last {coverage.since_record} lines are no records of {self.form}; the shape of "
            f"one (a: letters, 9: digits) is {coverage.last_shape!r}: {self.advice}",
        )

    @property
    def advice(self) -> str:
        """The remedy for the last lines, which belong to no record; else ""."""
        foreign = self._reader.coverage.last_foreign
        return advice(self.form, foreign) if foreign else ""

    def _new_reader(self, form: LogFormat) -> LogReader:
        return LogReader(form, is_thorough=self._look_back > 0)

    def warn_of_gaps(self, settings: LogSettings | None) -> None:
        """Log the events that the server's settings leave uncounted, once, and again after a
        change."""
        if settings is None:
            return
        found = set(gaps(settings, self.form))
        for gap in sorted(found - self._gaps):
            self._log.warning("server log is incomplete", gap=gap.text, remedy=gap.remedy)
        self._gaps = found

    def _load(self) -> LogState | None:
        if self._file is None:
            return None
        try:
            state = self._file.load()
        except StateError as error:
            self._log.warning("state not read, reading starts at the log's end", error=str(error))
            return None
        if state is not None and state.source != self._identity:
            self._log.info("state is of another log, reading starts at the log's end")
            return None
        return state

    @property
    def _identity(self) -> str:
        return f"{self.form.name} {self._source}"

    def _save(self) -> None:
        if self._file is None:
            return
        positions = tuple(replace(position) for position in self.positions.known)
        if self._saved is not None and self._saved.positions == positions:
            return
        state = replace(self._totals.state(self._identity), positions=positions)
        try:
            self._file.save(state)
        except StateError as error:
            if self._save_error is None:
                self._log.warning(
                    "state not saved, a restart loses what is logged meanwhile", error=str(error)
                )
            self._save_error = str(error)
            return
        self._save_error = None
        self._saved = state


def _is_in_doubt(coverage: Coverage) -> bool:
    """Whether more lines belong to no record than to one."""
    share = coverage.unparsed_ratio
    return coverage.unparsed > coverage.records if share is None else share >= _MANY


def _positions(former: LogState | None, form: LogFormat, look_back: int) -> Positions:
    return Positions(
        former.positions if former else (),
        from_end=former is None,
        unique_starts=form.has_time,
        look_back=look_back,
    )
