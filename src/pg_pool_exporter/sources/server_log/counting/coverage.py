"""Whether the lines of a log are understood: those that begin or continue no record.

Lines that their wrapping marks as another program's say nothing about those of the server, as long
as there are records between them. Where there was never one, those lines may be the server's.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from pg_pool_exporter.sources.server_log.format.layouts import Layout

# Of a longer piece only the lines at its end are checked, and all only if one of those belongs to
# no record: to check each line would halve the speed.
SMALL_BYTES = 8 * 1024
SAMPLE_BYTES = 1024
# Lines without a record between them after which a log is not understood: of one in which no
# record was found yet, and of one that has had records (other programs write there, too).
_NEVER_UNDERSTOOD = 3
_NO_LONGER_UNDERSTOOD = 1000
# Lines of other programs, without any record, after which the server's are looked for elsewhere.
_ONLY_OTHERS = 1000
# Lines of csvlog after which one that is no record is taken for the start of something else, if
# nothing showed yet where a record begins.
_MOST_UNSURE = 2000
# Lines inside quotes that look like records, after which they are.
_MOST_INSIDE = 100
# Lines of the present share: half of them are forgotten when there are more.
_RECENT_LINES = 2000
_FEWEST_LINES = 100
_MOST_SHAPE = 60
# Of the last lines that belong to no record, so much is kept in memory.
_KEPT_LINES = 20
_KEPT_BYTES = 1024
# Beginnings of records that one check leaves for a closer look.
_KEPT_RECORDS = 100
_RUNS = ((rb"[A-Za-z]+", b"a"), (rb"[0-9]+", b"9"), (rb"[^\x20-\x7e]+", b"?"))
COMPANIONS = re.compile(
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3} (?:- )?[A-Z]|\.\d{3} P\d\d +[A-Z]+:)"
    rb"|[A-Z]+: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d"
)
"""Lines of programs that write into the same log as a rule: Patroni, pgBackRest, WAL-G.

They say nothing about those of the server.
"""


class Coverage:
    """Counts lines that belong to no record, whatever the formats of the others.

    If it `is_thorough`, all lines are checked, of whatever pieces.
    """

    def __init__(self, *, is_thorough: bool = False) -> None:
        self._is_thorough = is_thorough
        self._understood = False
        self.since_record = 0
        """Lines since the last record that belong to none."""
        self._last: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._last_skipped: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self.skipped = 0
        """Lines that their wrapping marks as another program's, or as the rest of a line, before
        the first record."""
        self._records = self._foreign = 0.0
        # Of csvlog: whether the next line is inside quotes; None: unknown.
        self._quoted: bool | None = None
        self._unsure = self._inside = 0
        self.unparsed = 0
        """Lines that belong to no record."""
        self.records = 0
        """Records seen, of the lines that were checked."""
        self.last_records: deque[int] = deque(maxlen=_KEPT_RECORDS)
        """Where the last records begin, of the lines that were checked last."""

    @property
    def is_understood(self) -> bool:
        """False when none of the last lines belongs to a record."""
        limit = _NO_LONGER_UNDERSTOOD if self._understood else _NEVER_UNDERSTOOD
        return self.since_record < limit and not self.has_only_others

    @property
    def foreign_before_record(self) -> int:
        """Lines read so far, where none of them is of a record; else 0."""
        return 0 if self._understood else self.skipped + self.since_record

    @property
    def has_only_others(self) -> bool:
        """Whether many lines were read, and all of them are another program's."""
        limit = _NEVER_UNDERSTOOD if self._is_thorough else _ONLY_OTHERS
        return not self._understood and self.skipped >= limit

    @property
    def is_quoted(self) -> bool:
        """Whether the next line of csvlog is inside a text, as far as it is known."""
        return bool(self._quoted)

    @property
    def unparsed_ratio(self) -> float | None:
        """Share of the last lines that belong to no record; None while they are few."""
        lines = self._records + self._foreign
        return self._foreign / lines if lines >= _FEWEST_LINES else None

    @property
    def last_shape(self) -> str:
        """The shape of the longest of the last lines that belong to no record; empty without one.

        Letters are shown as `a`, digits as `9`: nothing of the text.
        """
        return shape(max(self._last, key=len)) if self._last else ""

    @property
    def last_foreign(self) -> Sequence[bytes]:
        """The beginnings of the last lines that belong to no record. Never to be shown."""
        return tuple(self._last)

    @property
    def last_skipped(self) -> Sequence[bytes]:
        """The beginnings of the last lines of other programs. Never to be shown."""
        return tuple(self._last_skipped)

    def skip(self, line: bytes) -> None:
        """Count a line of another program, or the rest of a line, which has no text then."""
        if self._understood:
            return
        self.skipped += 1
        if line:
            self._last_skipped.append(line[:_KEPT_BYTES])

    def check(self, layout: Layout, data: bytes, end: int) -> None:
        """Check the whole lines `data[:end]`."""
        if self._records + self._foreign > _RECENT_LINES:
            self._records /= 2
            self._foreign /= 2
        start = 0
        if end > SMALL_BYTES and not self._is_thorough:
            start = data.find(b"\n", end - SAMPLE_BYTES, end - 1)
            if start < 0:
                start = data.rfind(b"\n", 0, end - 1)
            start += 1
        if layout.further is None:
            self._check_quoted(layout, data, start, end)
        elif (
            start == 0 or not self._understood or self._walk(layout, data, start, end, count=False)
        ):
            self._walk(layout, data, 0, end, count=True)

    def _walk(self, layout: Layout, data: bytes, start: int, end: int, *, count: bool) -> bool:
        """Whether a line of this part belongs to no record; with `count` they are counted."""
        match, further = layout.record.match, layout.further
        assert further is not None
        found = False
        self.last_records.clear()
        while start < end:
            if match(data, start, end):
                self._record(start)
            elif not (further and data.startswith(further, start)):
                found = True
                if not count:
                    return True
                self._no_record(data, start)
            elif count:
                self.skip(b"")  # of a record before it, if there was one
            start = data.find(b"\n", start, end) + 1 or end
        return found

    def _check_quoted(self, layout: Layout, data: bytes, start: int, end: int) -> None:
        """The same for csvlog: lines inside quotes may be any text.

        An odd number of quotes before a line shows that it is inside. From `start` on it is enough
        to check the lines after the first record.
        """
        match = layout.record.match
        if start:
            while start < end and not match(data, start, end):
                start = data.find(b"\n", start, end) + 1 or end
            before, self._quoted = self._quoted, None
            if start < end and not self._walk_quoted(layout, data, start, end, count=False):
                return
            self._quoted = before
        self._walk_quoted(layout, data, 0, end, count=True)

    def _walk_quoted(
        self, layout: Layout, data: bytes, start: int, end: int, *, count: bool
    ) -> bool:
        match, quoted = layout.record.match, self._quoted
        found = False
        self.last_records.clear()
        while start < end:
            stop = data.find(b"\n", start, end) + 1 or end
            is_record = match(data, start, end) is not None
            if is_record and quoted:
                # In a text, or else a quote was lost before.
                self._inside += 1
                quoted = self._inside < _MOST_INSIDE
            if is_record and not quoted:
                self._inside = 0
                self._record(start)
            elif quoted is None and self._understood and self._unsure < _MOST_UNSURE:
                self._unsure += 1
            elif not quoted:
                quoted, found = False, True
                if not count:
                    return True
                self._no_record(data, start)
                start = stop
                continue
            if is_record or quoted is not None:
                quoted = bool(quoted) ^ (data.count(b'"', start, stop) & 1 == 1)
            start = stop
        self._quoted = quoted
        return found

    def _record(self, start: int) -> None:
        if not self.is_understood:
            # Understood again: earlier lines no longer count.
            self._records = self._foreign = 0.0
        self._understood = True
        self.skipped = 0
        self._last_skipped.clear()
        self.since_record = self._unsure = 0
        self._records += 1
        self.records += 1
        self.last_records.append(start)

    def _no_record(self, data: bytes, start: int) -> None:
        self.unparsed += 1
        line = data[start : start + _KEPT_BYTES].split(b"\n", 1)[0]
        if COMPANIONS.match(line):
            self.skip(line)
            return
        self.since_record += 1
        self._foreign += 1
        self._last.append(line)


def shape(line: bytes) -> str:
    """The line with runs of letters as `a`, runs of digits as `9`, other bytes as `?`."""
    line = line[: 4 * _MOST_SHAPE]
    for pattern, replacement in _RUNS:
        line = re.sub(pattern, replacement, line)
    return line[:_MOST_SHAPE].decode("ascii")
