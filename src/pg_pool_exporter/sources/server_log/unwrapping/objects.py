"""Objects of JSON that hold lines of a log, or the fields of its records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from json.encoder import encode_basestring
from typing import Any

MOST_TEXT = 64 * 1024
"""Bytes of a text; everything of interest stands at its beginning."""
MOST_MESSAGE = 2048
"""Bytes of a message: those of interest are short, apart from the names in them."""
_MOST_DEPTH = 4
# A line of jsonlog. Others have the time as their first key, too.
NATIVE = re.compile(
    rb'\{"timestamp":"[^"\n]{0,64}",'
    rb'"(?:user|dbname|pid|remote_host|session_id|error_severity)":'
)
# Where the line stands, the better first.
_LINES = (
    "log", "message", "MESSAGE", "msg", "textPayload", "line", "text", "event", "@message", "body",
    "stringValue", "event_message", "original", "full_message", "short_message",
    "_raw", "LogFileData", "_line", "content", "__CONTENT__",
)  # fmt: skip
_INSIDE = (
    "record", "jsonPayload", "properties", "fields", "parsed", "pg", "postgres", "_source",
    "attributes", "result", "content", "logContent", "data",
)  # fmt: skip
_RECORDS = ("record", "jsonPayload", "message", "log", "postgres", "parsed")
# Of several lines in one object: exports of CloudWatch, Azure, OpenTelemetry, answers of Loki
# and Elasticsearch.
_LISTS = (
    "logEvents", "events", "records", "resourceLogs", "scopeLogs", "logRecords", "streams",
    "values", "data", "result", "hits",
)  # fmt: skip
# Suffixes that complete an object whose end was cut off, inside a text or after one.
_CLOSINGS = ('"}', '"}}', "}", "}}", '"}}}', ':""}', ':""}}')
_decode = json.JSONDecoder(strict=False).raw_decode
# Between two objects of a line.
_BETWEEN = re.compile(r"\s*+(?:,\s*+)?(?=\{)")
# Where a list of objects may begin: at the line's first one, or in a list of it.
_FIRST = re.compile(rf'^[^{{]*+(?=\{{)|"(?:{"|".join(_LISTS)})"\s*+:\s*+\[\s*+(?=\{{)')
_BROKEN_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?$")


def decoded(line: bytes) -> Any:
    """The value of a line of JSON, also of one whose end was cut off; None if it is none.

    Of several ones it is a list: the elements of an array, or one after the other.
    """
    text = line.decode("utf-8", "surrogateescape")
    try:
        value, end = _decode(text)
        return value if len(text) - end <= 2 else _all(value, text, end)
    except (ValueError, RecursionError):
        pass
    if '"=>' in text:
        return decoded(as_bytes(text.replace('"=>', '":')))  # Fluent Bit's own notation
    if len(line) < MOST_MESSAGE or '"' not in text[-MOST_TEXT:]:
        return None
    text = _BROKEN_ESCAPE.sub("", text)
    for closing in _CLOSINGS:
        try:
            return _decode(text + closing)[0]
        except (ValueError, RecursionError):
            continue
    return None


def _all(value: Any, text: str, end: int) -> Any:
    """The first value, or a list of it and those that follow it."""
    values = [value]
    while (following := _BETWEEN.match(text, end)) is not None:
        try:
            value, end = _decode(text, following.end())
        except (ValueError, RecursionError):
            break
        values.append(value)
    return values if len(values) > 1 else values[0]


def several(line: bytes) -> tuple[int, int]:
    """Offsets of the first and the last object of a list whose end is missing; 0 if it is none.

    All before the last one are whole.
    """
    text = line.decode("latin-1")  # a character for each byte
    for found in islice(_FIRST.finditer(text), _MOST_DEPTH):
        first = last = found.end()
        try:
            while following := _BETWEEN.match(text, _decode(text, last)[1]):
                last = following.end()
        except (ValueError, RecursionError):
            pass
        if last > first:
            return first, last
    return 0, 0


def as_bytes(text: str) -> bytes:
    """The text as it was before it was decoded."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def docker_texts(data: bytes, end: int) -> bytes | None:
    """The texts of Docker's lines that all have a whole one; None where one has not."""
    try:
        values = json.loads(b"[" + data[: end - 1].replace(b"\n", b",") + b"]")
        texts = [value["log"] for value in values]
        whole = "".join(texts)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    lines = data.count(b"\n", 0, end)
    if len(texts) != lines or whole.count("\n") != lines or "\n{" in "\n" + whole:
        return None
    return as_bytes(whole) if all(text.endswith("\n") for text in texts) else None


def entries(value: Any, depth: int = 0) -> list[Mapping[str, Any]]:
    """The objects in this value that hold a line each; empty if it holds one itself."""
    found: list[Mapping[str, Any]] = []
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                found += entries(item) or [item]
    if not isinstance(value, dict):
        return found
    for name in _LISTS:
        items = value.get(name)
        if isinstance(items, dict) and depth < _MOST_DEPTH:
            found += entries(items, depth + 1)
        if not isinstance(items, list):
            continue
        for item in items:
            if isinstance(item, dict):
                found += (entries(item, depth + 1) if depth < _MOST_DEPTH else []) or [item]
            elif isinstance(item, list) and len(item) > 1:
                found.append({"line": item[1]})  # Loki: time and line
    return found


def texts(value: Mapping[str, Any], depth: int = 0) -> Iterator[bytes]:
    """What can be the line of an object, the best first.

    Texts come before objects, which may be about the line only.
    """
    for name in _LINES:
        text = value.get(name)
        if isinstance(text, str):
            before = value.get("prefix")
            level = value.get("errorLevel")
            if isinstance(before, str) and isinstance(level, str):
                text = f"{before}{level}:  {text}"  # Azure Database, single server
            yield as_bytes(text)
        elif isinstance(text, list) and len(text) <= MOST_TEXT:
            try:
                yield bytes(text)  # journald, where it is no UTF-8
            except (TypeError, ValueError):
                continue
    if depth >= _MOST_DEPTH:
        return
    for name in (*_LINES, *_INSIDE):
        inner = value.get(name)
        if isinstance(inner, dict):
            yield from texts(inner, depth + 1)


def record(value: Mapping[str, Any], depth: int = 0) -> bytes | None:
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
        parts.append(f'"message":{encode_basestring(message[:MOST_MESSAGE])}}}')
        return as_bytes(",".join(parts))
    if depth < _MOST_DEPTH:
        for name in _RECORDS:
            inner = value.get(name)
            if isinstance(inner, dict):
                found = record(inner, depth + 1)
                if found is not None:
                    return found
    return None
