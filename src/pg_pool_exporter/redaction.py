"""Makes texts from outside safe to print: without secrets, and without terminal escapes.

The last line of defence, not the first: our own messages never hold a secret. Messages of
libraries, and values in the wrong place, may.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# A path that was meant as a URL has lost one of its slashes. A password can hold spaces; then
# what follows must not be a port, with an address of somebody else later in the sentence.
_IN_URL = re.compile(r"(:/{1,2}[^\s:/@]*):(?:\S*@|(?![:\d])[^@\n]*@)")

_KEY = r"""(?i:password|passwd|secret|token)\\*["']?"""
# Quotes can be escaped, when the text is a value of JSON itself; inside, a quote is doubled or
# has a backslash. One that is never closed goes to the end of its line.
_QUOTED = r"""(?P<quote>\\*["'])(?:(?P=quote){2}|(?!(?P=quote))(?:\\.|.))*+(?P=quote)?"""
_EQUALS = re.compile(rf"({_KEY}\s*+=\s*+)(?:{_QUOTED}|[^\s&]+)")
# JSON and YAML. Without quotes only a word that ends its line or entry is a value: what goes on
# is a sentence about the key.
_COLON = re.compile(rf"(?m)({_KEY}\s*+:[ \t]*+)(?:{_QUOTED}|[^\s,}}\]]++(?=[ \t]*+(?:[,}}\]]|$)))")
_HEADER = re.compile(
    r"""(?i)(\bauthorization[\\"']*+\s*+[:=][\s\\"']*+(?:\w++\s++)?|\bbearer\s++)[^\s"',;]+"""
)


def redact(text: str) -> str:
    """`text` with its secrets replaced by `***`.

    Those are passwords in URLs, values of `password=…` and `password: …` (also of names that end
    so, of secrets and tokens, quoted or not), and the credentials of HTTP headers.
    """
    text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
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
