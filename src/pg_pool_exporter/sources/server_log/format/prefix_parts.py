"""`log_line_prefix` as a sequence of escapes and the texts between them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_letters
from typing import NamedTuple

# Each escape as PostgreSQL writes it (elog.c). A name may hold anything but a line end, and with
# some clients even that; numbers are bounded so that no run of digits costs its square.
_TIME = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ZONE = rb"[A-Za-z0-9+_-]{1,64}"
_NUMBER = rb"\d{1,20}"
ANY = rb"[^\n]*?"
"""The pattern of a name."""
_ESCAPES = {
    "a": ANY,
    "b": ANY,
    "c": rb"[0-9a-f]{1,16}\.[0-9a-f]{1,16}",
    "d": ANY,
    "e": rb"[0-9A-Z]{5}",
    "h": ANY,
    "i": ANY,
    "l": _NUMBER,
    "L": ANY,
    "m": _TIME + rb"\.\d{3} " + _ZONE,
    "n": rb"\d{1,20}\.\d{3}",
    "p": _NUMBER,
    "P": rb"\d{0,20}",
    "Q": rb"-?" + _NUMBER,
    "r": ANY,
    "s": _TIME + rb" " + _ZONE,
    "t": _TIME + rb" " + _ZONE,
    "u": ANY,
    "v": rb"(?:-?\d{1,20}/-?\d{1,20})?",
    "x": _NUMBER,
}
_ESCAPE = re.compile(r"%(-?\d*)(.)", re.DOTALL)
_DIGITS = "0123456789"
_ZONE_HOLDS = ascii_letters + _DIGITS + "+-_"
# What an escape without names can end with; others have a fixed length.
_HOLDS = {
    "m": _ZONE_HOLDS, "t": _ZONE_HOLDS, "s": _ZONE_HOLDS, "c": "abcdef.-" + _DIGITS,
    "v": "-/" + _DIGITS, "n": "", "e": "",
}  # fmt: skip
# Characters that are always in it.
_ALWAYS_HOLDS = {"m": ".: ", "t": ": ", "s": ": ", "c": ".", "n": "."}


class Part(NamedTuple):
    """An escape, or text between escapes (`name` is "")."""

    name: str
    text: bytes
    """The text, or the pattern of the escape."""

    @property
    def is_of_session(self) -> bool:
        """Whether it is empty for a process that is no session."""
        return self.is_any and self.name != "b"

    @property
    def is_any(self) -> bool:
        return bool(self.name) and _ESCAPES[self.name] == ANY

    def is_bounded(self, following: Iterable[Part]) -> bool:
        """Whether the field ends where the escape does, whatever the name behind `following` is."""
        holds = _HOLDS.get(self.name, _DIGITS)
        between = "".join(
            _ALWAYS_HOLDS.get(one.name, "") if one.name else one.text.decode() for one in following
        )
        return not holds or any(one not in holds for one in between)


def parts_of(text: str) -> tuple[tuple[Part, ...], int]:
    """The parts of this setting, and how many of them processes have that are no sessions.

    Unknown escapes are left out, as PostgreSQL does.
    """
    parts: list[Part] = []
    before_sessions: int | None = None
    position = 0

    def add(literal: bytes) -> None:
        if literal and parts and not parts[-1].name and before_sessions != len(parts):
            parts[-1] = Part("", parts[-1].text + literal)
        elif literal:
            parts.append(Part("", literal))

    for found in _ESCAPE.finditer(text):
        add(text[position : found.start()].encode())
        position = found.end()
        padding, name = found.groups()
        if name == "%" and not padding:
            add(b"%")
        elif name == "q" and before_sessions is None:
            # Processes that are no sessions stop here.
            before_sessions = len(parts)
        elif name in _ESCAPES:
            parts.append(Part(name, _padded(_ESCAPES[name], padding)))
    # A single % at the end is left out, too.
    add(text[position:].removesuffix("%").encode())
    end = len(parts) if before_sessions is None else before_sessions
    return tuple(parts), end


def _padded(field: bytes, padding: str) -> bytes:
    if not padding.strip("-0"):
        return field
    return field + b" *" if padding.startswith("-") else b" *" + field
