"""From lines of a log to counts of events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.counting.events import (
    AMBIGUOUS,
    CLOSED,
    OPENED,
    Classifier,
    Event,
)
from pg_pool_exporter.sources.server_log.counting.searches import (
    ErrorSearch,
    FatalSearch,
    SessionSearch,
    error_searches,
    fatal_searches,
    session_searches,
)
from pg_pool_exporter.sources.server_log.counting.sessions import AMBIGUOUS_NAME, SessionTexts
from pg_pool_exporter.sources.server_log.counting.shared_counts import SharedCounts
from pg_pool_exporter.sources.server_log.format.layouts import Layout
from pg_pool_exporter.sources.server_log.messages.catalogue import Message, texts_for

# Bytes of a message: those of interest are short, apart from the names in them.
_MOST_MESSAGE = 2048
# Severities of one line that are tried; names in a prefix may look like one.
_MOST_TRIES = 4
# Messages whose meaning is cached; each name in a message makes it a new one.
_MOST_CACHED = 2000


class _Hit(NamedTuple):
    """A record whose database depends on those before it, at `place` in the lines."""

    place: int
    event: Event
    session: bytes | None
    database: bytes | None = None
    """As the record has it."""
    header: bytes = b""
    """What precedes its severity, where that can be read in several ways."""
    in_doubt: bool = False
    """Whether it counts only if it fits the sessions that are known to be open."""

    @property
    def counts(self) -> Event:
        """The event counted for the database: the end of a session, if it was refused."""
        return CLOSED if self.event.ends_session else self.event


_place = itemgetter(0)


class LogParser:
    """Counts the events in whole lines of one format.

    `messages` are those of the server's
    languages; what is counted goes to `shared`.
    """

    def __init__(self, layout: Layout, messages: Iterable[Message], shared: SharedCounts) -> None:
        messages = tuple(messages)
        self.layout = layout
        self._classifier = Classifier(messages)
        self._errors: tuple[ErrorSearch | FatalSearch, ...] = (
            *error_searches(layout, messages),
            *fatal_searches(layout, messages),
        )
        self._sessions = (*session_searches(OPENED, messages), *session_searches(CLOSED, messages))
        # Most pieces are ASCII and cannot contain the others.
        self._ascii_errors = tuple(one for one in self._errors if one.word.isascii())
        self._ascii_sessions = tuple(one for one in self._sessions if one.text.isascii())
        self._unknown = set(texts_for(messages, "unknown"))
        self._texts = SessionTexts(messages)
        self._ordinary = {
            event: layout.ordinary(self._texts.pattern(event)) for event in (OPENED, CLOSED)
        }
        self._cached: dict[
            tuple[bool, bytes | None, bytes], tuple[Event, list[bytes | None]] | None
        ] = {}
        # Databases of the events found, until they are added up.
        self._names: dict[Event, list[bytes | None]] = {}
        self._last_line = b""
        # The last line, if a name at its end may go on in the next one.
        self._held = b""
        self._shared = shared
        self._open = shared.open_sessions
        self._last_opened: bytes | None = None

    def restart(self) -> None:
        """The next lines do not follow those before them."""
        self.flush()
        self._last_line = b""

    def name(self, raw: bytes | None) -> str | None:
        """The name of a database from its bytes in the log; None: unknown.

        Names may be in any encoding: what is not UTF-8 is read as Latin-1.
        """
        plain = self.layout.plain(raw) if raw else b""
        if not plain or plain in self._unknown:
            return None
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return plain.decode("latin-1")

    def scan(self, data: bytes, end: int) -> None:
        """Count the events of the whole lines `data[:end]`.

        A session that opens in the last one is counted with the lines after it, or by `flush`.
        """
        self._shared.coverage.check(self.layout, data, end)
        if self._held:
            data = self._held + data[:end]
            end, self._held = len(data), b""
        start = data.rfind(b"\n", 0, end - 1) + 1
        if not self.layout.is_quoted and any(
            event is OPENED and data.find(text, start, end) >= 0
            for event, text, _ in self._sessions
        ):
            self._held, end = data[start:end], start
        if end:
            self._scan(data, end)

    def flush(self) -> None:
        """Count what is left to count of the lines so far."""
        if self._held:
            data, self._held = self._held, b""
            self._scan(data, len(data))

    def _scan(self, data: bytes, end: int) -> None:
        ascii_only = data.isascii()
        hits: list[_Hit] = []
        for sessions in self._ascii_sessions if ascii_only else self._sessions:
            self._count_sessions(data, end, sessions, hits)
        for errors in self._ascii_errors if ascii_only else self._errors:
            self._count_errors(data, end, errors, hits)
        if hits:
            hits.sort(key=_place)
            by_event: dict[Event, list[bytes | None]] = {}
            for hit in hits:
                if self._counts(hit):
                    by_event.setdefault(hit.counts, []).append(self._database(hit))
            for event, names in by_event.items():
                self._shared.add(event, names, self.name)
        start = data.rfind(b"\n", 0, end - 1) + 1
        self._last_line = data[start : min(end, start + self.layout.most_before)]

    def _may_be_forged(self, data: bytes, start: int) -> bool:
        """Whether the line before the one at `start` ends inside a name of the prefix.

        A client chooses the names, line ends included, and can write lines of its own that way.
        """
        cut_line = self.layout.cut_line
        if cut_line is None:
            return False
        if not start:
            return bool(self._last_line and cut_line.match(self._last_line))
        before = data.rfind(b"\n", 0, start - 1) + 1
        return bool(cut_line.match(data, before, start))

    def _has_doubtful_label(self, data: bytes, start: int) -> bool:
        """Whether what looks like the line's first label may be part of a name.

        The last label is the record's then. Any text of a record could look like one, so it only
        counts for an open session.
        """
        certain = self.layout.certain
        return bool(self.layout.label) and (certain is None or certain.match(data, start) is None)

    def _may_follow_name(self, event: Event, data: bytes, start: int, message: int) -> bool:
        """Whether the labels before a message about a session may be parts of names.

        A text of another record can look like the message.
        """
        layout = self.layout
        if not layout.label:
            return False
        is_strange = layout.ordinary_line is not None and not layout.ordinary_line.match(
            data, start
        )
        if event is OPENED:
            return is_strange
        return (is_strange or layout.names_vary) and self._texts.is_whole(data, message)

    def _count_errors(
        self, data: bytes, end: int, errors: ErrorSearch | FatalSearch, hits: list[_Hit]
    ) -> None:
        layout = self.layout
        find, rfind = data.find, data.rfind
        before, body = layout.before_error, layout.body.match
        origin, most_before = layout.error_origin, layout.most_before
        match, groups = origin.match, origin.groupindex
        strict = None if layout.strict_error_origin is None else layout.strict_error_origin.match
        loose, label = layout.loose_error_origin.match, layout.label
        forgeable = layout.cut_line is not None
        failed, tries = -1, 0
        database, code_group = groups.get("database", 0), groups.get("code", 0)
        fatal = isinstance(errors, FatalSearch)
        cached = self._cached
        counted = -1
        for found in errors.find(data, end):
            at = found.start()
            start = rfind(b"\n", 0, at) + 1
            # A name in the prefix may look like a severity.
            if start == counted:
                continue
            if at - start > most_before or (before and not data.endswith(before, start, at)):
                continue
            if start == failed and tries >= _MOST_TRIES:
                continue
            head = strict(data, start, at) if strict is not None else None
            is_certain = head is not None or layout.is_quoted
            if head is None:
                head = match(data, start, at)
            by_last_label = False
            if head is None:
                tries = tries + 1 if start == failed else 1
                failed = start
                if not label:
                    continue
                by_last_label = find(label, start, at) >= 0
                if by_last_label and not self._has_doubtful_label(data, start):
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
            if by_last_label or code is None or code in AMBIGUOUS:
                whole = body(data, message, min(end, message + _MOST_MESSAGE))
                text = whole[0] if whole else b""
            key = (fatal, code, text)
            try:
                known = cached[key]
            except KeyError:
                if len(cached) >= _MOST_CACHED:
                    cached.clear()
                event = self._classifier.event(fatal, code, layout.message(text))
                known = None if event is None else (event, self._names.setdefault(event, []))
                cached[key] = known
            if known is None:
                continue
            event, names = known
            if by_last_label and self._classifier.event(fatal, None, layout.message(text)) != event:
                continue  # a text of the record that looks like one
            counted = start
            name = head[database] if is_certain and database else None
            if event.family == "timeout" and not is_certain:
                header = data[start:at]
                session = _session(head)
                hits.append(_Hit(start, event, session, None, header, in_doubt=by_last_label))
                continue
            if by_last_label:
                continue
            names.append(name)
            if event.ends_session:
                if name is None and not layout.is_quoted:
                    whole = body(data, message, min(end, message + _MOST_MESSAGE))
                    name = self._classifier.database(layout.message(whole[0] if whole else b""))
                header = b"" if is_certain else data[start:at]
                hits.append(_Hit(start, event, _session(head), name, header))
        for event, names in self._names.items():
            if names:
                self._shared.add(event, names, self.name)
                names.clear()

    def _counts(self, hit: _Hit) -> bool:
        """Whether the record counts: a session ends once, whatever its records look like."""
        session = hit.session
        if hit.in_doubt:
            if session is None or (session in self._open) is (hit.event is OPENED):
                return False
            if hit.event is CLOSED:
                self._open.doubt(session)
            return True
        return hit.event is not CLOSED or session is None or not self._open.settle(session)

    def _database(self, hit: _Hit) -> bytes | None:
        """The database that a record counts for; it is the same at both ends of a session."""
        event, session, known = hit.event, hit.session, self._open
        if event is OPENED:
            if session is not None:
                known.open(session, hit.database)
            self._last_opened = hit.database
            return hit.database
        if event.family == "timeout":
            database = known.database(session) if session is not None else None
            return database or self._only_one(hit.header)
        if session is not None and session in known:
            opened = known.close(session)
            # A session of a standby has opened without one.
            return hit.database or opened if event is CLOSED and opened else opened
        if event is CLOSED:
            return hit.database
        # Refused as soon as it was opened.
        return hit.database or self._only_one(hit.header) or self._last_opened

    def _only_one(self, header: bytes) -> bytes | None:
        """The database of a line that can be read in several ways; None if it is unknown."""
        candidates = self.layout.candidates(header) if header else None
        if not candidates:
            return None
        if len(candidates) > 1:
            candidates = frozenset(
                one for one in candidates if self.name(one) in self._shared.known
            )
        return next(iter(candidates)) if len(candidates) == 1 else None

    def _count_sessions(
        self, data: bytes, end: int, sessions: SessionSearch, hits: list[_Hit]
    ) -> None:
        layout = self.layout
        find, rfind = data.find, data.rfind
        before, origin = layout.before_message, layout.session_origin
        match, database = origin.match, origin.groupindex.get("database", 0)
        strict = (
            None if layout.strict_session_origin is None else layout.strict_session_origin.match
        )
        event, text, starts = sessions
        ordinary = self._ordinary[event]
        fast = None if ordinary is None else ordinary.match
        named, session_group = (
            (0, 0)
            if ordinary is None
            else (ordinary.groupindex["database"], ordinary.groupindex.get("session", 0))
        )
        is_ordered = layout.names_vary
        # With a name that looks like a severity, the session's other end can be read otherwise.
        is_anonymous = bool(layout.label) and is_ordered and "session" not in origin.groupindex
        most_before = layout.most_before
        loose, label = layout.loose_session_origin.match, layout.label
        forgeable = layout.cut_line is not None
        names: list[bytes | None] = []
        at = find(text, 0, end)
        while at >= 0:
            start = rfind(b"\n", 0, at) + 1
            head = fast(data, start) if fast is not None else None
            if head is not None and head.start(named) > at:
                if not (
                    forgeable
                    and (not start or find(label, rfind(b"\n", 0, start - 1) + 1, start) < 0)
                    and self._may_be_forged(data, start)
                ):
                    if is_ordered:
                        session = head[session_group] if session_group else None
                        hits.append(_Hit(start, event, session, head[named]))
                    else:
                        names.append(head[named])
                at = find(text, head.end(), end)
                continue
            for shift, whole in starts:
                message = at - shift
                if message - start > most_before or (
                    before and not data.endswith(before, start, message)
                ):
                    continue
                head = strict(data, start, message) if strict is not None else None
                is_certain = head is not None
                if head is None:
                    head = match(data, start, message)
                if head is None and label and _is_only_label(data, label, start, message):
                    head = loose(data, start, message)
                if is_anonymous and not is_certain and self._texts.has_label(event, data, message):
                    continue
                in_doubt = head is None and self._may_follow_name(event, data, start, message)
                if in_doubt:
                    head = loose(data, start, message)
                if head is None or (shift and not data.startswith(whole, message)):
                    continue
                if (
                    forgeable
                    and (not start or find(label, rfind(b"\n", 0, start - 1) + 1, start) < 0)
                    and self._may_be_forged(data, start)
                ):
                    continue
                if layout.is_quoted:
                    names.append(head[database])
                    break
                session = _session(head)
                name = self._texts.database(event, data, message)
                if name is None or (name == AMBIGUOUS_NAME and session is not None):
                    name = head[database] if is_certain and database else None
                hits.append(_Hit(start, event, session, name or None, in_doubt=in_doubt))
                break
            at = find(text, at + len(text), end)
        self._shared.add(event, names, self.name)


def _is_only_label(data: bytes, label: bytes, start: int, message: int) -> bool:
    """Whether the first label of a line is the one before the message, with a code or without."""
    first = data.find(label, start, message)
    has_code = data[message - 3 : message - 2].isalnum()
    return first == message - (10 if has_code else 3)


def _session(head: re.Match[bytes]) -> bytes | None:
    """The identity of a record's session."""
    group = head.re.groupindex.get("session", 0)
    return head[group] if group else None
