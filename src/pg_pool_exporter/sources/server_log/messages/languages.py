"""Finds messages in languages that the server's settings do not name.

The variable `LANGUAGE` overrides `lc_messages` without a trace, and so do settings that the
exporter may not see. What nobody looks for would be counted as 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from pg_pool_exporter.sources.server_log.messages.catalogue import languages, messages

# What precedes a message in each format, and the bytes of it that a lookup needs.
_KEY_BYTES = 8
_MESSAGE = re.compile(
    rb'(?::  (?:[0-9A-Z]{5}: )?|,[0-9A-Z]{5},"|"message":")(?=([^\n]{%d}))' % _KEY_BYTES
)
_WORDS = ("LOG", "ERROR", "FATAL", "severity", "label")
_AFTER_WORD = re.compile(rb' ?: |,(?=[0-9A-Z]{5},)|","')


def has_known_word(data: bytes, start: int, end: int) -> bool:
    """Whether a severity, or the label of a record's further part, is in a known language.

    What ends the word stands in `data[start:end]`. Reading may begin at either.
    """
    words = _words()
    return any(data.endswith(words, 0, at.start()) for at in _AFTER_WORD.finditer(data, start, end))


@cache
def _words() -> tuple[bytes, ...]:
    return tuple({one.text.rstrip(b" :") for one in messages(None) if one.meaning in _WORDS})


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
