"""From lines of a log to counts of events."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from pg_pool_exporter.sources.server_log.counting.events import (
    AMBIGUOUS,
    CLOSED,
    OPENED,
    Classifier,
    Event,
)
from pg_pool_exporter.sources.server_log.counting.searches import (
    MOST_SEVERITY,
    ErrorSearch,
    FatalSearch,
    Search,
    SessionSearch,
    searches,
)
from pg_pool_exporter.sources.server_log.counting.sessions import AMBIGUOUS_NAME, SessionTexts
from pg_pool_exporter.sources.server_log.counting.shared_counts import SharedCounts
from pg_pool_exporter.sources.server_log.counting.text_finder import TextFinder
from pg_pool_exporter.sources.server_log.format.layouts import Layout
from pg_pool_exporter.sources.server_log.messages.catalogue import Message, texts_for
from pg_pool_exporter.sources.server_log.unwrapping.objects import MOST_MESSAGE

# Places of one text that are tried in a line: a name of 63 bytes holds seven times `FATAL:  `.
_MOST_TRIES = 8
# Messages whose meaning is cached; each name in a message makes it a new one.
_MOST_CACHED = 2000


class LogParser:
    """Counts the events in whole lines of one format.

    `messages` are those of the server's languages; what is counted goes to `shared`.
    """

    def __init__(self, layout: Layout, messages: Iterable[Message], shared: SharedCounts) -> None:
        messages = tuple(messages)
        self.layout = layout
        self._classifier = Classifier(messages)
        self._texts = SessionTexts(messages)
        found = searches(layout, messages, self._texts)
        self._opened_texts = tuple(
            one.text for one in found if isinstance(one, SessionSearch) and one.event is OPENED
        )
        self._find = TextFinder([one.text for one in found]).find
        groups = layout.error_origin.groupindex
        self._has_database, self._has_code = "database" in groups, "code" in groups
        self._has_session = "session" in groups
        # With a name that looks like a severity, the session's other end can be read otherwise.
        self._is_anonymous = bool(layout.label) and layout.names_vary and not self._has_session
        self._unknown = set(texts_for(messages, "unknown"))
        self._events: dict[tuple[bool, bytes | None, bytes], Event | None] = {}
        # Databases of the events found, until they are added up.
        self._names: defaultdict[Event, list[bytes | None]] = defaultdict(list)
        # Each with the databases to which an ordinary record adds its own; None if it takes more.
        self._searches = [
            (one, one.ordinary, self._names[one.event])
            if isinstance(one, SessionSearch) and not layout.names_vary
            else (one, one.ordinary, None)
            for one in found
        ]
        # The start of the line in which an error was counted last, and by which text.
        self._counted = -1
        self._counted_by: Search | None = None
        # The start of the line in which a severity was rejected last, and how often in it, by text.
        self._failed = -1
        self._tries: Counter[bytes] = Counter()
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
            data.find(text, start, end) >= 0 for text in self._opened_texts
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
        self._counted = self._failed = -1
        find, rfind, label = data.find, data.rfind, self.layout.label
        searches, is_forgeable = self._searches, self.layout.cut_line is not None
        most_before = self.layout.most_before + MOST_SEVERITY
        start = before = 0
        for index, at, _ in self._find(data, end):
            newline = rfind(b"\n", before, at)
            before = at
            if newline >= 0:
                start = newline + 1
            if at - start > most_before:
                continue
            search, ordinary, names = searches[index]
            head = ordinary(data, start) if ordinary is not None else None
            if head is not None:
                if (
                    is_forgeable
                    # Nearly always the line before has a label, so it is whole.
                    and (not start or find(label, rfind(b"\n", 0, start - 1) + 1, start) < 0)
                    and self._may_be_forged(data, start)
                ):
                    continue
                if names is not None and head.start("database") > at:
                    names.append(head["database"])
                    continue
            if isinstance(search, SessionSearch):
                self._count_session(search, data, start, at, head)
            else:
                self._count_error(search, data, start, at, head)
        for event, names in self._names.items():
            if names:
                self._shared.add(event, names, self.name)
                names.clear()
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
        return bool(cut_line.match(data, data.rfind(b"\n", 0, start - 1) + 1, start))

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

    def _count_error(
        self,
        search: ErrorSearch | FatalSearch,
        data: bytes,
        start: int,
        at: int,
        ordinary: re.Match[bytes] | None,
    ) -> None:
        """Count the error whose text stands at offset `at`, in the line that begins at `start`.

        `ordinary` matches that line, if it is of an ordinary error.
        """
        # A name in the prefix may look like a severity.
        if start == self._counted and search is self._counted_by:
            return
        if start == self._failed and self._tries[search.text] >= _MOST_TRIES:
            return
        layout, fatal = self.layout, isinstance(search, FatalSearch)
        head, by_last_label = ordinary, False
        if head is not None and at == head.start("severity" if fatal else "text"):
            is_certain, found = True, head
        else:
            severity = search.severity(data, at)
            if severity is None:
                return
            found, at = severity, severity.start()
            if at - start > layout.most_before or not data.endswith(layout.before_error, start, at):
                return
            head = layout.error_origin.match(data, start, at)
            if head is None:
                if start != self._failed:
                    self._failed = start
                    self._tries.clear()
                self._tries[search.text] += 1
                by_last_label = data.find(layout.label, start, at) >= 0
                if not layout.label or (
                    by_last_label and not self._has_doubtful_label(data, start)
                ):
                    return
                head = layout.loose_error_origin.match(data, start, at)
            if head is None or self._may_be_forged(data, start):
                return
            is_certain = layout.is_quoted
        code = found["written"] or (head["code"] if self._has_code else None)
        text = found["text"]
        event = self._event(fatal, code, text)
        if event is None or (by_last_label and event != self._event(fatal, None, text)):
            return  # not counted, or a text of the record that looks like one
        self._counted, self._counted_by = start, search
        header = b"" if is_certain else data[start : found.start()]
        if not is_certain and event.family == "timeout":
            self._count(event, self._session(head), None, header, in_doubt=by_last_label)
            return
        if by_last_label:
            return
        name = head["database"] if is_certain and self._has_database else None
        self._names[event].append(name)
        if event.ends_session:
            if name is None and not layout.is_quoted:
                name = self._classifier.database(layout.message(text[:MOST_MESSAGE]))
            self._count(event, self._session(head), name, header)

    def _event(self, fatal: bool, code: bytes | None, text: bytes) -> Event | None:
        """The event of an error with this code, or with this message."""
        key = (fatal, code, text[:MOST_MESSAGE] if code is None or code in AMBIGUOUS else b"")
        try:
            return self._events[key]
        except KeyError:
            if len(self._events) >= _MOST_CACHED:
                self._events.clear()
            event = self._classifier.event(fatal, code, self.layout.message(key[2]))
            self._events[key] = event
            return event

    def _session(self, head: re.Match[bytes]) -> bytes | None:
        """The identity of a record's session."""
        return head["session"] if self._has_session else None

    def _count(
        self,
        event: Event,
        session: bytes | None,
        database: bytes | None,
        header: bytes = b"",
        *,
        in_doubt: bool = False,
    ) -> None:
        """Count a record whose database depends on those before it.

        It has the `database` itself, or a `header` before its severity that can be read in several
        ways. `in_doubt` it counts only if it fits the sessions that are known to be open. Of a
        refusal the end of its session is counted.
        """
        known = self._open
        if in_doubt:
            if session is None or (session in known) is (event is OPENED):
                return
            if event is CLOSED:
                known.doubt(session)
        elif event is CLOSED and session is not None and known.settle(session):
            return
        name = self._database(event, session, database, header)
        self._names[CLOSED if event.ends_session else event].append(name)

    def _database(
        self, event: Event, session: bytes | None, database: bytes | None, header: bytes
    ) -> bytes | None:
        """The database that a record counts for; it is the same at both ends of a session."""
        known = self._open
        if event is OPENED:
            if session is not None:
                known.open(session, database)
            self._last_opened = database
            return database
        if event.family == "timeout":
            opened = known.database(session) if session is not None else None
            return opened or self._only_one(header)
        if session is not None and session in known:
            opened = known.close(session)
            # A session of a standby has opened without one.
            return database or opened if event is CLOSED and opened else opened
        if event is CLOSED:
            return database
        # Refused as soon as it was opened.
        return database or self._only_one(header) or self._last_opened

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

    def _count_session(
        self,
        search: SessionSearch,
        data: bytes,
        start: int,
        at: int,
        ordinary: re.Match[bytes] | None,
    ) -> None:
        """Count the session whose text stands at offset `at`, in the line that begins at `start`.

        `ordinary` matches that line, if it is ordinary.
        """
        layout, event = self.layout, search.event
        if ordinary is not None and ordinary.start("database") > at:
            self._count(event, self._session(ordinary), ordinary["database"])
            return
        before, label = layout.before_message, layout.label
        for shift, whole in search.starts:
            message = at - shift
            if message - start > layout.most_before or (
                before and not data.endswith(before, start, message)
            ):
                continue
            strict = layout.strict_session_origin
            head = strict.match(data, start, message) if strict is not None else None
            is_certain = head is not None
            if head is None:
                head = layout.session_origin.match(data, start, message)
            if head is None and label and _is_only_label(data, label, start, message):
                head = layout.loose_session_origin.match(data, start, message)
            if (
                self._is_anonymous
                and not is_certain
                and self._texts.has_label(event, data, message)
            ):
                continue
            in_doubt = head is None and self._may_follow_name(event, data, start, message)
            if in_doubt:
                head = layout.loose_session_origin.match(data, start, message)
            if head is None or (shift and not data.startswith(whole, message)):
                continue
            if self._may_be_forged(data, start):
                return
            if layout.is_quoted:
                self._names[event].append(head["database"])
                return
            session = self._session(head)
            name = self._texts.database(event, data, message)
            if name is None or (name == AMBIGUOUS_NAME and session is not None):
                name = head["database"] if is_certain and self._has_database else None
            self._count(event, session, name or None, in_doubt=in_doubt)
            return


def _is_only_label(data: bytes, label: bytes, start: int, message: int) -> bool:
    """Whether the first label of a line is the one before the message, with a code or without."""
    first = data.find(label, start, message)
    has_code = data[message - 3 : message - 2].isalnum()
    return first == message - (10 if has_code else 3)
