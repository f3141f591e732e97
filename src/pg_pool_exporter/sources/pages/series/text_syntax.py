"""Parses one line of Prometheus text or OpenMetrics.

Lines come from outside: whatever they contain, the result is a value or `Malformed`.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from math import inf, isnan
from typing import NamedTuple

from pg_pool_exporter.formats import Labels

# Names of 10 kB with every byte escaped fit, and one line cannot take long.
MAX_LINE_BYTES = 64 * 1024
MAX_LABEL_CHARACTERS = 200
MAX_CONNECTION_STRING = 4096
"""Characters of a pool's name that are read where it is a connection string."""

_POOL_NAMES = frozenset({
    "pool_name", "db_client_connection_pool_name", "db_client_connections_pool_name", "pool",
})  # fmt: skip
_CUT = re.compile(r"~[0-9a-f]{12}\Z")
_CONNECTION_STRING = re.compile(r"\s*+[A-Za-z][A-Za-z_ ]{0,60}+=")

# Possessive quantifiers: a hostile line costs one pass and no backtracking.
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_LABEL = r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\[\\"n])*+)"[ \t]*+'
_EACH_LABEL = re.compile(_LABEL)
_BRACES = re.compile(rf"\{{(?:{_LABEL},)*+(?:{_LABEL})?[ \t]*+\}}".encode())
_VALUE = re.compile(
    rb"[ \t]++([-+.0-9a-zA-Z]++)"
    rb"(?:[ \t]++[-+.0-9eE]++)?"  # timestamp
    rb"[ \t\r]*+(?:#.*+)?",  # exemplar
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)")
_UNESCAPED = {"\\": "\\", '"': '"', "n": "\n"}


is_plain_value = re.compile(rb"[-+.0-9a-zA-Z]{1,40}+").fullmatch
"""Whether this end of a line, after a space, is a value alone, in one of the usual spellings."""


class Malformed(Exception):  # noqa: N818 - a verdict on the page, always turned into a PollError
    """What is wrong with a line. The message never contains text of the page."""


class SeriesLine(NamedTuple):
    """A series and its value; `key` is everything before the value."""

    key: bytes
    labels: Labels
    value: bytes


def metric_name(line: bytes) -> bytes:
    """The name at the start of the line; empty without one."""
    match = _NAME.match(line)
    return match[0] if match else b""


def series_line(line: bytes, name: bytes) -> SeriesLine:
    """Parse a line that begins with the metric's `name`."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed(f"longer than {MAX_LINE_BYTES} bytes")
    labels, end = _labels(line, len(name)) if line.startswith(b"{", len(name)) else ({}, len(name))
    return SeriesLine(line[:end], labels, value_at(line, end))


def value_at(line: bytes, end: int) -> bytes:
    """The value of a line whose series ends there."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed(f"longer than {MAX_LINE_BYTES} bytes")
    match = _VALUE.fullmatch(line, end)
    if match is None:
        raise Malformed("no value after the series, or wrong text after the value")
    return match[1]


def _labels(line: bytes, start: int) -> tuple[Labels, int]:
    braces = _BRACES.match(line, start)
    if braces is None:
        raise Malformed("malformed or unterminated label")
    text = braces[0].decode("utf-8", "replace")
    pairs = _EACH_LABEL.findall(text)
    labels: dict[str, str] = dict(pairs)
    if len(labels) < len(pairs):
        raise Malformed("the same label twice")
    if "\\" in text:
        labels = {name: _ESCAPE.sub(_unescaped, value) for name, value in labels.items()}
    if len(text) > MAX_LABEL_CHARACTERS:
        labels = {name: _kept(name, value) for name, value in labels.items()}
    return labels, braces.end()


def _kept(label: str, text: str) -> str:
    # A connection string's facts about the pool can be anywhere in it. It is never shown whole.
    if label in _POOL_NAMES and _CONNECTION_STRING.match(text):
        return text[:MAX_CONNECTION_STRING]
    return cut(text)


def _unescaped(escape: re.Match[str]) -> str:
    return _UNESCAPED[escape[1]]


def cut(text: str) -> str:
    """`text`, shortened to `MAX_LABEL_CHARACTERS`: its beginning and a digest."""
    if len(text) <= MAX_LABEL_CHARACTERS:
        return text
    # The digest distinguishes long values with the same beginning.
    digest = blake2b(text.encode(), digest_size=6).hexdigest()
    return f"{text[: MAX_LABEL_CHARACTERS - len(digest) - 1]}~{digest}"


def is_cut(text: str) -> bool:
    """Whether the text may be cut, by `cut` or as a long connection string."""
    return len(text) >= MAX_LABEL_CHARACTERS and (
        len(text) >= MAX_CONNECTION_STRING or _CUT.search(text) is not None
    )


def any_number(text: bytes) -> float:
    """The value of a series: any number."""
    try:
        return float(text)
    except ValueError:
        raise Malformed("the value is not a number") from None


def number(text: bytes) -> float | None:
    """The value of a pool: finite and not negative. None for NaN, which means unknown."""
    value = any_number(text)
    if 0 <= value < inf:
        return value
    if isnan(value):
        return None
    raise Malformed("the value is negative, infinite or not a number")
