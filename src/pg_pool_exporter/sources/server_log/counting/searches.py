"""Texts to search for in a log: each record that is counted has one of a few in its first line.

Searching for them is the fastest way to the records; only lines that contain one are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.counting.events import CLOSED, OPENED, Event
from pg_pool_exporter.sources.server_log.counting.sessions import SessionTexts
from pg_pool_exporter.sources.server_log.format.layouts import Layout
from pg_pool_exporter.sources.server_log.messages.catalogue import Message, texts_for

MOST_SEVERITY = 128
"""Bytes from a severity to its message, in any language, with a SQLSTATE."""
# Meanings of errors that end no session, and how long a common start of their texts must be.
_CANCELLED = ("statement", "lock")
_LEAST_COMMON = 12
# Of a pattern: the text and where to begin.
Match = Callable[[bytes, int], re.Match[bytes] | None]


class FatalSearch(NamedTuple):
    """Records that end a session, found by their severity."""

    text: bytes
    ordinary: Match | None
    pattern: re.Pattern[bytes]

    def severity(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """From the severity to the message's end, if the text at this offset is one."""
        return self.pattern.match(data, at)


class ErrorSearch(NamedTuple):
    """Records of statements that were cancelled, found by the start of their message.

    Most errors of a busy log are others.
    """

    text: bytes
    ordinary: Match | None
    severities: tuple[tuple[bytes, re.Pattern[bytes]], ...]
    """Each word, and a pattern from there to the message."""

    def severity(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """From the severity to the message's end, if the text at this offset begins one."""
        before = at - MOST_SEVERITY if at > MOST_SEVERITY else 0
        for word, pattern in self.severities:
            severity = data.rfind(word, before, at)
            if severity >= 0:
                found = pattern.match(data, severity)
                if found is not None and found.start("text") == at:
                    return found
        return None


class SessionSearch(NamedTuple):
    """Records of sessions opened or closed, found by the start of their message."""

    text: bytes
    ordinary: Match | None
    event: Event
    starts: tuple[tuple[int, bytes], ...]
    """Starts of messages that contain the text, each with the offset of the text in it."""


Search = FatalSearch | ErrorSearch | SessionSearch
"""What its `text` finds. `ordinary` matches an ordinary record of it from the line's start; None
where there is no such pattern."""


def searches(layout: Layout, messages: Sequence[Message], texts: SessionTexts) -> list[Search]:
    """All that a log of these messages is searched for; those for ASCII first."""
    found: list[Search] = [
        *_session_searches(OPENED, messages, _match(layout.ordinary(texts.pattern(OPENED)))),
        *_session_searches(CLOSED, messages, _match(layout.ordinary(texts.pattern(CLOSED)))),
        *_error_searches(layout, messages),
        *_fatal_searches(layout, messages),
    ]
    return sorted(found, key=lambda search: not search.text.isascii())


def _fatal_searches(layout: Layout, messages: Iterable[Message]) -> Iterator[FatalSearch]:
    """A search for each word of the severity FATAL, and for what follows it.

    So no text is part of another one.
    """
    words = texts_for(messages, "FATAL")
    ordinary = _match(layout.ordinary_error(words))
    for word in words:
        pattern = re.compile(layout.error([word]))
        yield FatalSearch(word + layout.after_severity, ordinary, pattern)


def _error_searches(layout: Layout, messages: Sequence[Message]) -> Iterator[ErrorSearch]:
    """A search for each text that no other one begins with."""
    words = texts_for(messages, "ERROR")
    ordinary = _match(layout.ordinary_error(words))
    severities = tuple((word, re.compile(layout.error([word]))) for word in words)
    starts = sorted({one.start for one in messages if one.meaning in _CANCELLED}, key=len)
    common = _common_start([one for one in starts if one.isascii()])
    if len(common) >= _LEAST_COMMON:
        starts = [common, *(one for one in starts if not one.isascii())]
    for position, text in enumerate(starts):
        if not any(text.startswith(other) for other in starts[:position]):
            yield ErrorSearch(text, ordinary, severities)


def _common_start(texts: Sequence[bytes]) -> bytes:
    first, last = min(texts, default=b""), max(texts, default=b"")
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((at for at, (one, other) in pairs if one != other), len(first))]


def _session_searches(
    event: Event, messages: Iterable[Message], ordinary: Match | None
) -> Iterator[SessionSearch]:
    """A search for each text that contains no other one."""
    starts = sorted({one.start for one in messages if one.meaning == event.value}, key=len)
    for position, text in enumerate(starts):
        # A text that is part of another one finds the lines of both.
        if not any(other in text for other in starts[:position]):
            containing = tuple((one.find(text), one) for one in starts if text in one)
            yield SessionSearch(text, ordinary, event, containing)


def _match(pattern: re.Pattern[bytes] | None) -> Match | None:
    return pattern.match if pattern is not None else None
