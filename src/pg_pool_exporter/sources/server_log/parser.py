"""From the bytes of a log, in whatever pieces they come, to counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from pg_pool_exporter.sources.server_log.phrases import Text

MAX_LINE = 64 * 1024
"""Of a longer line only the beginning is looked at, where everything stands that is wanted."""
# A message with a name in it is another one each time.
_MOST_REMEMBERED = 2000


class _Errors(NamedTuple):
    """Records of one severity, found by what their first line has."""

    marker: re.Pattern[bytes]
    # Searching a pattern looks for its first byte, a capital letter mostly; searching bytes (as
    # below) for its last. Which one is faster was measured.
    word: bytes
    offset: int
    """From the start of the marker to that of the word."""
    fatal: bool


class _Sessions(NamedTuple):
    """Records of sessions opened or closed, found by how their message starts."""

    event: Event
    text: bytes
    starts: Mapping[int, bytes]
    """Whole starts of messages that have the text in them, by where in them it stands."""


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
        groups = layout.head.groupindex
        self._severity = groups["severity"]
        self._database = groups.get("database", 0)
        self._codes = tuple(groups[name] for name in ("code", "verbose") if name in groups)
        self._named = {} if self._database else _database_patterns(texts)
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
        rfind, match, body = data.rfind, self._layout.head.match, self._layout.body.match
        severity, database, codes = self._severity, self._database, self._codes
        marker, _, offset, fatal = errors
        remembered = self._remembered
        seen: list[tuple[Event, bytes | None]] = []
        for found in marker.finditer(data, 0, end):
            at = found.start()
            start = rfind(b"\n", 0, at) + 1
            head = match(data, start, end)
            # The marker can also stand elsewhere in the line.
            if head is None or head.start(severity) != at + offset:
                continue
            code = None
            for group in codes:
                code = code or head[group]
            message = b""
            if code is None or code in AMBIGUOUS:
                whole = body(data, head.end(), min(end, start + MAX_LINE))
                message = whole[0] if whole else b""
            key = (fatal, code, message)
            if key not in remembered:
                if len(remembered) >= _MOST_REMEMBERED:
                    remembered.clear()
                remembered[key] = self._event(*key)
            event = remembered[key]
            if event is not None and head.end() - start <= MAX_LINE:
                name = head[database] if database else None
                seen.append((event, name))
                if event.ends_session:
                    seen.append((CLOSED, name))
        self.tally.update(seen)

    def _event(self, fatal: bool, code: bytes | None, body: bytes) -> Event | None:
        return self._classifier.event(fatal, code, self._layout.message(body))

    def _count_sessions(self, data: bytes, end: int, sessions: _Sessions) -> None:
        find, rfind, match = data.find, data.rfind, self._layout.head.match
        database = self._database
        event, text, starts = sessions
        most = MAX_LINE - len(text)
        seen: list[bytes | None] = []
        at = find(text, 0, end)
        while at >= 0:
            start = rfind(b"\n", 0, at) + 1
            head = match(data, start, end)
            if head is not None and at - start <= most:
                message = head.end()
                # None where the text stands elsewhere in the line.
                whole = starts.get(at - message)
                if whole is not None and data.startswith(whole, message):
                    seen.append(
                        head[database] if database else self._named_in(event, data, message)
                    )
            at = find(text, at + len(text), end)
        for name, count in Counter(seen).items():
            self.tally[event, name] += count

    def _named_in(self, event: Event, data: bytes, message: int) -> bytes | None:
        """The database that a message about a session names."""
        found = self._named[event].match(data, message)
        return found["database"] if found else None


def _errors(layout: Layout, texts: Iterable[Text]) -> Iterator[_Errors]:
    for severity in ("ERROR", "FATAL"):
        for word in dict.fromkeys(text.form for text in texts if text.use == severity):
            marker = layout.marker(word)
            pattern = re.compile(re.escape(marker))
            yield _Errors(pattern, word, marker.index(word), severity == "FATAL")


def _sessions(event: Event, texts: Iterable[Text]) -> Iterator[_Sessions]:
    starts = sorted({text.start for text in texts if text.use == event.value}, key=len)
    for position, text in enumerate(starts):
        # One that another one contains finds the lines of both.
        if not any(other in text for other in starts[:position]):
            yield _Sessions(
                event, text, {start.find(text): start for start in starts if text in start}
            )


def _database_patterns(texts: Iterable[Text]) -> dict[Event, re.Pattern[bytes]]:
    """Where messages about sessions name the database, for a prefix that does not."""
    opened = {text.form.split(b"%s")[0] for text in texts if text.use == "opened_database"}
    # The user is the first %s of the message, the database the second.
    closed = {text.form.split(b"%s")[1] for text in texts if text.use == "closed"}
    return {OPENED: _behind(opened), CLOSED: _behind(closed)}


def _behind(fields: Iterable[bytes]) -> re.Pattern[bytes]:
    names = b"|".join(map(re.escape, sorted(fields)))
    return re.compile(rb"[^\n]*?(?:" + names + rb")(?P<database>[^ \n]+)")
