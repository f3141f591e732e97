"""Finds messages in languages that the server's settings do not name.

The variable `LANGUAGE` overrides `lc_messages` without a trace, and so do settings that the
exporter may not see. What nobody looks for would be counted as 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from pg_pool_exporter.sources.server_log.messages import languages, messages

# What precedes a message in each format, and the bytes of it that a lookup needs.
_KEY_BYTES = 8
_MESSAGE = re.compile(
    rb'(?::  (?:[0-9A-Z]{5}: )?|,[0-9A-Z]{5},"|"message":")(?=([^\n]{%d}))' % _KEY_BYTES
)


# What begins a record or a part of one, besides the severities that each language has.
_OTHER_WORDS = (
    b"PANIC", b"WARNING", b"NOTICE", b"INFO", b"DEBUG", b"DETAIL", b"HINT", b"QUERY", b"CONTEXT",
    b"STATEMENT", b"LOCATION",
)  # fmt: skip


@cache
def known_severities() -> re.Pattern[bytes]:
    """A severity in any language, with what follows it in each format.

    PostgreSQL writes one of LOG, ERROR and FATAL as soon as it starts.
    """
    words = set(_OTHER_WORDS)
    words |= {one.text for one in messages(None) if one.meaning in ("LOG", "ERROR", "FATAL")}
    return re.compile(rb'(?:%s)(?::  |,[0-9A-Z]{5},|",")' % b"|".join(map(re.escape, words)))


def other_languages(spoken: frozenset[str], data: bytes, start: int, end: int) -> set[str]:
    """The languages, neither `spoken` nor English, in which a message that is counted begins in
    `data[start:end]`.
    """
    starts = _starts(spoken)
    return {
        name
        for message in _MESSAGE.finditer(data, start, end)
        for text, name in starts.get(message[1], ())
        if data.startswith(text, message.end())
    }


@cache
def _starts(spoken: frozenset[str]) -> Mapping[bytes, Sequence[tuple[bytes, str]]]:
    """The starts of the messages of the other languages, by their first bytes."""
    known = {one.start for one in messages(spoken)}
    found: dict[bytes, list[tuple[bytes, str]]] = {}
    for name in languages():
        for start in {one.start for one in messages([name])} - known:
            if len(start) >= _KEY_BYTES:
                found.setdefault(start[:_KEY_BYTES], []).append((start, name))
    return found
