"""The database of a session's record, the same one when it opens and when it ends.

The messages about sessions name user and database themselves, without quotes. What is between
`user=` and what follows the database is the same text in both messages, so both are read alike:
where a name makes that text ambiguous, neither of them has a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pg_pool_exporter.sources.server_log.counting.events import CLOSED, OPENED, Event
from pg_pool_exporter.sources.server_log.messages.catalogue import Message, texts_for

# Where user, database and host stand between the conversions of the message about a closed session.
_USER, _DATABASE, _HOST = 4, 5, 6
# Of a user or database, without a line end; bounded, so that a text of many labels costs little.
_ANY_NAME = rb"[^\n]{0,255}?"
# The host and the line's end: a database can hold the text before a host, too.
_HOST_AT_END = rb"[^ \r\n=]++(?: port=[0-9]++)?\r?(?:\n|\Z)"
_CONVERSION = re.compile(rb"%[0-9]*[sdu]")

AMBIGUOUS_NAME = b""
"""Where a message names a database, and leaves open which one."""
MOST_SESSIONS = 20_000
"""Open sessions whose database is known; the oldest are forgotten first."""


class SessionTexts:
    """Reads the database from messages about sessions, in the languages of `messages`."""

    def __init__(self, messages: Iterable[Message]) -> None:
        messages = tuple(messages)
        closed = [_CONVERSION.split(text) for text in texts_for(messages, "closed")]
        hosts = {parts[_HOST] for parts in closed}
        ends = {_before(text) for text in texts_for(messages, "opened_end")}
        self._ends = _any_of(ends)
        self._hosts = tuple(sorted(hosts))
        users = {
            OPENED: {_before(text) for text in texts_for(messages, "opened")},
            CLOSED: {parts[_USER] for parts in closed},
        }
        databases = {
            OPENED: {_before(text) for text in texts_for(messages, "opened_database")},
            CLOSED: {parts[_DATABASE] for parts in closed},
        }
        self._users = {event: _any_of(texts) for event, texts in users.items()}
        self._databases = {event: _any_of(texts) for event, texts in databases.items()}
        starts = {
            OPENED: users[OPENED],
            CLOSED: {parts[0] for parts in closed},
        }
        # Names without spaces and equals signs: nearly all.
        self._patterns = {
            event: rb"(?:%s)%s[^\r\n= ]*+(?:%s)(?P<database>[^\r\n= ]++)(?=%s)"
            % (
                _alternatives(starts[event]),
                rb"[0-9:.]++(?:%s)" % _alternatives(users[CLOSED]) if event is CLOSED else b"",
                _alternatives(databases[event]),
                rb"(?:%s)%s" % (_alternatives(hosts), _HOST_AT_END)
                if event is CLOSED
                else rb"\r?\n(?!\t)|" + _alternatives(ends),
            )
            for event in (OPENED, CLOSED)
        }
        self._plain = {event: re.compile(pattern) for event, pattern in self._patterns.items()}
        self._whole = re.compile(
            b"(?:%s)" % b"|".join(map(_whole, sorted(set(map(tuple, closed)))))
        )

    def pattern(self, event: Event) -> bytes:
        """A message with ordinary names, with the group `database`."""
        return self._patterns[event]

    def is_whole(self, data: bytes, message: int) -> bool:
        """Whether the message that begins there is of a closed session, up to the line's end."""
        return self._whole.match(data, message) is not None

    def database(self, event: Event, data: bytes, message: int) -> bytes | None:
        """The database named in the message that begins there; None if it names none.

        `AMBIGUOUS_NAME` if it is open which one.
        """
        plain = self._plain[event].match(data, message)
        if plain is not None:
            return plain["database"]
        names, is_cut = self._names(event, data, message)
        if names is None:
            return None
        databases = self._databases[event].split(names)
        if is_cut or len(databases) > 2:
            return AMBIGUOUS_NAME
        return databases[1] if len(databases) == 2 else None

    def has_label(self, event: Event, data: bytes, message: int) -> bool:
        """Whether the user or database in the message that begins there looks like a severity."""
        names, _ = self._names(event, data, message)
        return names is not None and b":  " in names

    def _names(self, event: Event, data: bytes, message: int) -> tuple[bytes | None, bool]:
        """User and database with the text between them, and whether the end is cut off.

        None if the message has no names.
        """
        end = data.find(b"\n", message)
        # A name has a line end, of which the message has the first line only.
        is_cut = event is OPENED and end >= 0 and data.startswith(b"\t", end + 1)
        text = data[message : end if end >= 0 else len(data)].removesuffix(b"\r")
        user = self._users[event].search(text)
        if user is None:
            return None, False
        text = text[user.end() :]
        if event is CLOSED:
            # An address has no spaces, so its label is the last one.
            at = max(text.rfind(host) for host in self._hosts)
            is_cut = at < 0
            text = text[:at]
        return self._ends.split(text, maxsplit=1)[0], is_cut


class OpenSessions:
    """The databases of sessions that are open, by what their prefix identifies them with.

    A record whose prefix leaves its database open is of the database that its session was counted
    in when it opened. Bounded by `MOST_SESSIONS`.
    """

    def __init__(self) -> None:
        self._databases: dict[bytes, bytes | None] = {}
        self._in_doubt: dict[bytes, None] = {}

    def open(self, session: bytes, database: bytes | None) -> None:
        """Remember a session."""
        known = self._databases
        self._in_doubt.pop(session, None)
        if session in known:
            del known[session]
        elif len(known) >= MOST_SESSIONS:
            del known[next(iter(known))]
        known[session] = database

    def database(self, session: bytes) -> bytes | None:
        """Its database; None if it has none or is unknown."""
        return self._databases.get(session)

    def close(self, session: bytes) -> bytes | None:
        """Forget a session; returns its database."""
        return self._databases.pop(session, None)

    def doubt(self, session: bytes) -> None:
        """Remember that its end may be a text of another record: its true end is not counted."""
        if len(self._in_doubt) >= MOST_SESSIONS:
            del self._in_doubt[next(iter(self._in_doubt))]
        self._in_doubt[session] = None

    def settle(self, session: bytes) -> bool:
        """Whether its end was in doubt; it is no longer."""
        return self._in_doubt.pop(session, session) is None

    def __contains__(self, session: bytes) -> bool:
        return session in self._databases


def _whole(parts: Sequence[bytes]) -> bytes:
    """A pattern of the message about a closed session, from the texts between its variables."""
    texts = [re.escape(part) for part in parts]
    return (
        rb"[0-9]{1,10}".join(texts[: _USER + 1])
        + _ANY_NAME
        + _ANY_NAME.join(texts[_DATABASE : _HOST + 1])
        + rb"[^\n=]{1,255}(?: port=[0-9]{1,5})?"
        + b"".join(texts[_HOST + 1 :])
        + rb"\r?(?:\n|\Z)"
    )


def _before(text: bytes) -> bytes:
    """What precedes the first variable."""
    return text.split(b"%", 1)[0]


def _alternatives(texts: Iterable[bytes]) -> bytes:
    return b"|".join(map(re.escape, sorted(texts)))


def _any_of(texts: Iterable[bytes]) -> re.Pattern[bytes]:
    return re.compile(_alternatives(texts))
