"""`log_line_prefix` as a regular expression: what precedes the severity of each record."""

from __future__ import annotations

import re
from typing import NamedTuple

# Each escape as PostgreSQL writes it (elog.c). A name may hold anything but a line end, and with
# some clients even that; numbers are bounded so that no run of digits costs its square.
_TIME = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ZONE = rb"[A-Za-z0-9+_-]{1,64}"
_NUMBER = rb"\d{1,20}"
_ANY = rb"[^\n]*?"
_ESCAPES = {
    "a": _ANY,
    "b": _ANY,
    "c": rb"[0-9a-f]{1,16}\.[0-9a-f]{1,16}",
    "d": _ANY,
    "e": rb"[0-9A-Z]{5}",
    "h": _ANY,
    "i": _ANY,
    "l": _NUMBER,
    "L": _ANY,
    "m": _TIME + rb"\.\d{3} " + _ZONE,
    "n": rb"\d{1,20}\.\d{3}",
    "p": _NUMBER,
    "P": rb"\d{0,20}",
    "Q": rb"-?" + _NUMBER,
    "r": _ANY,
    "s": _TIME + rb" " + _ZONE,
    "t": _TIME + rb" " + _ZONE,
    "u": _ANY,
    "v": rb"(?:-?\d{1,20}/-?\d{1,20})?",
    "x": _NUMBER,
}
_GROUPS = {"d": b"database", "e": b"code"}
# Written as the client sent them; the name of an application is cleaned by the server.
_RAW_NAMES = {"u", "d"}
_ESCAPE = re.compile(r"%(-?\d*)(.)", re.DOTALL)


class Prefix(NamedTuple):
    """A parsed `log_line_prefix`."""

    pattern: bytes
    """A regular expression with the groups `database` and `code` where the prefix has them.

    It is meant to be anchored at the severity. Its time grows linearly with the line.
    """
    before_names: bytes | None
    """A regular expression of what precedes the first user or database; None without one."""

    @property
    def has_database(self) -> bool:
        """Whether it names the database."""
        return b"(?P<database>" in self.pattern

    @property
    def has_code(self) -> bool:
        """Whether it has the SQLSTATE."""
        return b"(?P<code>" in self.pattern


def parse(text: str) -> Prefix:
    """The prefix of this setting. Unknown escapes are left out, as PostgreSQL does."""
    done = chunk = head = b""
    before_names: bytes | None = None
    optional = False
    seen: set[str] = set()
    position = 0
    for found in _ESCAPE.finditer(text):
        chunk += re.escape(text[position : found.start()].encode())
        position = found.end()
        padding, name = found.groups()
        if name == "%":
            chunk += b"%"
        elif name == "q" and not optional:
            # Processes that are no sessions stop here.
            optional = True
            done, head, chunk = done + chunk + b"(?:", head + chunk, b""
        elif name in _ESCAPES:
            if name in _RAW_NAMES and before_names is None:
                before_names = head + _atomic(chunk)
            if _ESCAPES[name] == _ANY:
                done, head, chunk = done + _atomic(chunk), head + _atomic(chunk), b""
            chunk += _padded(_field(name, seen, text[position : position + 1]), padding)
    # A single % at the end is left out, too.
    chunk += re.escape(text[position:].removesuffix("%").encode())
    # Lazy: what is no session may have anything after its severity.
    pattern = done + chunk + (b")??" if optional else b"")
    return Prefix(pattern, before_names)


def _atomic(chunk: bytes) -> bytes:
    """A name and what follows it up to the next name: the first match is as good as any other.

    So a line that does not match costs linear time, whatever the number of names.
    """
    return b"(?>" + chunk + b")" if chunk else b""


def _field(name: str, seen: set[str], following: str) -> bytes:
    """The pattern of an escape before the character `following` ("" at the end)."""
    field = _ESCAPES[name]
    if field == _ANY and following not in ("", "%"):
        # Faster: in most lines the field does not contain the character that follows it.
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
