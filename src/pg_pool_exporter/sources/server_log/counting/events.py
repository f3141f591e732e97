"""The meaning of an error in the log: a timeout, a refused connection, or not counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pg_pool_exporter.sources.server_log.messages.catalogue import Message


class Event(NamedTuple):
    """A counted event.

    `value` is one of `catalogue.SERVER_TIMEOUT_KINDS` for a `timeout`, one of
    `catalogue.REFUSAL_REASONS` for `refused`, `opened` or `closed` for a `session`.
    """

    family: Literal["timeout", "refused", "session"]
    value: str
    ends_session: bool = False
    """Whether this is the end of a session that was logged as opened and logs no other end.

    It was logged as `connection authorized` and refused afterwards (`InitPostgres`, postinit.c).
    """


OPENED = Event("session", "opened")
CLOSED = Event("session", "closed")

Tally = Counter[tuple[Event, str | None]]
"""Number of events by database, None where it is unknown."""

_TIMEOUTS = ("statement", "lock", "idle_in_transaction", "idle_session", "transaction")
_BY_MEANING = {
    **{kind: Event("timeout", kind) for kind in _TIMEOUTS},
    "authentication_timeout": Event("timeout", "authentication"),
    "too_many_connections": Event("refused", "too_many_connections"),
    "reserved": Event("refused", "too_many_connections", ends_session=True),
    "role_limit": Event("refused", "role_limit", ends_session=True),
    "database_limit": Event("refused", "database_limit", ends_session=True),
    "authentication": Event("refused", "authentication"),
    "role": Event("refused", "authentication", ends_session=True),
    "other": Event("refused", "other"),
    "database": Event("refused", "other", ends_session=True),
}
# SQLSTATEs that decide alone. Those of a refusal count only if they end the session (FATAL).
_BY_CODE = {
    b"25P03": _BY_MEANING["idle_in_transaction"],
    b"25P04": _BY_MEANING["transaction"],
    b"57P05": _BY_MEANING["idle_session"],
    b"28P01": _BY_MEANING["authentication"],
    b"57P03": _BY_MEANING["other"],
    b"0A000": _BY_MEANING["other"],
    b"3D000": _BY_MEANING["database"],
    b"42501": _BY_MEANING["database"],
    b"55000": _BY_MEANING["database"],
}
# SQLSTATEs for which the message decides: between which meanings, and the event otherwise.
AMBIGUOUS: Mapping[bytes, tuple[tuple[str, ...], Event | None]] = {
    b"57014": (("statement", "authentication_timeout"), None),
    b"55P03": (("lock",), None),
    b"53300": (("role_limit", "database_limit", "reserved"), _BY_MEANING["too_many_connections"]),
    b"28000": (("role",), _BY_MEANING["authentication"]),
}


class Classifier:
    """Recognises an error by its SQLSTATE or, without one, by its message."""

    def __init__(self, messages: Iterable[Message]) -> None:
        found: dict[str, list[Message]] = {}
        for message in messages:
            found.setdefault(message.meaning, []).append(message)
        self._patterns = {
            meaning: re.compile(b"|".join(one.pattern for one in found.get(meaning, ())))
            for meaning in _BY_MEANING
        }

    def event(self, fatal: bool, code: bytes | None, message: bytes) -> Event | None:
        """The event; None if the error is not counted.

        `message` is its first line. It is ignored if there is a code that is not in `AMBIGUOUS`.
        """
        if code is None:
            event = self._by_message(message, _BY_MEANING)
        elif code in AMBIGUOUS:
            meanings, otherwise = AMBIGUOUS[code]
            event = self._by_message(message, meanings) or otherwise
        else:
            event = _BY_CODE.get(code)
        if event is not None and event.family == "refused" and not fatal:
            return None
        return event

    def database(self, message: bytes) -> bytes | None:
        """The database named in the first line of the message about a refusal, if it is one."""
        for meaning in ("database_limit", "database"):
            found = self._patterns[meaning].fullmatch(message)
            if found is not None:
                return next((one for one in found.groups() if one is not None), None)
        return None

    def _by_message(self, message: bytes, meanings: Iterable[str]) -> Event | None:
        for meaning in meanings:
            if self._patterns[meaning].fullmatch(message):
                return _BY_MEANING[meaning]
        return None
