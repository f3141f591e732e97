"""What a line of a log holds below its outermost wrapping: lines and records without theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pg_pool_exporter.sources.server_log.unwrapping.cells import cells
from pg_pool_exporter.sources.server_log.unwrapping.heads import (
    HEADS,
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
    texts,
)

# Docker splits lines at 16 KiB; it is less where a character is cut, or counted otherwise.
_LEAST_PART = 16_000
_MOST_OPEN = 64
_MOST_DEPTH = 4
_SEQUENCE = re.compile(rb"\[\d{1,20}-(\d{1,10})\] ?")
_DOCKERS_OWN = {"log", "stream", "time", "attrs"}
_QUOTED = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*+"')

Kind = Literal["text", "syslog", "record", "nothing"]
"""`text` is a line as PostgreSQL wrote it, `syslog` too, but maybe without time and process id;
`record` is a line of jsonlog; `nothing` is of another program, or of a line already read."""

Inner = list[tuple[Kind, bytes]]
"""Lines without any wrapping, each with its kind."""
_NOTHING: Inner = [("nothing", b"")]


class Contents:
    """Reads what the lines of one file hold.

    Parts of lines are kept until the last one comes, and what stood before records. For the
    arguments see `Unwrapper`.
    """

    def __init__(
        self,
        wrappings: frozenset[Wrapping],
        is_record: Callable[[bytes], bool],
        is_headless: Callable[[bytes], bool],
    ) -> None:
        self._is_record = is_record
        self._is_headless = is_headless
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

    @property
    def has_parts(self) -> bool:
        """Whether the rest of a line is to come."""
        return bool(self._open)

    def of_docker(self, data: bytes, end: int) -> bytes | None:
        """The texts of Docker's lines `data[:end]` that all have a whole one, else None."""
        lines = docker_texts(data, end)
        self._has_line_ends |= lines is not None
        return lines

    def head_of(self, line: bytes) -> re.Match[bytes] | None:
        """The head of a line, unless the line is a record that looks like one."""
        head = self._head.match(line) if self._head is not None else None
        # A prefix may look like fields.
        if head is not None and head.lastgroup in ("logfmt", "journal") and self._is_record(line):
            return None
        return head

    def after_head(self, head: re.Match[bytes], text: bytes, depth: int = 0) -> Inner:
        """What follows a head."""
        name = str(head.lastgroup)
        if name == "journal":
            return self.of_syslog(b"", text, depth) if head["message"] else _NOTHING
        if name == "logfmt":
            quoted = _QUOTED.match(text)
            value = decoded(quoted[0]) if quoted is not None else None
            text = self._lines(as_bytes(value)) if isinstance(value, str) else text[1:]
            return self._inner(text, depth + 1)
        if name == "cri":
            whole = self._joined(("cri", str(head["stream"])), text, ends=head["part"] == b"F")
            return self._inner(whole, depth + 1) if whole is not None else _NOTHING
        if name in TAGS:
            return self.of_syslog(head[TAGS[name]], text, depth)
        return (self.after_sources(text) if name == "stamp" else None) or self._inner(
            text, depth + 1
        )

    def after_sources(self, line: bytes) -> Inner | None:
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

    def in_cells(self, line: bytes) -> Inner | None:
        """The cell of a row that is a record; None if there is none.

        Any text can have commas, also the further lines of a record.
        """
        if not self._allows_cells or b"," not in line or line.startswith(b"\t"):
            return None
        if self._is_record(line):
            return None
        found = (self._inner(cell, 1) for cell in cells(line))
        return next(filter(self._holds_record, found), None)

    def of_syslog(self, tag: bytes, text: bytes, depth: int = 0) -> Inner:
        """What a message of syslog holds that a program with this tag wrote."""
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

    def of_json(self, line: bytes, depth: int = 0) -> tuple[Inner, Wrapping] | None:
        """What an object or a list holds, and its wrapping; None if nothing is known in it."""
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

    def _inner(self, text: bytes, depth: int) -> Inner:
        """The contents of a wrapping: a line, or another wrapping."""
        if text.startswith(b"{") and depth < _MOST_DEPTH:
            if NATIVE.match(text):
                return [("record", text)]
            inside = self.of_json(text, depth)
            if inside is not None:
                return inside[0]
        elif depth < 2 and self._head is not None and not self._is_record(text):
            head = self._head.match(text)
            if head is not None and head.lastgroup != "compose":
                return self.after_head(head, text[head.end() :], depth)
        return [("text", text)]

    def _holds_record(self, inner: Inner) -> bool:
        return any(
            kind == "record" or (kind == "text" and self._is_record(text)) for kind, text in inner
        )

    def _is_one_record(self, value: Any) -> bool:
        return isinstance(value, dict) and (
            record(value) is not None
            or ((line := self._best(texts(value))) is not None and self._is_record(line))
        )

    def _object(
        self, value: Mapping[str, Any], size: int, depth: int
    ) -> tuple[Inner, Wrapping] | None:
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
            return self.of_syslog(b"postgres", self._lines(line), depth + 1), "json"
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
