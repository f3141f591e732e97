"""Fields of journald whose value is no text, in what `journalctl --output=export` prints.

The name stands alone in its line. The next one begins with the length of the value, in 8 bytes, and
the value follows: https://systemd.io/JOURNAL_EXPORT_FORMATS/
"""

from __future__ import annotations

import re

from pg_pool_exporter.sources.server_log.unwrapping.heads import FIELD_NAME

_NAME = re.compile(rb"_{0,2}" + FIELD_NAME)
_LENGTH_BYTES = 8
# Those that are not always null bytes: values are shorter than 16 MiB.
_USED_BYTES = 3


class BinaryFields:
    """Reads such fields of one file, line by line."""

    def __init__(self) -> None:
        self._name = b""
        # Bytes of the length so far, if the value is to come.
        self._length: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the next line may belong to a field that has begun."""
        return self._name != b""

    def begins(self, line: bytes) -> bool:
        """Whether the line is the name of such a field."""
        return _NAME.fullmatch(line) is not None

    def read(self, line: bytes, *, is_other: bool) -> bytes | None:
        """The first line of a message if it is in this line, else b""; None: part of no such field.

        `is_other` means that the line begins another field or entry, unless a value is to come.
        """
        if self._length is not None:
            # The reader drops null bytes before a line, so those of the length can be missing.
            start = line.rfind(b"\0", 0, _LENGTH_BYTES) + 1
            self._length += len(line) + 1
            if start in (0, len(line)) and self._length <= _USED_BYTES:
                return b""  # A byte of the length is a line end.
            self._length = None
            return line[start:] if self._name == b"MESSAGE" else b""
        if self.begins(line):
            self._name, self._length = line, 0
            return b""
        if is_other:
            self._name = b""
        return b"" if self.is_open else None
