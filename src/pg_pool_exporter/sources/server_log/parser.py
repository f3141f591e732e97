"""From the bytes of a log, in whatever pieces they come, to counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.events import (
    AMBIGUOUS,
    CLOSED,
    OPENED,
    Classifier,
    Event,
    Tally,
)
from pg_pool_exporter.sources.server_log.layouts import Layout
from pg_pool_exporter.sources.server_log.phrases import Text, forms

MAX_LINE = 64 * 1024
"""Of a longer line only the beginning is looked at, where everything stands that is wanted."""
# Of a message: those that are looked for are short, but for the names in them.
_MOST_MESSAGE = 2048
# A message with a name in it is another one each time.
_MOST_REMEMBERED = 2000


class _Errors(NamedTuple):
    """Records of one severity, found by what stands there."""

    pattern: re.Pattern[bytes]
    # Searching a pattern looks for its first byte, a capital letter mostly; searching bytes (as
    # below) for its last. Which one is faster was measured.
    word: bytes
    fatal: bool


class _Sessions(NamedTuple):
    """Records of sessions opened or closed, found by how their message starts."""

    event: Event
    text: bytes
    starts: tuple[tuple[int, bytes], ...]
    """Whole starts of messages that have the text in them, and where in them it stands."""


class LogParser:
    """Counts the events of one log, which is fed to it in pieces of any size.

    All records of interest have one of few texts in their first line. To search for those costs
    least; only the lines that have one are looked at from their start. `texts` are those of
    `phrases.texts` in the languages of the server.
    """

    def __init__(self, layout: Layout, texts: Iterable[Text]) -> None:
        texts = tuple(texts)
        self._layout = layout
        self._classifier = Classifier(texts)
        self._errors = tuple(_errors(layout, texts))
        self._sessions = (*_sessions(OPENED, texts), *_sessions(CLOSED, texts))
        # Most logs are ASCII; texts that are not can't be in those.
        self._ascii_errors = tuple(one for one in self._errors if one.word.isascii())
        self._ascii_sessions = tuple(one for one in self._sessions if one.text.isascii())
        self._unknown = {text.form for text in texts if text.use == "unknown"}
        self._named = _database_patterns(texts)
        self._remembered: dict[tuple[bool, bytes | None, bytes], Event | None] = {}
        self._rest = b""
        self._skipping = False
        self.tally = Tally()
        """What has been counted; whoever takes it puts another in its place."""

    @property
    def pending(self) -> int:
        """Bytes at the end of what was fed that belong to a line that is not complete."""
        return len(self._rest)

    @property
    def skipping(self) -> bool:
        """Whether the rest of a line that was too long is being passed over."""
        return self._skipping

    def restart(self, *, skipping: bool = False) -> None:
        """Forget the incomplete line: what is fed next begins elsewhere, at a line's start.

        With `skipping` it begins in the midst of a line that has been looked at.
        """
        self._rest = b""
        self._skipping = skipping

    def feed(self, piece: bytes) -> None:
        """Count what is in the next piece."""
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

    def database(self, raw: bytes | None) -> str | None:
        """The name of a database from how the tally has it; None where the log does not tell.

        Names are in any encoding: what is not UTF-8 is taken for Latin-1.
        """
        plain = self._layout.plain(raw) if raw else b""
        if not plain or plain in self._unknown:
            return None
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return plain.decode("latin-1")

    def _scan(self, data: bytes, end: int) -> None:
        """Count in the whole lines `data[:end]`."""
        ascii_only = data.isascii()
        for errors in self._ascii_errors if ascii_only else self._errors:
            self._count_errors(data, end, errors)
        for sessions in self._ascii_sessions if ascii_only else self._sessions:
            self._count_sessions(data, end, sessions)

    def _count_errors(self, data: bytes, end: int, errors: _Errors) -> None:
        rfind = data.rfind
        before, body = self._layout.before_error, self._layout.body.match
        origin, most_before = self._layout.error_origin, self._layout.most_before
        match, groups = origin.match, origin.groupindex
        database, code_group = groups.get("database", 0), groups.get("code", 0)
        pattern, _, fatal = errors
        remembered = self._remembered
        seen: list[tuple[Event, bytes | None]] = []
        counted = -1
        for found in pattern.finditer(data, 0, end):
            at = found.start()
            start = rfind(b"\n", 0, at) + 1
            # A name in the prefix can look like the severity.
            if start == counted:
                continue
            if at - start > most_before or (before and not data.endswith(before, start, at)):
                continue
            head = match(data, start, at)
            if head is None:
                continue
            message = found.end()
            code = found[1] or (head[code_group] if code_group else None)
            text = b""
            if code is None or code in AMBIGUOUS:
                whole = body(data, message, min(end, message + _MOST_MESSAGE))
                text = whole[0] if whole else b""
            key = (fatal, code, text)
            try:
                event = remembered[key]
            except KeyError:
                if len(remembered) >= _MOST_REMEMBERED:
                    remembered.clear()
                event = self._classifier.event(fatal, code, self._layout.message(text))
                remembered[key] = event
            if event is not None:
                counted = start
                name = head[database] if database else None
                seen.append((event, name))
                if event.ends_session:
                    seen.append((CLOSED, name))
        self.tally.update(seen)

    def _count_sessions(self, data: bytes, end: int, sessions: _Sessions) -> None:
        find, rfind = data.find, data.rfind
        before, origin = self._layout.before_message, self._layout.session_origin
        match, database = origin.match, origin.groupindex.get("database", 0)
        event, text, starts = sessions
        most_before = self._layout.most_before
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
                if head is None or (shift and not data.startswith(whole, message)):
                    continue
                seen.append(head[database] if database else self._named_in(event, data, message))
                break
            at = find(text, at + len(text), end)
        for name, count in Counter(seen).items():
            self.tally[event, name] += count

    def _named_in(self, event: Event, data: bytes, message: int) -> bytes | None:
        """The database that a message about a session names."""
        found = self._named[event].match(data, message)
        return found["database"] if found else None


def _errors(layout: Layout, texts: Iterable[Text]) -> Iterator[_Errors]:
    for severity in ("ERROR", "FATAL"):
        for word in forms(texts, severity):
            yield _Errors(re.compile(layout.error(word)), word, severity == "FATAL")


def _sessions(event: Event, texts: Iterable[Text]) -> Iterator[_Sessions]:
    starts = sorted({text.start for text in texts if text.use == event.value}, key=len)
    for position, text in enumerate(starts):
        # One that another one contains finds the lines of both.
        if not any(other in text for other in starts[:position]):
            containing = tuple((one.find(text), one) for one in starts if text in one)
            yield _Sessions(event, text, containing)


def _database_patterns(texts: Iterable[Text]) -> dict[Event, re.Pattern[bytes]]:
    """Where messages about sessions name the database, for a prefix that does not."""
    opened = {text.form.split(b"%s")[0] for text in texts if text.use == "opened_database"}
    # The user is the first %s of the message, the database the second.
    closed = {text.form.split(b"%s")[1] for text in texts if text.use == "closed"}
    return {OPENED: _behind(opened), CLOSED: _behind(closed)}


def _behind(fields: Iterable[bytes]) -> re.Pattern[bytes]:
    names = b"|".join(map(re.escape, sorted(fields)))
    return re.compile(rb"[^\n]*?(?:" + names + rb")(?P<database>[^ \n]+)")
