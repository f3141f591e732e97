"""The three formats of the log: where in a record's first line its parts stand.

Each is told from the line alone, wherever it begins, so a text that looks like a record inside
another record's statement is not taken for one:

- `stderr`: PostgreSQL puts a tab before each further line of a record.
- `csvlog`: inside a quoted field each quote is doubled, so an odd number of quotes followed by text
  can only begin a field, and everything before it back to the line's start must be whole fields.
- `jsonlog`: a record is one line, and quotes inside texts are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal, Protocol

from pg_pool_exporter.sources.server_log.prefix import Prefix

Format = Literal["stderr", "csvlog", "jsonlog"]


class Layout(Protocol):
    """One format."""

    head: re.Pattern[bytes]
    """Matches at a line's start if a record begins there, up to its message. Its groups:
    `severity`; `database`, `code` and `verbose` (another place for the code) where there are such.
    """

    def marker(self, severity: bytes) -> bytes:
        """What every record of this severity has in its first line."""
        ...

    body: re.Pattern[bytes]
    """Matches the message, where the head ends, as it is written there."""

    def message(self, body: bytes) -> bytes:
        """The first line of a message, from how it is written."""
        ...

    def plain(self, raw: bytes) -> bytes:
        """A name as it is, from how it is written in the log."""
        ...


class Stderr:
    """Plain text: `log_line_prefix`, the severity (one of `words`), the message."""

    body = re.compile(rb"[^\n]*+")
    _POSITION = re.compile(rb" at character \d+$")

    def __init__(self, prefix: Prefix, words: Iterable[bytes]) -> None:
        severity = b"|".join(map(re.escape, words))
        self.head = re.compile(
            prefix.pattern + rb"(?P<severity>" + severity + rb"):  (?:(?P<verbose>[0-9A-Z]{5}): )?"
        )

    def marker(self, severity: bytes) -> bytes:
        """See `Layout`."""
        return severity + b":  "

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self._POSITION.sub(b"", body)

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`; padding is no part of a name."""
        return raw.strip()


class Csv:
    """`csvlog`."""

    _QUOTED = rb'(?:"(?:[^"\n]++|"")*+")?'
    head = re.compile(
        rb"\d{4}-\d\d-\d\d [^,\"\n]*,"  # log_time
        + _QUOTED + rb","  # user_name
        + rb'(?:"(?P<database>(?:[^"\n]++|"")*+)")?,'
        + rb"\d*," + _QUOTED + rb","  # process_id, connection_from
        + rb"[^,\"\n]*,\d*," + _QUOTED + rb","  # session_id, session_line_num, command_tag
        + rb"[^,\"\n]*,[^,\"\n]*,\d*,"  # session_start_time, the transaction's two ids
        + rb"(?P<severity>[^,\"\n]+),(?P<code>[0-9A-Z]{5}),"
        + rb'"(?=(?:"")*+[^",\n])'
    )  # fmt: skip
    body = re.compile(rb'(?:[^"\n]++|"")*+')

    def marker(self, severity: bytes) -> bytes:
        """See `Layout`."""
        return b"," + severity + b","

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self.plain(body)

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`."""
        return raw.replace(b'""', b'"')


class Json:
    """`jsonlog`, from PostgreSQL 15 on."""

    _TEXT = rb'(?:[^"\\\n]++|\\.)*+'
    head = re.compile(
        rb'\{"timestamp":"[^"\n]*"(?:,"user":"' + _TEXT + rb'")?'
        + rb'(?:,"dbname":"(?P<database>' + _TEXT + rb')")?'
        + rb'(?:,"(?!error_severity)[a-z_]+":(?:-?\d+|"' + _TEXT + rb'"))*+'
        + rb',"error_severity":"(?P<severity>[^"\n]*)"'
        + rb'(?:,"state_code":"(?P<code>[0-9A-Z]{5})")?,"message":"'
    )  # fmt: skip
    body = re.compile(_TEXT)

    def marker(self, severity: bytes) -> bytes:
        """See `Layout`."""
        return b'"error_severity":"' + severity + b'"'

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self.plain(body).split(b"\n", 1)[0]

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`."""
        if b"\\" not in raw:
            return raw
        # Latin-1 carries bytes of any encoding through; escapes stand for ASCII only.
        try:
            text: str = json.loads('"' + raw.decode("latin-1") + '"', strict=False)
        except ValueError:
            return raw
        return text.encode("latin-1", "replace")
