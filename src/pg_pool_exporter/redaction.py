"""Makes texts from outside safe to print: without secrets, and without terminal escapes.

The last line of defence, not the first: our own messages never hold a secret. Messages of
libraries, and values in the wrong place, may.
"""

from __future__ import annotations

import re

HIDDEN = "***"
MOST_TEXT = 64 * 1024
"""Characters of a text that are kept: more than any message of ours has."""

# One slash is enough: a URL taken for a path loses the other. A password may hold spaces, unless
# what follows is a port: then the `@` belongs to another address, later in the sentence. Lengths
# are bounded, or a text with many beginnings takes time by the square of its length.
_IN_URL = re.compile(r"(:/{1,2}[^\s:/@]*):(?:\S{0,1000}@|(?![:\d])[^@\n]{0,1000}@)")

_KEY = r"""(?i:password|passwd|secret|token)\\{0,8}+["']?"""
# Quotes are escaped when the text itself is a JSON value. Inside, a quote is doubled or has a
# backslash. Without a closing quote the value ends with its line.
_QUOTED = r"""(?P<quote>\\{0,8}+["'])(?:(?P=quote){2}|(?!(?P=quote))(?:\\.|.))*+(?P=quote)?"""
_EQUALS = re.compile(rf"({_KEY}\s*+=\s*+)(?:{_QUOTED}|[^\s&]+)")
# JSON and YAML. Without quotes, only a word at the end of its line or entry is a value: a sentence
# about the key goes on.
_COLON = re.compile(rf"(?m)({_KEY}\s*+:[ \t]*+)(?:{_QUOTED}|[^\s,}}\]]++(?=[ \t]*+(?:[,}}\]]|$)))")
_HEADER = re.compile(
    r"""(?i)(\bauthorization[\\"']*+\s*+[:=][\s\\"']*+(?:\w++\s++)?|\bbearer\s++)[^\s"',;]+"""
)


def redact(text: str) -> str:
    """Replace the secrets in `text` by `***`; what is behind `MOST_TEXT` characters is cut.

    Secrets are passwords in URLs, credentials in HTTP headers, and values of `password=…` and
    `password: …`, quoted or not; the same for `passwd`, `secret`, `token` and names that end so.
    """
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text[:MOST_TEXT])
    for pattern in (_HEADER, _EQUALS, _COLON):
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def printable(text: str) -> str:
    """`text` with U+FFFD for each character that a terminal obeys or that changes the direction of
    writing, line ends included.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def printable_lines(text: str) -> str:
    """`printable` for each line."""
    return "\n".join(map(printable, text.split("\n")))
