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
from collections.abc import Callable
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.unwrapping.binary_fields import BinaryFields
from pg_pool_exporter.sources.server_log.unwrapping.contents import Contents, Kind
from pg_pool_exporter.sources.server_log.unwrapping.heads import (
    NEXT_CONTINUED,
    NEXT_HEAD,
    OF_HEAD,
    Wrapping,
)
from pg_pool_exporter.sources.server_log.unwrapping.objects import MOST_TEXT, NATIVE, several

# Lines of an object that was written for people: its first one, its last one, those of an array.
_OPENS = re.compile(rb"( {0,32})\{\r?")
_CLOSES = re.compile(rb"( {0,32})\},?\r?")
_AROUND = re.compile(rb" {0,32}(?:\[|\],?)\r?")
_NO_FURTHER_LINE = re.compile(rb"(?m)^(?!\t)[^\n]++")


class Unwrapped(NamedTuple):
    """Lines without their wrapping."""

    kind: Kind
    line: bytes
    """Of `nothing` the text of another program, if it has one."""
    wrapping: Wrapping
    """The outermost one."""


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
        self._contents = Contents(wrappings, is_record, is_headless)
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
        if self._is_around(line) or self._contents.head_of(line) is not None:
            return True
        return (
            self._contents.after_sources(line) is not None
            or self._contents.in_cells(line) is not None
        )

    def _is_around(self, line: bytes) -> bool:
        """Whether the line belongs to no entry, but to what is around it."""
        if self._has_entries and (not line or self._fields.begins(line)):
            return True
        if not line:
            return False
        return self._allows_json and (_OPENS.fullmatch(line) or _AROUND.fullmatch(line)) is not None

    def several(self, line: bytes) -> tuple[int, int]:
        """Offsets of the first and the last object in the beginning of a line; 0: no such line."""
        if not self._allows_json or NATIVE.match(line) or self._is_record(line):
            return 0, 0
        head = self._contents.head_of(line)
        is_list = line.startswith(b"{") or (head is not None and head.lastgroup == "array")
        return several(line) if is_list else (0, 0)

    def unwrap_all(self, data: bytes, end: int) -> Unwrapped | None:
        """The whole lines `data[:end]` without wrapping, if they are all wrapped in one way.

        Several times as fast as line by line. None if a line needs a look of its own: parts of
        lines, another wrapping inside, lines of other programs.
        """
        if self._contents.has_parts or self.is_inside:
            return None
        kind: Kind = "text"
        if data.startswith(b'{"log":"'):
            lines = self._contents.of_docker(data, end) if self._allows_json else None
            wrapping: Wrapping = "docker"
        else:
            head = self._contents.head_of(data)
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
            ends = not line or self._contents.head_of(line) is not None
            message = self._fields.read(line, is_other=ends)
            if message is not None:
                inner = self._contents.of_syslog(b"", message)
                return [Unwrapped(kind, text, "syslog") for kind, text in inner]
        if self._allows_json and (self._spread or _OPENS.fullmatch(line)):
            return self._gathered(line)
        if self._is_around(line):
            return [Unwrapped("nothing", b"", "json")]
        if line.startswith(b"{"):
            if not self._allows_json or NATIVE.match(line):
                return []
            inner, wrapping = self._contents.of_json(line) or ([], "json")
        elif (head := self._contents.head_of(line)) is not None:
            text = line[head.end() :].removesuffix(b"\r")
            self._has_entries |= head.lastgroup == "journal"
            inner, wrapping = self._contents.after_head(head, text), OF_HEAD[str(head.lastgroup)]
        else:
            inner, wrapping = self._contents.after_sources(line) or [], "compose"
            if not inner:
                inner, wrapping = self._contents.in_cells(line) or [], "csv"
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
            value = self._contents.of_json(b" ".join(lines).strip().removesuffix(b","))
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
                or self._contents.head_of(line) is not None
                or self._contents.after_sources(line) is not None
            )
        )

    def _not_inside(self) -> list[bytes]:
        """The lines of the object so far, which has ended."""
        lines, self._spread, self._spread_bytes = self._spread, [], 0
        return lines
