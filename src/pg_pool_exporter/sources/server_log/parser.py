"""From the bytes of a log, in pieces of any size, to counts of events."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.coverage import Coverage
from pg_pool_exporter.sources.server_log.events import (
    AMBIGUOUS,
    CLOSED,
    OPENED,
    Classifier,
    Event,
    Tally,
)
from pg_pool_exporter.sources.server_log.layouts import Layout
from pg_pool_exporter.sources.server_log.messages import Message, texts_for

MAX_LINE = 64 * 1024
"""Only the beginning of a longer line is parsed; everything of interest stands there."""
# Bytes of a message: those of interest are short, apart from the names in them.
_MOST_MESSAGE = 2048
# Severities of one line that are tried; names in a prefix may look like one.
_MOST_TRIES = 4
# Messages whose meaning is cached; each name in a message makes it a new one.
_MOST_CACHED = 2000


class _Errors(NamedTuple):
    """Records of one severity, found by its word."""

    pattern: re.Pattern[bytes]
    # Measured: a pattern finds its first byte (a capital letter) faster than a search for the word.
    word: bytes
    fatal: bool


class _Sessions(NamedTuple):
    """Records of sessions opened or closed, found by the start of their message."""

    event: Event
    text: bytes
    starts: tuple[tuple[int, bytes], ...]
    """Starts of messages that contain the text, each with the offset of the text in it."""


class LogParser:
    """Counts the events of one log, fed in pieces of any size.

    Every record of interest has one of a few texts in its first line. Searching for those is the
    fastest way; only lines that contain one are parsed. `messages` are those of the server's
    languages.
    """

    def __init__(self, layout: Layout, messages: Iterable[Message]) -> None:
        messages = tuple(messages)
        self._layout = layout
        self._classifier = Classifier(messages)
        self._errors = tuple(_errors(layout, messages))
        self._sessions = (*_sessions(OPENED, messages), *_sessions(CLOSED, messages))
        # Most pieces are ASCII and cannot contain the others.
        self._ascii_errors = tuple(one for one in self._errors if one.word.isascii())
        self._ascii_sessions = tuple(one for one in self._sessions if one.text.isascii())
        self._unknown = set(texts_for(messages, "unknown"))
        self._named = _database_patterns(messages)
        self._cached: dict[tuple[bool, bytes | None, bytes], Event | None] = {}
        self._rest = b""
        self._skipping = False
        self._last_line = b""
        self._tally = Tally()
        self.coverage = Coverage(layout.record, layout.further)
        """Which lines are understood."""

    @property
    def pending(self) -> int:
        """Bytes of the incomplete line at the end of what was fed."""
        return len(self._rest)

    @property
    def skipping(self) -> bool:
        """Whether the rest of an overlong line is being skipped."""
        return self._skipping

    def restart(self, *, skipping: bool = False) -> None:
        """Drop the incomplete line: the next piece begins elsewhere, at the start of a line.

        With `skipping` it begins inside a line that has been parsed.
        """
        self._rest = self._last_line = b""
        self._skipping = skipping

    def feed(self, piece: bytes) -> None:
        """Count the events of the next piece."""
        if self._skipping:
            end = piece.find(b"\n")
            if end < 0:
                return
            piece = piece[end + 1 :]
            self._skipping = False
        data = self._rest + piece if self._rest else piece
        end = data.rfind(b"\n") + 1
        if end:
            self._scan(data, end)
        self._rest = data[end:]
        if len(self._rest) > MAX_LINE:
            self._scan(self._rest[:MAX_LINE] + b"\n", MAX_LINE + 1)
            self.restart(skipping=True)

    def take_tally(self) -> Tally:
        """The events counted since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally

    def database(self, raw: bytes | None) -> str | None:
        """The name of a database from its bytes in the log; None: unknown.

        Names may be in any encoding: what is not UTF-8 is read as Latin-1.
        """
        plain = self._layout.plain(raw) if raw else b""
        if not plain or plain in self._unknown:
            return None
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return plain.decode("latin-1")

    def _scan(self, data: bytes, end: int) -> None:
        """Count the events of the whole lines `data[:end]`."""
        self.coverage.check(data, end)
        ascii_only = data.isascii()
        for errors in self._ascii_errors if ascii_only else self._errors:
            self._count_errors(data, end, errors)
        for sessions in self._ascii_sessions if ascii_only else self._sessions:
            self._count_sessions(data, end, sessions)
        start = data.rfind(b"\n", 0, end - 1) + 1
        self._last_line = data[start : min(end, start + self._layout.most_before)]

    def _may_be_forged(self, data: bytes, start: int) -> bool:
        """Whether the line before the one at `start` ends inside a name of the prefix.

        A client chooses the names, line ends included, and can write lines of its own that way.
        """
        cut_line = self._layout.cut_line
        if cut_line is None:
            return False
        if not start:
            return bool(self._last_line and cut_line.match(self._last_line))
        before = data.rfind(b"\n", 0, start - 1) + 1
        return bool(cut_line.match(data, before, start))

    def _count_errors(self, data: bytes, end: int, errors: _Errors) -> None:
        find, rfind = data.find, data.rfind
        before, body = self._layout.before_error, self._layout.body.match
        origin, most_before = self._layout.error_origin, self._layout.most_before
        match, groups = origin.match, origin.groupindex
        loose, label = self._layout.loose_error_origin.match, self._layout.label
        forgeable = self._layout.cut_line is not None
        failed, tries = -1, 0
        database, code_group = groups.get("database", 0), groups.get("code", 0)
        pattern, _, fatal = errors
        cached = self._cached
        seen: list[tuple[Event, bytes | None]] = []
        counted = -1
        for found in pattern.finditer(data, 0, end):
            at = found.start()
            start = rfind(b"\n", 0, at) + 1
            # A name in the prefix may look like a severity.
            if start == counted:
                continue
            if at - start > most_before or (before and not data.endswith(before, start, at)):
                continue
            if start == failed and tries >= _MOST_TRIES:
                continue
            head = match(data, start, at)
            if head is None:
                tries = tries + 1 if start == failed else 1
                failed = start
                if not label or find(label, start, at) >= 0:
                    continue
                head = loose(data, start, at)
                if head is None:
                    continue
            # Inlined, because nearly always the line before has a label, so it is whole.
            if (
                forgeable
                and (not start or find(label, rfind(b"\n", 0, start - 1) + 1, start) < 0)
                and self._may_be_forged(data, start)
            ):
                continue
            message = found.end()
            code = found[1] or (head[code_group] if code_group else None)
            text = b""
            if code is None or code in AMBIGUOUS:
                whole = body(data, message, min(end, message + _MOST_MESSAGE))
                text = whole[0] if whole else b""
            key = (fatal, code, text)
            try:
                event = cached[key]
            except KeyError:
                if len(cached) >= _MOST_CACHED:
                    cached.clear()
                event = self._classifier.event(fatal, code, self._layout.message(text))
                cached[key] = event
            if event is not None:
                counted = start
                name = head[database] if database else None
                seen.append((event, name))
                if event.ends_session:
                    seen.append((CLOSED, name))
        self._tally.update(seen)

    def _count_sessions(self, data: bytes, end: int, sessions: _Sessions) -> None:
        find, rfind = data.find, data.rfind
        before, origin = self._layout.before_message, self._layout.session_origin
        match, database = origin.match, origin.groupindex.get("database", 0)
        event, text, starts = sessions
        most_before = self._layout.most_before
        loose, label = self._layout.loose_session_origin.match, self._layout.label
        forgeable = self._layout.cut_line is not None
        seen: list[bytes | None] = []
        at = find(text, 0, end)
        while at >= 0:
            start = rfind(b"\n", 0, at) + 1
            for shift, whole in starts:
                message = at - shift
                if message - start > most_before or (
                    before and not data.endswith(before, start, message)
                ):
                    continue
                head = match(data, start, message)
                if head is None and label and find(label, start, message) >= message - 10:
                    # The only label is that of the severity, with a code of seven bytes or not.
                    head = loose(data, start, message)
                if head is None or (shift and not data.startswith(whole, message)):
                    continue
                if (
                    forgeable
                    and (not start or find(label, rfind(b"\n", 0, start - 1) + 1, start) < 0)
                    and self._may_be_forged(data, start)
                ):
                    continue
                seen.append(head[database] if database else self._named_in(event, data, message))
                break
            at = find(text, at + len(text), end)
        for name, count in Counter(seen).items():
            self._tally[event, name] += count

    def _named_in(self, event: Event, data: bytes, message: int) -> bytes | None:
        """The database named in the message about a session."""
        found = self._named[event].match(data, message)
        return found["database"] if found else None


def _errors(layout: Layout, messages: Iterable[Message]) -> Iterator[_Errors]:
    for severity in ("ERROR", "FATAL"):
        for word in texts_for(messages, severity):
            yield _Errors(re.compile(layout.error(word)), word, severity == "FATAL")


def _sessions(event: Event, messages: Iterable[Message]) -> Iterator[_Sessions]:
    starts = sorted({one.start for one in messages if one.meaning == event.value}, key=len)
    for position, text in enumerate(starts):
        # A text that is part of another one finds the lines of both.
        if not any(other in text for other in starts[:position]):
            containing = tuple((one.find(text), one) for one in starts if text in one)
            yield _Sessions(event, text, containing)


def _database_patterns(messages: Iterable[Message]) -> dict[Event, re.Pattern[bytes]]:
    """Where messages about sessions name the database, for prefixes that do not."""
    opened = {text.split(b"%s")[0] for text in texts_for(messages, "opened_database")}
    # The first %s of the message is the user, the second the database.
    closed = {text.split(b"%s")[1] for text in texts_for(messages, "closed")}
    return {OPENED: _after(opened), CLOSED: _after(closed)}


def _after(fields: Iterable[bytes]) -> re.Pattern[bytes]:
    names = b"|".join(map(re.escape, sorted(fields)))
    return re.compile(rb"[^\n]*?(?:" + names + rb")(?P<database>[^ \n]+)")
