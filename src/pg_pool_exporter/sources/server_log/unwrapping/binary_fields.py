"""Fields of journald whose value is no text, in what `journalctl --output=export` prints.

The name stands alone in its line. The next one begins with the length of the value, in 8 bytes, and
the value follows: https://systemd.io/JOURNAL_EXPORT_FORMATS/
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(rb"_{0,2}[A-Z][A-Z0-9_]{0,63}")
_LENGTH_BYTES = 8


class FieldLine(NamedTuple):
    """A line of such a field."""

    message: bytes | None
    """The first line of a message; None of all others."""


_OTHER = FieldLine(None)


class BinaryFields:
    """Reads the lines of such fields, one file's one after the other."""

    def __init__(self) -> None:
        self._name = b""
        self.pending = 0
        """Bytes of a field so far whose value is to come."""

    def restart(self) -> None:
        """Drop what is pending."""
        self._name, self.pending = b"", 0

    def begins(self, line: bytes) -> bool:
        """Whether the line is the name of such a field."""
        return _NAME.fullmatch(line) is not None

    def read(self, line: bytes, *, is_other: bool) -> FieldLine | None:
        """What the line is of such a field; None if it is of none.

        `is_other` means that it begins another field or entry, unless a value is to come.
        """
        if self.pending:
            # Bytes of the length can be line ends, and the reader drops null bytes before a line.
            value = line[line.rfind(b"\0", 0, _LENGTH_BYTES) + 1 :]
            self.pending += len(line) + 1
            if not value and self.pending <= len(self._name) + 1 + _LENGTH_BYTES:
                return _OTHER
            self.pending = 0
            return FieldLine(value) if self._name == b"MESSAGE" else _OTHER
        if self.begins(line):
            self._name, self.pending = line, len(line) + 1
            return _OTHER
        if self._name and not is_other:
            return _OTHER
        self._name = b""
        return None
