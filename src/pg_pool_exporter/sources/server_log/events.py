"""What an error in the log means: a time-out, a refused connection, or nothing to us."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pg_pool_exporter.sources.server_log.phrases import Text


class Event(NamedTuple):
    """What happened. Of a `timeout` the value is one of `catalogue.SERVER_TIMEOUT_KINDS`, of what
    was `refused` one of `catalogue.REFUSAL_REASONS`, of a `session` `opened` or `closed`.
    """

    family: Literal["timeout", "refused", "session"]
    value: str
    ends_session: bool = False
    """Whether a session was logged as opened before, and its end is not logged otherwise: it was
    let in (`connection authorized`) and refused all the same (`InitPostgres` in postinit.c).
    """


OPENED = Event("session", "opened")
CLOSED = Event("session", "closed")

Tally = Counter[tuple[Event, bytes | None]]
"""How often each event was seen in each database: its name as the log has it, or None."""

_TIMEOUTS = ("statement", "lock", "idle_in_transaction", "idle_session", "transaction")
_BY_USE = {
    **{use: Event("timeout", use) for use in _TIMEOUTS},
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
# SQLSTATEs that mean one thing whatever the message is. Those of a refusal mean it only when they
# end the session (FATAL).
_BY_CODE = {
    b"25P03": _BY_USE["idle_in_transaction"],
    b"25P04": _BY_USE["transaction"],
    b"57P05": _BY_USE["idle_session"],
    b"28P01": _BY_USE["authentication"],
    b"57P03": _BY_USE["other"],
    b"0A000": _BY_USE["other"],
    b"3D000": _BY_USE["database"],
    b"42501": _BY_USE["database"],
    b"55000": _BY_USE["database"],
}
# Those for which the message decides: what it can decide on, and what all others are.
AMBIGUOUS: Mapping[bytes, tuple[tuple[str, ...], Event | None]] = {
    b"57014": (("statement", "authentication_timeout"), None),
    b"55P03": (("lock",), None),
    b"53300": (("role_limit", "database_limit", "reserved"), _BY_USE["too_many_connections"]),
    b"28000": (("role",), _BY_USE["authentication"]),
}


class Classifier:
    """Tells what an error means by its SQLSTATE, or, where there is none, by its message."""

    def __init__(self, texts: Iterable[Text]) -> None:
        by_use: dict[str, list[Text]] = {}
        for text in texts:
            by_use.setdefault(text.use, []).append(text)
        self._patterns = {
            use: re.compile(b"|".join(text.pattern for text in by_use.get(use, ())))
            for use in _BY_USE
        }

    def event(self, fatal: bool, code: bytes | None, message: bytes) -> Event | None:
        """What an error is. `message` is its first line, whole; of no interest when
        there is a code that is not in `AMBIGUOUS`.
        """
        if code is None:
            event = self._by_message(message, _BY_USE)
        elif code in AMBIGUOUS:
            uses, otherwise = AMBIGUOUS[code]
            event = self._by_message(message, uses) or otherwise
        else:
            event = _BY_CODE.get(code)
        if event is not None and event.family == "refused" and not fatal:
            return None
        return event

    def _by_message(self, message: bytes, uses: Iterable[str]) -> Event | None:
        for use in uses:
            if self._patterns[use].fullmatch(message):
                return _BY_USE[use]
        return None
