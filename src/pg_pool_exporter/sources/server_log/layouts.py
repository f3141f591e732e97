"""The three formats of the log: where in a record's first line its parts stand.

Where a record begins is told from one line alone, so a text that looks like a record inside another
record's statement is not taken for one, and nothing needs to be known of the lines before:

- `stderr`: PostgreSQL puts a tab before each further line of a record, so only its first line can
  begin with the prefix.
- `csvlog`: inside a quoted field each quote is doubled, so an odd number of quotes before text can
  only begin a field; and `,SEVERITY,SQLSTATE,"` before the field's text begins no field but the
  message, because the other fields without quotes are numbers and times. All of that and what
  stands before it is in the first line of the record.
- `jsonlog`: a record is one line; a key with its quotes can't be inside a text, where they are
  escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from pg_pool_exporter.sources.server_log.prefix import Prefix

Format = Literal["stderr", "csvlog", "jsonlog"]
SUFFIXES: Mapping[Format, str] = {"csvlog": ".csv", "jsonlog": ".json"}
"""By which a file's name tells its format, where PostgreSQL's collector has given it."""


class Layout(Protocol):
    """One format. Patterns are as cheap as they can be: each is used for each event."""

    before_error: bytes
    """What stands right before the severity of a record."""
    before_message: bytes
    """What stands right before the message of a record that is no error."""
    most_before: int
    """How many bytes of a line can stand before those at most."""
    error_origin: re.Pattern[bytes]
    session_origin: re.Pattern[bytes]
    """Match at the start of a line that ends (`endpos`) at the severity of an error, or at the
    message about a session, if a record begins with it; the groups `database` and `code` where
    there are such."""
    body: re.Pattern[bytes]
    """Matches a message, as it is written."""

    def error(self, severity: bytes) -> bytes:
        """A pattern of what stands in a record from its severity to its message.

        It begins with the severity itself, for which a log is searched fastest. Its one group is
        the code where it stands there.
        """
        ...

    def message(self, body: bytes) -> bytes:
        """The first line of a message, from how it is written."""
        ...

    def plain(self, raw: bytes) -> bytes:
        """A name as it is, from how it is written in the log."""
        ...


class Stderr:
    """Plain text: `log_line_prefix`, the severity, the message.

    `words` are what LOG is in the languages of the server.
    """

    before_error = before_message = b""
    most_before = 1024
    body = re.compile(rb"[^\n]*+")
    _POSITION = re.compile(rb" at character \d+$")
    # A severity, or another word that text of the record follows, in any language.
    _LABEL = rb'[^\n:=@,"\[\]0-9]{1,64}+:  '

    def __init__(self, prefix: Prefix, words: Iterable[bytes]) -> None:
        word = b"|".join(map(re.escape, words))
        self.error_origin = self._origin(prefix, b"")
        self.session_origin = self._origin(prefix, rb"(?:" + word + rb"):  (?:[0-9A-Z]{5}: )?")

    def _origin(self, prefix: Prefix, severity: bytes) -> re.Pattern[bytes]:
        """The first prefix in the line, up to the severity.

        Names can hold anything, so a prefix could be found to reach into a statement. Atomic: once
        a label follows what can be the prefix, it is that one.
        """
        wanted = severity + rb"\Z"
        first = prefix.pattern + rb"(?:" + wanted + rb"|(?=" + self._LABEL + rb"))"
        # A tab begins the further lines of a record.
        return re.compile(rb"(?!\t)(?>" + first + rb")\Z")

    def error(self, severity: bytes) -> bytes:
        """See `Layout`; the code is there with log_error_verbosity = verbose."""
        return re.escape(severity) + rb":  (?:([0-9A-Z]{5}): )?"

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self._POSITION.sub(b"", body)

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`; padding is no part of a name."""
        return raw.strip()


class Csv:
    """`csvlog`."""

    before_error = b","
    before_message = b',00000,"'
    most_before = 4096
    # log_time, user_name, database_name
    error_origin = session_origin = re.compile(
        rb'[^",\n]*+,(?:"(?:[^"\n]++|"")*+")?,(?:"(?P<database>(?:[^"\n]++|"")*+)")?,'
    )
    body = re.compile(rb'(?:[^"\n]++|"")*+')

    def error(self, severity: bytes) -> bytes:
        """See `Layout`."""
        return re.escape(severity) + rb',([0-9A-Z]{5}),"(?=(?:"")*+[^",\n])'

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self.plain(body)

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`."""
        return raw.replace(b'""', b'"')


class Json:
    """`jsonlog`, from PostgreSQL 15 on."""

    _TEXT = rb'(?:[^"\\\n]++|\\.)*+'
    before_error = b'"error_severity":"'
    before_message = b'"message":"'
    most_before = 4096
    error_origin = session_origin = re.compile(
        rb'\{"timestamp":"[^"\n]*+",(?:"user":"' + _TEXT + rb'",)?'
        rb'(?:"dbname":"(?P<database>' + _TEXT + rb')",)?'
    )  # fmt: skip
    body = re.compile(_TEXT)

    def error(self, severity: bytes) -> bytes:
        """See `Layout`."""
        return re.escape(severity) + rb'"(?:,"state_code":"([0-9A-Z]{5})")?,"message":"'

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
