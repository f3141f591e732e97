"""Removes the wrapping that log shippers and container runtimes put around the lines of a log.

A line can be wrapped several times: the JSON of an operator in the line of a container runtime. The
results are lines as PostgreSQL wrote them, and records as lines of `jsonlog`. The formats:

- `docker`: json-file driver of Docker, also as rewritten by Fluent Bit and others; a text without
  a line end continues in the next line of its stream, unless a shipper left out all line ends.
- `cri`: container runtimes of Kubernetes; parts of a line are marked `P`, the last one `F`.
- `compose`: what prints the logs of several containers or streams: Compose, Swarm, kubectl, stern,
  podman, logcli, AWS.
- `syslog`: RFC 3164 and RFC 5424 as rsyslog writes them, journalctl's text, Heroku, Papertrail.
  PostgreSQL numbers what it splits: `[3-1]`, `[3-2]`; rsyslog writes a tab as `#011`.
- `cloudnativepg`: the operator's JSON, with the fields of csvlog in `record`.
- `json`: any other object that holds a line (`message`, `textPayload`, `properties`), several of
  them (`logEvents`, `resourceLogs`) or the fields of a record (`jsonPayload`, `record`).
- `csv`: a table that the console of a platform exports, with a line in one of its columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pg_pool_exporter.sources.server_log.unwrapping.binary_fields import BinaryFields
from pg_pool_exporter.sources.server_log.unwrapping.cells import cells
from pg_pool_exporter.sources.server_log.unwrapping.heads import (
    HEADS,
    NEXT_CONTINUED,
    NEXT_HEAD,
    OF_HEAD,
    OWN_TAG,
    SOURCES,
    TAGS,
    Wrapping,
)
from pg_pool_exporter.sources.server_log.unwrapping.objects import (
    MOST_TEXT,
    NATIVE,
    as_bytes,
    decoded,
    docker_texts,
    entries,
    record,
    several,
    texts,
)

# Docker splits lines at 16 KiB; it is less where a character is cut, or counted otherwise.
_LEAST_PART = 16_000
_MOST_OPEN = 64
_MOST_DEPTH = 4
_SEQUENCE = re.compile(rb"\[\d{1,20}-(\d{1,10})\] ?")
_DOCKERS_OWN = {"log", "stream", "time", "attrs"}
_QUOTED = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*+"')
# Lines of an object that was written for people: its first one, its last one, those of an array.
_OPENS = re.compile(rb"( {0,32})\{\r?")
_CLOSES = re.compile(rb"( {0,32})\},?\r?")
_AROUND = re.compile(rb" {0,32}(?:\[|\],?)\r?")
_NO_FURTHER_LINE = re.compile(rb"(?m)^(?!\t)[^\n]++")

Kind = Literal["text", "syslog", "record", "nothing"]
"""`text` is a line as PostgreSQL wrote it, `syslog` too, but maybe without time and process id;
`record` is a line of jsonlog; `nothing` is of another program, or of a line already read."""


class Unwrapped(NamedTuple):
    """Lines without their wrapping."""

    kind: Kind
    line: bytes
    """Of `nothing` the text of another program, if it has one."""
    wrapping: Wrapping
    """The outermost one."""


_Inner = list[tuple[Kind, bytes]]
_NOTHING: _Inner = [("nothing", b"")]


def _as_they_are(lines: list[bytes]) -> list[Unwrapped]:
    return [Unwrapped("text", line, "none") for line in lines]


def _without_heads(name: str, data: bytes, end: int) -> bytes | None:
    """The whole lines `data[:end]` without their heads, if all have the one of this name."""
    if name not in NEXT_HEAD:
        return None
    expected = data.count(b"\n", 0, end)
    text, dropped = b"\n" + data[: end - 1], 0
    lines, found = NEXT_HEAD[name].subn(b"\n", text)
    if found != expected and name == "syslog":
        text, dropped = NEXT_CONTINUED.subn(b"", text)
        lines, found = NEXT_HEAD[name].subn(b"\n", text)
    return lines[1:] + b"\n" if found + dropped == expected else None


class Unwrapper:
    """Takes the wrapping off the lines of one file.

    `wrappings` are those that a line may have. `is_record` shows whether a text is the beginning of
    a record, `is_headless` the same for one that may lack time and process id. Parts of lines are
    kept until the last one comes.
    """

    def __init__(
        self,
        wrappings: frozenset[Wrapping],
        is_record: Callable[[bytes], bool],
        is_headless: Callable[[bytes], bool],
    ) -> None:
        self._is_record = is_record
        self._is_headless = is_headless
        self._allows_json = not wrappings.isdisjoint(("docker", "cloudnativepg", "json"))
        self._allows_sources = "compose" in wrappings
        self._allows_cells = "csv" in wrappings
        patterns = [pattern for name, pattern in HEADS.items() if OF_HEAD[name] in wrappings]
        self._head = re.compile(b"|".join(patterns)) if patterns else None
        self._open: dict[tuple[str, ...], bytes] = {}
        # What stood before records: tags of syslog, and names of sources.
        self._tags: set[bytes] = set()
        self._sources: set[bytes] = set()
        # Whether a text of Docker had one.
        self._has_line_ends = False
        # The lines so far of an object that is spread over several, and their bytes.
        self._spread: list[bytes] = []
        self._spread_bytes = 0
        # Whether entries of journald end with an empty line.
        self._has_entries = False
        self._fields = BinaryFields()

    @property
    def pending(self) -> int:
        """Bytes of an object that is spread over several lines, the last of which is to come."""
        return self._spread_bytes

    @property
    def is_inside(self) -> bool:
        """Whether the next line may belong to such an object, or to a field of several lines."""
        return bool(self._spread) or self._fields.is_open

    def restart(self) -> None:
        """Drop what is pending: it is read again."""
        self._not_inside()

    def is_wrapped(self, line: bytes) -> bool:
        """Whether the line has a known wrapping."""
        if line.startswith(b"{"):
            return self._allows_json and NATIVE.match(line) is None
        if self._is_around(line) or self._head_of(line) is not None:
            return True
        return self._after_sources(line) is not None or self._in_cells(line) is not None

    def _is_around(self, line: bytes) -> bool:
        """Whether the line belongs to no entry, but to what is around it."""
        if self._has_entries and (not line or self._fields.begins(line)):
            return True
        if not line:
            return False
        return self._allows_json and (_OPENS.fullmatch(line) or _AROUND.fullmatch(line)) is not None

    def _head_of(self, line: bytes) -> re.Match[bytes] | None:
        head = self._head.match(line) if self._head is not None else None
        # A prefix may look like fields.
        if head is not None and head.lastgroup in ("logfmt", "journal") and self._is_record(line):
            return None
        return head

    def several(self, line: bytes) -> tuple[int, int]:
        """Offsets of the first and the last object in the beginning of a line; 0: no such line."""
        if not self._allows_json or NATIVE.match(line) or self._is_record(line):
            return 0, 0
        head = self._head.match(line) if self._head is not None else None
        is_list = line.startswith(b"{") or (head is not None and head.lastgroup == "array")
        return several(line) if is_list else (0, 0)

    def unwrap_all(self, data: bytes, end: int) -> Unwrapped | None:
        """The whole lines `data[:end]` without wrapping, if they are all wrapped in one way.

        Several times as fast as line by line. None if a line needs a look of its own: parts of
        lines, another wrapping inside, lines of other programs.
        """
        if self._open or self.is_inside:
            return None
        kind: Kind = "text"
        if data.startswith(b'{"log":"'):
            lines = docker_texts(data, end) if self._allows_json else None
            self._has_line_ends |= lines is not None
            wrapping: Wrapping = "docker"
        else:
            head = self._head.match(data) if self._head is not None else None
            name = str(head.lastgroup) if head is not None else ""
            lines = _without_heads(name, data, end)
            wrapping = OF_HEAD.get(name, "none")
            if name == "syslog" and lines is not None:
                kind, lines = "syslog", lines.replace(b"#011", b"\t")
        if lines is None:
            return None
        start = _NO_FURTHER_LINE.search(lines)
        if start is None:
            return None
        first = start[0]
        if kind == "syslog":
            is_known = self._is_headless(first)
        else:
            is_known = self._is_record(first) or not self.is_wrapped(first)
        return Unwrapped(kind, lines, wrapping) if is_known else None

    def unwrap(self, line: bytes) -> list[Unwrapped]:
        """The line (without its end) without wrapping, or the several ones in it.

        Empty if it has no wrapping that is known.
        """
        wrapping: Wrapping
        if self._has_entries and not self._spread:
            ends = not line or self._head_of(line) is not None
            message = self._fields.read(line, is_other=ends)
            if message is not None:
                inner = self._syslog(b"", message, 0)
                return [Unwrapped(kind, text, "syslog") for kind, text in inner]
        if self._allows_json and (self._spread or _OPENS.fullmatch(line)):
            return self._gathered(line)
        if self._is_around(line):
            return [Unwrapped("nothing", b"", "json")]
        if line.startswith(b"{"):
            if not self._allows_json or NATIVE.match(line):
                return []
            inner, wrapping = self._json(line, 0) or ([], "json")
        elif (head := self._head_of(line)) is not None:
            text = line[head.end() :].removesuffix(b"\r")
            inner, wrapping = self._after(head, text, 0), OF_HEAD[str(head.lastgroup)]
        else:
            inner, wrapping = self._after_sources(line) or [], "compose"
            if not inner:
                inner, wrapping = self._in_cells(line) or [], "csv"
        return [Unwrapped(kind, text, wrapping) for kind, text in inner]

    def _gathered(self, line: bytes, *, is_list: bool = False) -> list[Unwrapped]:
        """The object that ends with this line; nothing before that.

        Of an object without a known line its lines. One that `is_list` is none inside a longer one.
        """
        if self._spread and self._is_apart(line):
            return [*_as_they_are(self._not_inside()), *self._read(line, is_list=is_list)]
        self._spread.append(line)
        self._spread_bytes += len(line) + 1
        opens, closes = _OPENS.fullmatch(self._spread[0]), _CLOSES.fullmatch(line)
        if opens is not None and closes is not None and opens[1] == closes[1]:
            lines = self._not_inside()
            value = self._json(b" ".join(lines).strip().removesuffix(b","), 0)
            if value is None:
                return _as_they_are(lines)
            return [Unwrapped(kind, text, value[1]) for kind, text in value[0]]
        if self._spread_bytes <= MOST_TEXT:
            return [Unwrapped("nothing", b"", "json")]
        lines = self._not_inside()
        if is_list:
            return _as_they_are(lines)
        # Longer than a record can be: a list of them.
        found = [one for inner in lines[1:] for one in self._read(inner, is_list=True)]
        if self._spread_bytes > MOST_TEXT / 2:
            # No list either; its lines would be looked at again and again.
            found += _as_they_are(self._not_inside())
        return found

    def _read(self, line: bytes, *, is_list: bool) -> list[Unwrapped]:
        if self._spread or _OPENS.fullmatch(line):
            return self._gathered(line, is_list=is_list)
        return self.unwrap(line) or _as_they_are([line])

    def _is_apart(self, line: bytes) -> bool:
        """Whether the line is no part of the object so far, whose end was lost.

        It is a record, or has a wrapping and is no deeper than the object's first line.
        """
        text, first = line.lstrip(b" "), self._spread[0]
        return self._is_record(line) or (
            len(line) - len(text) <= len(first) - len(first.lstrip(b" "))
            and (
                text.startswith(b"{")
                or self._head_of(line) is not None
                or self._after_sources(line) is not None
            )
        )

    def _not_inside(self) -> list[bytes]:
        """The lines of the object so far, which has ended."""
        lines, self._spread, self._spread_bytes = self._spread, [], 0
        return lines

    def _after(self, head: re.Match[bytes], text: bytes, depth: int) -> _Inner:
        """What follows a head."""
        name = str(head.lastgroup)
        if name == "journal":
            self._has_entries = True
            return self._syslog(b"", text, depth) if head["message"] else _NOTHING
        if name == "logfmt":
            quoted = _QUOTED.match(text)
            value = decoded(quoted[0]) if quoted is not None else None
            text = self._lines(as_bytes(value)) if isinstance(value, str) else text[1:]
            return self._inner(text, depth + 1)
        if name == "cri":
            whole = self._joined(("cri", str(head["stream"])), text, ends=head["part"] == b"F")
            return self._inner(whole, depth + 1) if whole is not None else _NOTHING
        if name in TAGS:
            return self._syslog(head[TAGS[name]], text, depth)
        return (self._after_sources(text) if name == "stamp" else None) or self._inner(
            text, depth + 1
        )

    def _after_sources(self, line: bytes) -> _Inner | None:
        """What follows names of sources; None if the line begins with none."""
        if not self._allows_sources or self._is_record(line):
            return None
        for pattern in SOURCES:
            found = pattern.match(line)
            if found is None:
                return None
            inner = self._inner(line[found.end() :].removesuffix(b"\r"), 1)
            if found[0] in self._sources:
                return inner
            if self._holds_record(inner):
                if len(self._sources) < _MOST_OPEN:
                    self._sources.add(found[0])
                return inner
        return None

    def _in_cells(self, line: bytes) -> _Inner | None:
        """The cell of a row that is a record; None if there is none.

        Any text can have commas, also the further lines of a record.
        """
        if not self._allows_cells or b"," not in line or line.startswith(b"\t"):
            return None
        if self._is_record(line):
            return None
        found = (self._inner(cell, 1) for cell in cells(line))
        return next(filter(self._holds_record, found), None)

    def _holds_record(self, inner: _Inner) -> bool:
        return any(
            kind == "record" or (kind == "text" and self._is_record(text)) for kind, text in inner
        )

    def _syslog(self, tag: bytes, text: bytes, depth: int) -> _Inner:
        if text.startswith(b"{"):
            return self._inner(text, depth + 1)
        text = text.replace(b"#011", b"\t")
        sequence = _SEQUENCE.match(text)
        if sequence is not None:
            whole, text = text, text[sequence.end() :]
            if int(sequence[1]) > 1:
                return _NOTHING  # a further line, or the rest of a long one
            if not self._is_headless(text) and self._is_headless(whole):
                text = whole  # the prefix's own number
        is_own = OWN_TAG.search(tag) is not None or tag in self._tags
        if self._is_headless(text):
            if tag and not is_own and len(self._tags) < _MOST_OPEN:
                self._tags.add(tag)
            return [("syslog", text)]
        # Lines without a number are split at spaces.
        further = b"\t" if sequence is not None else (b"\t", b" ")
        if text.startswith(further) or not text:
            return _NOTHING
        return [("syslog" if is_own else "nothing", text)]

    def _inner(self, text: bytes, depth: int) -> _Inner:
        """The contents of a wrapping: a line, or another wrapping."""
        if text.startswith(b"{") and depth < _MOST_DEPTH:
            if NATIVE.match(text):
                return [("record", text)]
            inside = self._json(text, depth)
            if inside is not None:
                return inside[0]
        elif depth < 2 and self._head is not None and not self._is_record(text):
            head = self._head.match(text)
            if head is not None and head.lastgroup != "compose":
                return self._after(head, text[head.end() :], depth)
        return [("text", text)]

    def _json(self, line: bytes, depth: int) -> tuple[_Inner, Wrapping] | None:
        value = decoded(line)
        # An object that is a record itself may hold lists about it.
        inside = [] if self._is_one_record(value) else entries(value)
        objects = (self._object(each, len(line), depth + 1) for each in inside)
        found = [one for one in objects if one is not None]
        if not found:
            return self._object(value, len(line), depth) if isinstance(value, dict) else None
        return [
            one for inner, _ in found for one in inner if one[0] != "nothing"
        ] or _NOTHING, "json"

    def _is_one_record(self, value: Any) -> bool:
        return isinstance(value, dict) and (
            record(value) is not None
            or ((line := self._best(texts(value))) is not None and self._is_record(line))
        )

    def _object(
        self, value: Mapping[str, Any], size: int, depth: int
    ) -> tuple[_Inner, Wrapping] | None:
        """What an object holds whose line has this size; None if nothing is known in it."""
        text = value.get("log")
        if type(text) is str:
            whole = self._docker(value, text, size)
            inner = _NOTHING if whole is None else self._inner(whole, depth + 1)
            return inner, "docker"
        fields = record(value)
        if fields is not None:
            is_operators = "record" in value and "logger" in value
            return [("record", fields)], "cloudnativepg" if is_operators else "json"
        if "logger" in value and "logging_pod" in value:
            text = value.get("msg")
            if value["logger"] == "postgres" and isinstance(text, str):
                # Written before its collector runs, or without one.
                return self._inner(self._lines(as_bytes(text)), depth + 1), "cloudnativepg"
            return _NOTHING, "cloudnativepg"  # the operator's own
        line = self._best(texts(value))
        if line is None:
            return None
        # A prefix may begin like the numbers of syslog.
        if _SEQUENCE.match(line) and not self._is_record(line):
            return self._syslog(b"postgres", self._lines(line), depth + 1), "json"
        return self._inner(self._lines(line), depth + 1), "json"

    def _docker(self, value: Mapping[str, Any], text: str, size: int) -> bytes | None:
        """The whole line whose part this is; None until its last part."""
        part = value.get("logtag", value.get("_p"))
        raw = as_bytes(text.removesuffix("\n"))
        if part is None and value.keys() <= _DOCKERS_OWN:
            is_whole = text.endswith("\n")
            self._has_line_ends |= is_whole
            may_continue = self._has_line_ends or len(raw) >= _LEAST_PART
            ends = is_whole or not may_continue or size >= MOST_TEXT
        else:
            ends = part != "P"
        return self._joined(("docker", str(value.get("stream", ""))), self._lines(raw), ends=ends)

    def _lines(self, text: bytes) -> bytes:
        """The lines of one text: PostgreSQL begins those that begin no record with a tab."""
        first, *others = text.rstrip(b"\r\n").split(b"\n")
        if others and not self._is_record(first):
            return b"\n\t".join([first, *others])
        marked = (one if self._is_record(one) else b"\t" + one for one in others)
        return b"\n".join([first, *marked])

    def _best(self, lines: Iterator[bytes]) -> bytes | None:
        """The first that begins a record, or the first one.

        A message of syslog may keep the space that followed its tag; a prefix may begin with one.
        """
        first: bytes | None = None
        for line in lines:
            if self._is_record(line):
                return line
            stripped = line.removeprefix(b" ")
            if stripped != line and self._is_record(stripped):
                return stripped
            first = stripped if first is None else first
        return first

    def _joined(self, key: tuple[str, ...], text: bytes, *, ends: bool) -> bytes | None:
        """The whole line of which this is a part; None until its last part.

        A part that begins a record is none of the line before it, whose end was lost: that one is
        returned too, as a line before it.
        """
        before = self._open.pop(key, None)
        lost: bytes | None = None
        if before is not None:
            if self._begins_record(text) and self._begins_record(before):
                lost = before
            else:
                text = before + text[: MOST_TEXT - len(before)]
        if ends:
            return text if lost is None else lost + b"\n" + text
        if len(self._open) >= _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[key] = text[:MOST_TEXT]
        return lost

    def _begins_record(self, text: bytes) -> bool:
        return NATIVE.match(text) is not None or self._is_record(text)
