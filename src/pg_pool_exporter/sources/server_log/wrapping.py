"""What log shippers and container runtimes put around the lines of a log.

A line can be wrapped several times: the JSON of an operator in the line of a container runtime.
What comes out are lines as PostgreSQL wrote them, and records as lines of `jsonlog`. The formats:

- `docker`: json-file driver of Docker, also as rewritten by Fluent Bit and others; a text without
  a line end continues in the next line of its stream, unless a shipper left out all line ends.
- `cri`: container runtimes of Kubernetes; parts of a line are marked `P`, the last one `F`.
- `compose`: output of `docker compose logs`, `docker service logs` and `kubectl logs --prefix`.
- `syslog`: RFC 3164 and RFC 5424 as rsyslog writes them, and journalctl's text. PostgreSQL numbers
  what it splits: `[3-1]`, `[3-2]`; rsyslog writes a tab as `#011`.
- `cloudnativepg`: the operator's JSON, with the fields of csvlog in `record`.
- `json`: any other object that holds a line (`message`, `textPayload`, `properties`) or the fields
  of a record (`jsonPayload`, `record`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Literal, NamedTuple

Wrapping = Literal["none", "docker", "cri", "compose", "syslog", "cloudnativepg", "json"]
WRAPPINGS: tuple[Wrapping, ...] = (
    "none", "docker", "cri", "compose", "syslog", "cloudnativepg", "json",
)  # fmt: skip

MOST_JOINED = 64 * 1024
"""Bytes of a line whose parts are joined; everything of interest stands at its beginning."""
# Docker splits lines at 16 KiB; it is less where a character is cut, or counted otherwise.
_LEAST_PART = 16_000
_MOST_OPEN = 64
_MOST_DEPTH = 4
_MOST_MESSAGE = 2048
_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_BSD = rb"[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,6})?"
_JOURNAL = (
    rb"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Za-z0-9+-]{1,16}"
    rb"|\[ *\d{1,10}\.\d{6}\]|\d{9,11}\.\d{6}"
)
_COLOUR = rb"(?:\x1b\[[\d;]{0,16}m)*+"
_HEADS = {
    "cri": rb"(?P<cri>%s (?P<stream>stdout|stderr) (?P<part>[PF])(?::[^ \n]*+)?(?: |$))" % _ISO,
    "syslog": (
        rb"(?P<syslog>(?:<\d{1,3}>)?(?:%s|%s|%s) [^ \n]{1,255} "
        rb"(?P<tag>[^ \n\[\]:]{1,255}+)(?P<pid>\[\d{1,20}\])?:(?: |$))" % (_ISO, _BSD, _JOURNAL)
    ),
    "rfc5424": (
        rb"(?P<rfc5424><\d{1,3}>\d %s [^ \n]{1,255} (?P<app>[^ \n]{1,255}) (?P<proc>[^ \n]{1,128}) "
        rb"[^ \n]{1,32} (?:-|\[[^\n]*?\])(?: (?:\xef\xbb\xbf)?|$))" % _ISO
    ),
    "compose": (
        rb"(?P<compose>(?:%s(?P<name>[\w.@-]{1,255}+) *\|%s(?: |$)|\[pod/[^\]\s]{1,512}\](?: |$))"
        rb"(?:%s )?)" % (_COLOUR, _COLOUR, _ISO)
    ),
    "stamp": rb"(?P<stamp>%s )" % _ISO,
}
# Heads of whole lines, at each of them.
_WHOLE_HEADS = {
    name: re.compile(b"(?m)^" + head.replace(b"[PF]", b"F"))
    for name, head in _HEADS.items()
    if name in ("cri", "compose", "stamp")
}
_OF_HEAD: Mapping[str, Wrapping] = {
    "cri": "cri", "syslog": "syslog", "rfc5424": "syslog", "compose": "compose", "stamp": "docker",
}  # fmt: skip
_SEQUENCE = re.compile(rb"\[\d{1,20}-(\d{1,10})\] ?")
_POSTGRES = re.compile(rb"(?i)postgres|postmaster|^pg|edb|spilo|patroni")
_DOCKERS_OWN = {"log", "stream", "time", "attrs"}
_LINES = ("log", "message", "MESSAGE", "msg", "textPayload", "line", "text", "event", "@message")
_RECORDS = ("record", "jsonPayload", "properties", "fields", "parsed", "pg", "postgres", "_source")
_NATIVE = b'{"timestamp":"'
# Suffixes that complete an object whose end was cut off, inside a text or after one.
_CLOSINGS = ('"}', '"}}', "}", "}}", '"}}}', ':""}', ':""}}')
_decode = json.JSONDecoder(strict=False).raw_decode
_BROKEN_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?$")


class Unwrapped(NamedTuple):
    """One line without its wrapping."""

    kind: Literal["text", "syslog", "record", "nothing"]
    """`text` is a line as PostgreSQL wrote it, `syslog` too, but maybe without time and process id;
    `record` is a line of jsonlog; `nothing` is of another program, or of a line already read."""
    line: bytes
    """Of `nothing` the text of another program, if it has one."""
    wrapping: Wrapping
    """The outermost one."""


_NOTHING: tuple[Literal["nothing"], bytes] = ("nothing", b"")
_Inner = tuple[Literal["text", "syslog", "record", "nothing"], bytes]


class Unwrapper:
    """Takes the wrapping off the lines of one file.

    `wrappings` are those that a line may have. `is_record` shows whether a text is the beginning of
    a record, maybe without time and process id. Parts of lines are kept until the last one comes.
    """

    def __init__(self, wrappings: frozenset[Wrapping], is_record: Callable[[bytes], bool]) -> None:
        self._is_record = is_record
        self._allows_json = not wrappings.isdisjoint(("docker", "cloudnativepg", "json"))
        patterns = [_HEADS[name] for name in _HEADS if _OF_HEAD[name] in wrappings]
        self._head = re.compile(b"|".join(patterns)) if patterns else None
        self._open: dict[tuple[str, ...], bytes] = {}
        self._tags: set[bytes] = set()
        # Whether a text of Docker had one.
        self._has_line_ends = False

    def is_wrapped(self, line: bytes) -> bool:
        """Whether the line has a known wrapping."""
        if line.startswith(b"{"):
            return self._allows_json and not line.startswith(_NATIVE)
        return self._head is not None and self._head.match(line) is not None

    def unwrap_all(self, data: bytes, end: int) -> tuple[bytes, Wrapping] | None:
        """The whole lines `data[:end]` without wrapping, if they are all wrapped in one way.

        Several times as fast as line by line. None if a line needs a look of its own: parts of
        lines, another wrapping inside, lines of other programs.
        """
        if self._open:
            return None
        if data.startswith(b'{"log":"'):
            lines = _all_of_docker(data, end) if self._allows_json else None
            self._has_line_ends |= lines is not None
            wrapping: Wrapping = "docker"
        else:
            head = self._head.match(data) if self._head is not None else None
            name = head.lastgroup if head is not None else None
            if name not in _WHOLE_HEADS:
                return None
            lines, number = _WHOLE_HEADS[name].subn(b"", data[:end])
            wrapping = _OF_HEAD[name]
            if number != data.count(b"\n", 0, end):
                return None
        if lines is None or lines.startswith(b"{") or b"\n{" in lines:
            return None
        first = lines[: lines.find(b"\n")]
        return (lines, wrapping) if not self.is_wrapped(first) or self._is_record(first) else None

    def unwrap(self, line: bytes) -> Unwrapped | None:
        """The line (without its end) without wrapping; None if it has none that is known."""
        if line.startswith(b"{"):
            if not self._allows_json or line.startswith(_NATIVE):
                return None
            inner = self._json(line, 0)
            if inner is None:
                return None
            kind, text, wrapping = inner
            return Unwrapped(kind, text, wrapping)
        head = self._head.match(line) if self._head is not None else None
        if head is None:
            return None
        kind, text = self._text(head, line[head.end() :].removesuffix(b"\r"), 0)
        return Unwrapped(kind, text, _OF_HEAD[str(head.lastgroup)])

    def _text(self, head: re.Match[bytes], text: bytes, depth: int) -> _Inner:
        name = head.lastgroup
        if name == "cri":
            whole = self._joined(("cri", str(head["stream"])), text, ends=head["part"] == b"F")
            return self._inner(whole, depth + 1) if whole is not None else _NOTHING
        if name == "syslog":
            return self._syslog(head["tag"], text, depth)
        if name == "rfc5424":
            return self._syslog(head["app"], text, depth)
        return self._inner(text, depth + 1)

    def _syslog(self, tag: bytes, text: bytes, depth: int) -> _Inner:
        if text.startswith(b"{"):
            return self._inner(text, depth + 1)
        text = text.replace(b"#011", b"\t")
        sequence = _SEQUENCE.match(text)
        if sequence is not None:
            whole, text = text, text[sequence.end() :]
            if int(sequence[1]) > 1:
                return _NOTHING  # a further line, or the rest of a long one
            if not self._is_record(text) and self._is_record(whole):
                text = whole  # the prefix's own number
        is_own = _POSTGRES.search(tag) is not None or tag in self._tags
        if self._is_record(text):
            if not is_own and len(self._tags) < _MOST_OPEN:
                self._tags.add(tag)
            return "syslog", text
        # Lines without a number are split at spaces.
        further = b"\t" if sequence is not None else (b"\t", b" ")
        if text.startswith(further) or not text:
            return _NOTHING
        return ("syslog" if is_own else "nothing"), text

    def _inner(self, text: bytes, depth: int) -> _Inner:
        """What is inside of a wrapping: a line, or another wrapping."""
        if text.startswith(b"{") and depth < _MOST_DEPTH:
            if text.startswith(_NATIVE):
                return "record", text
            inner = self._json(text, depth)
            if inner is not None:
                return inner[0], inner[1]
        elif depth < 2 and self._head is not None and not self._is_record(text):
            head = self._head.match(text)
            if head is not None and head.lastgroup != "compose":
                return self._text(head, text[head.end() :], depth)
        return "text", text

    def _json(
        self, line: bytes, depth: int
    ) -> tuple[Literal["text", "syslog", "record", "nothing"], bytes, Wrapping] | None:
        value = _decoded(line)
        if not isinstance(value, dict):
            return None
        text = value.get("log")
        if type(text) is str:
            wrapping: Wrapping = "docker"
            stream = str(value.get("stream", ""))
            part = value.get("logtag", value.get("_p"))
            raw = _bytes(text.removesuffix("\n"))
            if part is None and value.keys() <= _DOCKERS_OWN:
                is_whole = text.endswith("\n")
                self._has_line_ends |= is_whole
                may_continue = self._has_line_ends or len(raw) >= _LEAST_PART
                ends = is_whole or not may_continue or len(line) >= MOST_JOINED
            else:
                ends = part != "P"
            whole = self._joined(("docker", stream), _one_line(raw), ends=ends)
            if whole is None:
                return (*_NOTHING, wrapping)
            return (*self._inner(whole, depth + 1), wrapping)
        found = _record(value, depth)
        if found is not None:
            is_operators = "record" in value and "logger" in value
            return "record", found, "cloudnativepg" if is_operators else "json"
        if "logger" in value and "logging_pod" in value:
            text = value.get("msg")
            if value["logger"] == "postgres" and isinstance(text, str):
                # Written before its collector runs, or without one.
                return (*self._inner(_one_line(_bytes(text)), depth + 1), "cloudnativepg")
            return (*_NOTHING, "cloudnativepg")  # the operator's own
        text = _line(value, 0)
        if text is None:
            return None
        return (*self._inner(_one_line(text), depth + 1), "json")

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
                text = before + text[: MOST_JOINED - len(before)]
        if ends:
            return text if lost is None else lost + b"\n" + text
        if len(self._open) >= _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[key] = text[:MOST_JOINED]
        return lost

    def _begins_record(self, text: bytes) -> bool:
        return text.startswith(_NATIVE) or self._is_record(text)


def _all_of_docker(data: bytes, end: int) -> bytes | None:
    """The texts of lines that all have a whole one; None where one has not."""
    try:
        values = json.loads(b"[" + data[: end - 1].replace(b"\n", b",") + b"]")
        texts = [value["log"] for value in values]
        whole = "".join(texts)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    lines = data.count(b"\n", 0, end)
    if len(texts) != lines or whole.count("\n") != lines:
        return None
    return _bytes(whole) if all(text.endswith("\n") for text in texts) else None


def _decoded(line: bytes) -> Any:
    """The value of a line of JSON, also of one whose end was cut off; None if it is none."""
    text = line.decode("utf-8", "surrogateescape")
    try:
        return _decode(text)[0]
    except (ValueError, RecursionError):
        pass
    if len(line) < _MOST_MESSAGE or '"' not in text[-MOST_JOINED:]:
        return None
    text = _BROKEN_ESCAPE.sub("", text)
    for closing in _CLOSINGS:
        try:
            return _decode(text + closing)[0]
        except (ValueError, RecursionError):
            continue
    return None


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _one_line(text: bytes) -> bytes:
    """Further lines inside one text are no records of their own."""
    text = text.rstrip(b"\r\n")
    return text.replace(b"\n", b"\n\t") if b"\n" in text else text


def _line(value: Mapping[str, Any], depth: int) -> bytes | None:
    """The line in an object; texts come before objects, which may be about the line only."""
    for name in _LINES:
        text = value.get(name)
        if isinstance(text, str):
            before = value.get("prefix")
            level = value.get("errorLevel")
            if isinstance(before, str) and isinstance(level, str):
                text = f"{before}{level}:  {text}"  # Azure Database, single server
            return _bytes(text)
        if isinstance(text, list) and len(text) <= MOST_JOINED:
            try:
                return bytes(text)  # journald, where it is no UTF-8
            except (TypeError, ValueError):
                continue
    for name in (*_LINES, *_RECORDS):
        inner = value.get(name)
        if isinstance(inner, dict) and depth < _MOST_DEPTH:
            found = _line(inner, depth + 1)
            if found is not None:
                return found
    return None


def _record(value: Mapping[str, Any], depth: int) -> bytes | None:
    """The line of jsonlog with the fields of a record, whatever their order."""
    severity = value.get("error_severity")
    message = value.get("message")
    if isinstance(severity, str) and isinstance(message, str):
        database = value.get("database_name", value.get("dbname"))
        code = value.get("sql_state_code", value.get("state_code"))
        parts = ['{"timestamp":"-"']
        if isinstance(database, str) and database:
            parts.append(f'"dbname":{encode_basestring(database)}')
        parts.append(f'"error_severity":{encode_basestring(severity)}')
        if isinstance(code, str) and code and code != "00000":
            parts.append(f'"state_code":{encode_basestring(code)}')
        parts.append(f'"message":{encode_basestring(message[:_MOST_MESSAGE])}}}')
        return _bytes(",".join(parts))
    if depth < _MOST_DEPTH:
        for name in ("record", "jsonPayload", "message", "log"):
            inner = value.get(name)
            if isinstance(inner, dict):
                found = _record(inner, depth + 1)
                if found is not None:
                    return found
    return None
