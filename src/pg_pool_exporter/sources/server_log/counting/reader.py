"""From the bytes of a log, in pieces of any size, to lines without wrapping for the parsers."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.counting.coverage import (
    SAMPLE_BYTES,
    SMALL_BYTES,
    Coverage,
)
from pg_pool_exporter.sources.server_log.counting.events import Tally
from pg_pool_exporter.sources.server_log.counting.parser import LogParser
from pg_pool_exporter.sources.server_log.counting.searches import MOST_SEVERITY
from pg_pool_exporter.sources.server_log.counting.shared_counts import SharedCounts
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat
from pg_pool_exporter.sources.server_log.format.prefix import parse
from pg_pool_exporter.sources.server_log.messages.catalogue import messages
from pg_pool_exporter.sources.server_log.messages.languages import has_known_word, other_languages
from pg_pool_exporter.sources.server_log.unwrapping.heads import Wrapping
from pg_pool_exporter.sources.server_log.unwrapping.objects import NATIVE
from pg_pool_exporter.sources.server_log.unwrapping.wrapping import Unwrapped, Unwrapper

MAX_LINE = 64 * 1024
"""Only the beginning of a longer line is parsed; everything of interest stands there."""
# Files whose state is kept between two reads.
_MOST_FILES = 64
# Null bytes where a file was truncated while the server had it open, or the mark of its encoding;
# at each line, so that it does not matter where a read ends.
_BEFORE_LINE = re.compile(rb"(?m)^(?:\0|%s)++" % BOM_UTF8)


class Recognised(NamedTuple):
    """The format of the last lines that were understood."""

    format: Format
    wrapping: Wrapping


class _File:
    """The state of one file after the lines read so far: its format may change in the middle."""

    def __init__(self, form: Format, unwrapper: Unwrapper) -> None:
        self.form: Format = form
        """Of lines without wrapping that are no JSON."""
        self.is_quoted = False
        """Of csvlog: the next line is inside quotes."""
        self.is_wrapped = False
        """Whether the last line had a wrapping."""
        self.unwrapper = unwrapper
        self.line_end = b""
        """As its lines end; b"" until that is known."""


class LogReader:
    """Counts the events of one log, written as `form` says, in files that are read in turns.

    If it `is_thorough`, each line is looked at, instead of a sample.
    """

    def __init__(self, form: LogFormat, *, is_thorough: bool = False) -> None:
        self._form = form
        self._is_thorough = is_thorough
        self._shared = SharedCounts(Coverage(is_thorough=is_thorough))
        self._parsers: dict[tuple[Format, bool], LogParser] = {}
        self._files: dict[str, _File] = {}
        # A name at the beginning of a line can be anything, also what a shipper puts there.
        self._may_hide = form.name == "stderr" and parse(form.line_prefix or "").begins_with_name
        self._file = self._state("")
        self._rest = b""
        self._skipping = False
        # Whether objects of the incomplete line have been counted.
        self._is_list = False
        self.has_known_word = False
        """Whether a severity or label was in a language that PostgreSQL is translated to."""
        self.unknown_records = 0
        """Records since the last such word, of those checked, that only a server can write."""
        self.recognised: Recognised | None = None
        """How the last records were written; None before the first one."""

    @property
    def coverage(self) -> Coverage:
        """Counts of the lines that are understood, and of the others."""
        return self._shared.coverage

    @property
    def pending(self) -> int:
        """Bytes of the incomplete line at the end of what was fed, or of an incomplete object."""
        return len(self._rest) + self._file.unwrapper.pending

    @property
    def skipping(self) -> bool:
        """Whether the rest of an overlong line is being skipped."""
        return self._skipping

    def restart(self, file: str = "", *, skipping: bool = False, is_new: bool = False) -> None:
        """Drop what is pending: the next piece is of `file`, and begins at a line's start.

        With `skipping` it begins inside a line that has been parsed. If the file `is_new`, what is
        known of it was of another one.
        """
        if is_new:
            self._files.pop(file, None)
        self._rest = b""
        self._skipping = skipping
        self._is_list = False
        self._file = self._state(file)
        self._file.unwrapper.restart()
        for parser in self._parsers.values():
            parser.restart()

    def feed(self, piece: bytes) -> None:
        """Count the events of the next piece."""
        if self._file.line_end != b"\n":
            piece = self._with_line_ends(piece)
        if self._skipping:
            end = piece.find(b"\n")
            if end < 0:
                return
            piece = piece[end + 1 :]
            self._skipping = False
        data = self._rest + piece if self._rest else piece
        if b"\0" in data or BOM_UTF8[:1] in data:
            data = _BEFORE_LINE.sub(b"", data)
        end = data.rfind(b"\n") + 1
        if end:
            self._scan(data, end)
            self._is_list = False
        self._rest = data[end:]
        while len(self._rest) > MAX_LINE:
            self._cut()

    def take_tally(self, known: frozenset[str] = frozenset()) -> Tally:
        """The events counted since the last call.

        `known` are the databases of the server, which decide from now on where a prefix leaves
        open which one it names.
        """
        self._flush()
        self._shared.known = known
        return self._shared.take_tally()

    def _state(self, file: str) -> _File:
        state = self._files.pop(file, None)
        if state is None:
            if len(self._files) >= _MOST_FILES:
                del self._files[next(iter(self._files))]
            state = _File(
                self._form.name, Unwrapper(self._form.unwrapped, self._is_record, self._is_headless)
            )
        self._files[file] = state
        return state

    def _parser(self, form: Format, *, headless: bool = False) -> LogParser:
        key = (form, headless)
        if key not in self._parsers:
            layout = self._form.layout(form, headless=headless)
            texts = messages(self._form.languages)
            self._parsers[key] = LogParser(layout, texts, self._shared)
        return self._parsers[key]

    def _flush(self) -> None:
        for parser in self._parsers.values():
            parser.flush()

    def _cut(self) -> None:
        """Count the whole objects at the beginning of an overlong line, or that beginning."""
        first, last = self._file.unwrapper.several(self._rest[:MAX_LINE])
        end = last or MAX_LINE
        self._scan(self._rest[first:end] + b"\n", end - first + 1)
        if not last and self._is_list:
            self.coverage.unparsed += 1
        self._rest = self._rest[last:] if last else b""
        self._skipping, self._is_list = not last, last > 0

    def _with_line_ends(self, piece: bytes) -> bytes:
        """The piece, with its carriage returns as line ends in a file that has no others.

        A text in a statement may hold carriage returns, so one line end shows that they are none.
        """
        file = self._file
        if b"\n" in piece:
            file.line_end = b"\n"
        elif not file.line_end:
            lines = (self._rest + piece[:MAX_LINE]).split(b"\r")
            if self._is_record(lines[0]) and any(map(self._is_record, lines[1:])):
                file.line_end = b"\r"
                self._rest = self._rest.replace(b"\r", b"\n")
        return piece.replace(b"\r", b"\n") if file.line_end == b"\r" else piece

    def _is_record(self, line: bytes) -> bool:
        """Whether the line without wrapping begins a record."""
        return self._parser(self._file.form).layout.record.match(line) is not None

    def _is_headless(self, line: bytes) -> bool:
        """Whether it begins a record, maybe one without time and process id."""
        form = self._file.form
        headless = form == "stderr"
        return self._parser(form, headless=headless).layout.record.match(line) is not None

    def _scan(self, data: bytes, end: int) -> None:
        """Count the events of the whole lines `data[:end]`."""
        if self._is_plain(data, end):
            self._count(self._file.form, data, end, "none")
        else:
            self._unwrap(data, end)

    def _count(
        self, form: Format, data: bytes, end: int, wrapping: Wrapping, *, headless: bool = False
    ) -> None:
        self._follow_language(data, end)
        before = self.coverage.records
        self._parser(form, headless=headless).scan(data, end)
        self._look_for_words(form, data)
        if self.coverage.records != before and self.recognised != (form, wrapping):
            self.recognised = Recognised(form, wrapping)

    def _look_for_words(self, form: Format, data: bytes) -> None:
        """Look for a known severity or label in the records of `data` that were just checked.

        A text that two spaces follow makes a record without time and process id: without a known
        word it may be any program's.
        """
        layout = self._parser(form).layout
        may_be_others = not layout.is_quoted and "session" not in layout.error_origin.groupindex
        unknown = 0
        for start in reversed(self.coverage.last_records):
            end = min(data.find(b"\n", start), start + layout.most_before + MOST_SEVERITY)
            if has_known_word(data, start, end):
                self.has_known_word = True
                self.unknown_records = unknown
                return
            if not may_be_others and layout.record.match(data, start):
                unknown += 1
        self.unknown_records += unknown

    def _follow_language(self, data: bytes, end: int) -> None:
        """Look for other languages: in a sample, or in all lines while no event was ever found."""
        spoken = self._form.languages
        if spoken is None:
            return
        is_sample = end > SMALL_BYTES and not self._is_thorough and self._shared.has_events
        found = other_languages(frozenset(spoken), data, 0, SAMPLE_BYTES if is_sample else end)
        if found:
            self._form = self._form._replace(languages=(*spoken, *sorted(found)))
            self._flush()
            self._parsers.clear()

    def _is_plain(self, data: bytes, end: int) -> bool:
        """Whether all lines are of the file's format, as far as a sample shows."""
        if self._file.unwrapper.is_inside:
            return False
        layout = self._parser(self._file.form).layout
        match, further = layout.record.match, layout.further
        if self._may_hide:
            return not any(map(self._is_strange, self._sample(data, end)))
        return not any(
            self._is_strange(line)
            for line in self._sample(data, end)
            if not match(line) and not (further and line.startswith(further))
        )

    def _is_strange(self, line: bytes) -> bool:
        """Whether a line has a wrapping, or is of another format than the file."""
        return self._file.unwrapper.is_wrapped(line) or (
            not self._form.is_fixed and self._format_of(line) is not None
        )

    def _format_of(self, line: bytes) -> Format | None:
        """The format of which the line begins a record, if it is not that of the file."""
        if NATIVE.match(line):
            return "jsonlog"
        others: tuple[Format, ...] = ("csvlog", "stderr")
        for form in others:
            if (
                form != self._file.form
                and (form != "stderr" or self._form.has_prefix)
                and self._parser(form).layout.record.match(line)
            ):
                return form
        return None

    def _unwrap(self, data: bytes, end: int) -> None:
        """Count the events of whole lines, each of which may be written in its own way."""
        file = self._file
        if file.form != "csvlog":
            whole = file.unwrapper.unwrap_all(data, end)
            if whole is not None:
                kind, text, around = whole
                first = text[: text.find(b"\n")]
                if self._form.is_fixed or self._format_of(first) is None:
                    file.is_wrapped = True
                    headless = kind == "syslog" and file.form == "stderr"
                    self._count(file.form, text, len(text), around, headless=headless)
                    return
        unwrap = file.unwrapper.unwrap
        # Of csvlog without wrapping: a text may hold lines of any format.
        is_text = file.form == "csvlog" and self.coverage.is_quoted and not file.is_wrapped
        file.is_quoted = file.form == "csvlog" and self.coverage.is_quoted
        # Neighbours of one kind are counted at once, in the order of the file.
        kind_before: tuple[Format, bool, Wrapping] | None = None
        lines: list[bytes] = []
        for line in data[: end - 1].split(b"\n"):
            unwrapped = [] if is_text else unwrap(line)
            file.is_wrapped = bool(unwrapped)
            for kind, text, wrapping in unwrapped or [Unwrapped("text", line, "none")]:
                if kind == "nothing":
                    self.coverage.skip(text)
                    continue
                form: Format = "jsonlog" if kind == "record" else self._follow(text)
                is_text = file.is_quoted and not file.is_wrapped
                kind_of_line = (form, kind == "syslog" and form == "stderr", wrapping)
                if kind_of_line != kind_before:
                    self._count_lines(kind_before, lines)
                    kind_before, lines = kind_of_line, []
                lines.append(text)
        self._count_lines(kind_before, lines)

    def _count_lines(
        self, kind: tuple[Format, bool, Wrapping] | None, lines: Sequence[bytes]
    ) -> None:
        """Count the events of lines of one format, headless or not, and one wrapping."""
        if kind is not None:
            form, headless, wrapping = kind
            joined = b"\n".join([*lines, b""])
            self._count(form, joined, len(joined), wrapping, headless=headless)

    def _follow(self, line: bytes) -> Format:
        """The format of a line without wrapping; the file goes on in it, if it may change."""
        file = self._file
        if not self._form.is_fixed and not file.is_quoted:
            form = self._format_of(line)
            if form == "jsonlog":
                return form
            if form is not None and not (
                form == "stderr" and self._parser(file.form).layout.record.match(line)
            ):
                file.form = form
        # As `Coverage` does it between pieces: quotes of a line of no record open no text.
        if file.form == "csvlog" and (
            file.is_quoted or self._parser(file.form).layout.record.match(line)
        ):
            file.is_quoted ^= line.count(b'"') & 1 == 1
        return file.form

    def _sample(self, data: bytes, end: int) -> Iterator[bytes]:
        """Sample lines of a piece: of a long one the first and the last."""
        if end <= SMALL_BYTES or self._is_thorough:
            yield from data[: end - 1].split(b"\n")
            return
        yield data[: data.find(b"\n")]
        yield data[data.rfind(b"\n", 0, end - 1) + 1 : end - 1]
