"""`log_line_prefix` as a regular expression: what stands before the severity of each record."""

from __future__ import annotations

import re
from typing import NamedTuple

# What each escape can be, as PostgreSQL writes it (elog.c). Names can hold anything but a line's
# end; so they are as short as what follows allows.
_TIME = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ANY = rb"[^\n]*?"
_ESCAPES = {
    "a": _ANY,
    "b": _ANY,
    "c": rb"[0-9a-f]+\.[0-9a-f]+",
    "d": _ANY,
    "e": rb"[0-9A-Z]{5}",
    "h": _ANY,
    "i": _ANY,
    "l": rb"\d+",
    "L": _ANY,
    "m": _TIME + rb"\.\d{3} [^ \n]+",
    "n": rb"\d+\.\d{3}",
    "p": rb"\d+",
    "P": rb"\d*",
    "Q": rb"-?\d+",
    "r": _ANY,
    "s": _TIME + rb" [^ \n]+",
    "t": _TIME + rb" [^ \n]+",
    "u": _ANY,
    "v": rb"(?:-?\d+/-?\d+)?",
    "x": rb"\d+",
}
_GROUPS = {"d": b"database", "e": b"code"}
_ESCAPE = re.compile(r"%(-?\d*)(.)", re.DOTALL)


class Prefix(NamedTuple):
    """A `log_line_prefix`, understood."""

    pattern: bytes
    """A regular expression with the groups `database` and `code` where the prefix has them."""
    has_database: bool
    has_code: bool


def parse(text: str) -> Prefix:
    """Understand the setting. Escapes that PostgreSQL does not know it leaves out, and so do we."""
    pattern = b""
    optional = False
    seen: set[str] = set()
    position = 0
    for found in _ESCAPE.finditer(text):
        pattern += re.escape(text[position : found.start()].encode())
        position = found.end()
        padding, name = found.groups()
        if name == "%":
            pattern += b"%"
        elif name == "q" and not optional:
            # Processes that are no sessions stop here.
            optional = True
            pattern += b"(?:"
        elif name in _ESCAPES:
            pattern += _padded(_field(name, seen, text[position : position + 1]), padding)
    # A % at the end is left out too.
    pattern += re.escape(text[position:].removesuffix("%").encode())
    if optional:
        # The shortest: what is no session can tell of anything behind its severity.
        pattern += b")??"
    return Prefix(pattern, "d" in seen, "e" in seen)


def _field(name: str, seen: set[str], following: str) -> bytes:
    """The pattern of an escape, before the character `following` (none at the end)."""
    field = _ESCAPES[name]
    if field == _ANY and following not in ("", "%"):
        # The same in a faster way: mostly the field does not hold what follows it.
        field = rb"(?:[^\n%s]*+|%s)" % (re.escape(following.encode()), _ANY)
    group = _GROUPS.get(name)
    if group is None or name in seen:
        return field
    seen.add(name)
    return b"(?P<%s>%s)" % (group, field)


def _padded(field: bytes, padding: str) -> bytes:
    if not padding:
        return field
    return field + b" *" if padding.startswith("-") else b" *" + field
