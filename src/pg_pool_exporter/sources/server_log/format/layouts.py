"""The three formats of the log: where the parts of a record stand in its first line.

One line alone shows whether a record begins in it, so a text inside another record's statement that
looks like a record is not counted:

- `stderr`: PostgreSQL begins each further line of a record with a tab, and writes the severity
  before any text of a statement. Only user and database are written as the client sent them.
- `csvlog`: quotes inside a quoted field are doubled, so an odd number of quotes before text begins
  a field. `,SEVERITY,SQLSTATE,"` before that text begins the message and no other field, because
  the other fields without quotes are numbers and times.
- `jsonlog`: a record is one line; inside a text the quotes of a key are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from pg_pool_exporter.sources.server_log.format.prefix import Prefix
from pg_pool_exporter.sources.server_log.unwrapping.cells import QUOTED
from pg_pool_exporter.sources.server_log.unwrapping.objects import MOST_MESSAGE, NATIVE

# Groups of a prefix, where others are needed.
_NAMED = re.compile(rb"\(\?P<\w+>")
_NAMES = re.compile(rb"\(\?P<(?:database|code)>")
Format = Literal["stderr", "csvlog", "jsonlog"]
SUFFIXES: Mapping[Format, str] = {"csvlog": ".csv", "jsonlog": ".json"}
"""Of the files that PostgreSQL's collector writes; `stderr` has none of them."""


class Layout(Protocol):
    """One format. Its patterns are used for each event, and take linear time."""

    names_vary: bool
    """Whether lines of a session can differ in its database."""
    is_quoted: bool
    """Whether names are quoted, so that each line can be read in one way only."""
    before_error: bytes
    """What directly precedes the severity of a record."""
    after_severity: bytes
    """What directly follows it."""
    before_message: bytes
    """What directly precedes the message of a record that is no error."""
    most_before: int
    """Upper bound of the bytes of a line before those."""
    label: bytes
    """What ends a severity, if other texts may look like one; else b""."""
    cut_line: re.Pattern[bytes] | None
    """Matches a line that ends inside a name, so that the next one may be forged by a client."""
    error_origin: re.Pattern[bytes]
    session_origin: re.Pattern[bytes]
    """Match the line up to the severity of an error, or up to the message about a session.

    Groups: `database`, `code` and `session`, where the format has them. `endpos` is the end of
    that part."""
    loose_error_origin: re.Pattern[bytes]
    loose_session_origin: re.Pattern[bytes]
    """The same for a line without a label before the severity: names may have spaces there."""
    certain: re.Pattern[bytes] | None
    """Matches a line of a session whose first label is that of its severity, unless several names
    are strange; None where that is unknown."""
    ordinary_line: re.Pattern[bytes] | None
    """The same for a line of any process; None where that is unknown."""
    strict_session_origin: re.Pattern[bytes] | None
    """The same for lines whose names are certain; None where there is no such pattern."""
    record: re.Pattern[bytes]
    """Matches the beginning of a record at the start of a line."""
    further: bytes | None
    """Begins each further line of a record; None: those may be any text."""

    def error(self, severities: Sequence[bytes]) -> bytes:
        """A pattern from one of these severities to the end of the message.

        Groups: `written` for a code before the message, and `text` for the message as written.
        """
        ...

    def message(self, body: bytes) -> bytes:
        """The first line of a message, unescaped."""
        ...

    def plain(self, raw: bytes) -> bytes:
        """A name, unescaped."""
        ...

    def ordinary(self, message: bytes) -> re.Pattern[bytes] | None:
        """A record whose names are certain, with this message, and the group `session`.

        It is all that most records need. None where there is no such pattern.
        """
        ...

    def ordinary_error(self, severities: Sequence[bytes]) -> re.Pattern[bytes] | None:
        """The same of an error with one of these severities.

        Groups: `severity`, those of `error`, and those of its origin.
        """
        ...

    def candidates(self, header: bytes) -> frozenset[bytes] | None:
        """The databases that a line with this text before its severity can mean; None: any."""
        ...


class Stderr:
    """Plain text: `log_line_prefix`, the severity, the message.

    `words` are the translations of LOG in the server's languages. With `headless` a line may lack
    the time and the process id that the prefix begins with.
    """

    is_quoted = False
    before_error = before_message = b""
    most_before = 1024
    after_severity = label = b":  "
    further: bytes | None = b"\t"
    _POSITION = re.compile(rb" at character \d+$")
    # A severity, or another word that text of the record follows, in any language.
    LABEL = rb'[^\n:=@,"\[\]0-9]{1,64}+:  '

    def __init__(self, prefix: Prefix, words: Iterable[bytes], *, headless: bool = False) -> None:
        log = _any_of(words) + rb":  (?:[0-9A-Z]{5}: )?"
        self._log = log
        self._prefix = prefix = prefix.headless if headless else prefix
        self.names_vary = not prefix.has_database or prefix.has_varying_names
        start = rb"(?!\t)" + prefix.pattern
        # The strict one is faster, and nearly always enough.
        either = (
            prefix.pattern
            if prefix.strict is None
            else prefix.strict + self.LABEL + (b"|" + prefix.pattern)
        )
        self.record = re.compile(rb"(?!\t)(?:" + _NAMED.sub(b"(?:", either) + self.LABEL + b")")
        self.error_origin = self._origin(prefix.pattern, b"")
        self.session_origin = self._origin(prefix.pattern, log)
        self.loose_error_origin = re.compile(start + rb"\Z")
        self.loose_session_origin = re.compile(start + log + rb"\Z")
        self.strict_session_origin: re.Pattern[bytes] | None = None
        self.certain: re.Pattern[bytes] | None = None
        self.ordinary_line: re.Pattern[bytes] | None = None
        if prefix.strict is not None:
            self.strict_session_origin = re.compile(rb"(?!\t)" + prefix.strict + log + rb"\Z")
            self.ordinary_line = re.compile(
                rb"(?!\t)" + _NAMED.sub(b"(?:", prefix.strict) + self.LABEL
            )
            # Of a session, so without the alternative for a process that is none.
            of_session = prefix.strict
            if prefix.before_sessions < len(prefix.parts) and of_session.endswith(b")?"):
                of_session = of_session[:-1]
            self.certain = re.compile(rb"(?!\t)" + of_session + self.LABEL)
        self.cut_line: re.Pattern[bytes] | None = (
            re.compile(rb"(?!\t)" + prefix.before_names + rb"(?![^\n]*?:  )")
            if prefix.before_names is not None
            else None
        )

    def _origin(self, prefix: bytes, severity: bytes) -> re.Pattern[bytes]:
        """The first prefix that a label follows, up to the severity.

        Atomic: a later one is in a text of the record.
        """
        first = prefix + rb"(?:" + severity + rb"\Z|(?=" + self.LABEL + rb"))"
        return re.compile(rb"(?!\t)(?>" + first + rb")\Z")

    def error(self, severities: Sequence[bytes]) -> bytes:
        """See `Layout`; the code is there with log_error_verbosity = verbose."""
        code = rb"(?:(?P<written>[0-9A-Z]{5}): )?"
        text = rb"(?P<text>[^\n]{0,%d}+)" % MOST_MESSAGE
        return _any_of(severities) + self.after_severity + code + text

    def message(self, body: bytes) -> bytes:
        """See `Layout`; servers on Windows end lines with a carriage return."""
        return self._POSITION.sub(b"", body.removesuffix(b"\r"))

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`; padding is no part of a name."""
        return raw.strip()

    def ordinary(self, message: bytes) -> re.Pattern[bytes] | None:
        """See `Layout`."""
        if self._prefix.strict is None:
            return None
        # The message has groups of its own.
        strict = _NAMES.sub(b"(?:", self._prefix.strict)
        return re.compile(rb"(?!\t)" + strict + self._log + message)

    def ordinary_error(self, severities: Sequence[bytes]) -> re.Pattern[bytes] | None:
        """See `Layout`."""
        strict = self._prefix.strict
        if strict is None:
            return None
        return re.compile(rb"(?!\t)" + strict + rb"(?P<severity>)" + self.error(severities))

    def candidates(self, header: bytes) -> frozenset[bytes] | None:
        """See `Layout`."""
        return self._prefix.candidates(header)


class _Quoted:
    """A layout of which each field is quoted, so that names are certain."""

    is_quoted = True
    names_vary = False
    most_before = 4096
    label = b""
    cut_line: re.Pattern[bytes] | None = None
    certain: re.Pattern[bytes] | None = None
    ordinary_line: re.Pattern[bytes] | None = None
    strict_session_origin: re.Pattern[bytes] | None = None

    def ordinary(self, message: bytes) -> re.Pattern[bytes] | None:
        """See `Layout`: all fields are needed."""
        return None

    def ordinary_error(self, severities: Sequence[bytes]) -> re.Pattern[bytes] | None:
        """See `Layout`: all fields are needed."""
        return None

    def candidates(self, header: bytes) -> frozenset[bytes] | None:
        """See `Layout`: a quoted name is never ambiguous."""
        return None


class Csv(_Quoted):
    """`csvlog`."""

    before_error = after_severity = b","
    before_message = b',00000,"'
    # log_time, user_name, database_name
    error_origin = session_origin = loose_error_origin = loose_session_origin = re.compile(
        rb'[^",\n]*+,(?:"' + QUOTED + rb'")?,(?:"(?P<database>' + QUOTED + rb')")?,'
    )
    # log_time, user_name, database_name, process_id
    record = re.compile(rb'\d{4}-[^",\n]*+,(?:"' + QUOTED + rb'")?,(?:"' + QUOTED + rb'")?,\d*,')
    further: bytes | None = None

    def error(self, severities: Sequence[bytes]) -> bytes:
        """See `Layout`."""
        code = rb'(?P<written>[0-9A-Z]{5}),"(?=(?:"")*+[^",\n])'
        text = b"(?P<text>" + QUOTED + b")"
        return _any_of(severities) + self.after_severity + code + text

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self.plain(body)

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`."""
        return raw.replace(b'""', b'"')


class Json(_Quoted):
    """`jsonlog`, from PostgreSQL 15 on."""

    _TEXT = rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
    before_error = b'"error_severity":"'
    after_severity = b'"'
    before_message = b'"message":"'
    error_origin = session_origin = loose_error_origin = loose_session_origin = re.compile(
        rb'\{"timestamp":"[^"\n]*+",(?:"user":"' + _TEXT + rb'",)?'
        rb'(?:"dbname":"(?P<database>' + _TEXT + rb')",)?'
    )  # fmt: skip
    record = NATIVE
    # A record is one line.
    further: bytes | None = b""

    def error(self, severities: Sequence[bytes]) -> bytes:
        """See `Layout`."""
        code = rb'(?:,"state_code":"(?P<written>[0-9A-Z]{5})")?'
        text = b',"message":"(?P<text>' + self._TEXT + b")"
        return _any_of(severities) + self.after_severity + code + text

    def message(self, body: bytes) -> bytes:
        """See `Layout`."""
        return self.plain(body).split(b"\n", 1)[0]

    def plain(self, raw: bytes) -> bytes:
        """See `Layout`."""
        if b"\\" not in raw:
            return raw
        # Latin-1 preserves bytes of any encoding; escapes are ASCII only.
        try:
            text: str = json.loads('"' + raw.decode("latin-1") + '"', strict=False)
        except ValueError:
            return raw
        return text.encode("latin-1", "replace")


def _any_of(texts: Iterable[bytes]) -> bytes:
    """A pattern of these texts."""
    return b"(?:" + b"|".join(map(re.escape, texts)) + b")"
