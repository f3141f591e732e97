"""Whether the lines of a log are understood: those that begin or continue no record."""

from __future__ import annotations

import re

# Of a longer piece only the lines at its end are checked, and all only if one of those belongs to
# no record: to check each line would halve the speed.
_SMALL_BYTES = 8 * 1024
_SAMPLE_BYTES = 1024
# Lines without a record between them after which a log is not understood: of one in which no
# record was found yet, and of one that has had records (other programs write there, too).
_NEVER_UNDERSTOOD = 3
_NO_LONGER_UNDERSTOOD = 1000
# Lines of the present share: half of them are forgotten when there are more.
_RECENT_LINES = 2000
_FEWEST_LINES = 100
_MOST_SHAPE = 60
_RUNS = ((rb"[A-Za-z]+", b"a"), (rb"[0-9]+", b"9"), (rb"[^\x20-\x7e]+", b"?"))


class Coverage:
    """Counts lines that belong to no record.

    `record` matches the beginning of a record at the start of a line. `further` does so for the
    further lines of a record; None: they may be any text, so only lines before the first record
    are counted.
    """

    def __init__(self, record: re.Pattern[bytes], further: bytes | None) -> None:
        self._record = record
        self._further = further
        self._understood = False
        self._since_record = 0
        self._last = b""
        self._records = self._foreign = 0.0
        self.unparsed = 0
        """Lines that belong to no record."""

    @property
    def is_understood(self) -> bool:
        """False when none of the last lines belongs to a record."""
        limit = _NO_LONGER_UNDERSTOOD if self._understood else _NEVER_UNDERSTOOD
        return self._since_record < limit

    @property
    def unparsed_ratio(self) -> float | None:
        """Share of the last lines that belong to no record; None while they are few."""
        lines = self._records + self._foreign
        return self._foreign / lines if lines >= _FEWEST_LINES else None

    @property
    def last_shape(self) -> str:
        """The shape of the last line that belongs to no record; empty without one.

        Letters are shown as `a`, digits as `9`: nothing of the text.
        """
        return shape(self._last)

    def check(self, data: bytes, end: int) -> None:
        """Check the whole lines `data[:end]`."""
        if self._records + self._foreign > _RECENT_LINES:
            self._records /= 2
            self._foreign /= 2
        if end > _SMALL_BYTES:
            start = data.find(b"\n", end - _SAMPLE_BYTES, end - 1)
            if start < 0:
                start = data.rfind(b"\n", 0, end - 1)
            if not self._check(data, start + 1, end, count=False):
                return
        self._check(data, 0, end, count=True)

    def _check(self, data: bytes, start: int, end: int, *, count: bool) -> bool:
        """Whether a line of this part belongs to no record; with `count` they are counted."""
        match, further = self._record.match, self._further
        found = False
        while start < end:
            if match(data, start, end):
                if not self.is_understood:
                    # It is again: what came before says nothing about it.
                    self._records = self._foreign = 0.0
                self._understood = True
                self._since_record = 0
                self._records += 1
                if further is None:
                    return found
            elif further is None and self._understood:
                return found
            elif not (further and data.startswith(further, start)):
                found = True
                if not count:
                    return True
                self.unparsed += 1
                self._since_record += 1
                self._foreign += 1
                self._last = data[start : start + 4 * _MOST_SHAPE]
            start = data.find(b"\n", start, end) + 1 or end
        return found


def shape(line: bytes) -> str:
    """The line with runs of letters as `a`, runs of digits as `9`, other bytes as `?`."""
    line = line.split(b"\n", 1)[0]
    for pattern, replacement in _RUNS:
        line = re.sub(pattern, replacement, line)
    return line[:_MOST_SHAPE].decode("ascii")
