"""What an error in the log means: a time-out, a refused connection, or nothing to us."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pg_pool_exporter.sources.server_log.phrases import Text


class Event(NamedTuple):
    """What happened. Of a `timeout` the value is one of `catalogue.SERVER_TIMEOUT_KINDS`, of what
    was `refused` one of `catalogue.REFUSAL_REASONS`, of a `session` `opened` or `closed`.
    """

    family: Literal["timeout", "refused", "session"]
    value: str


OPENED = Event("session", "opened")
CLOSED = Event("session", "closed")

Tally = Counter[tuple[Event, bytes | None]]
"""How often each event was seen in each database: its name as the log has it, or None."""

_TIMEOUTS = ("statement", "lock", "idle_in_transaction", "idle_session", "transaction")
_REFUSALS = ("too_many_connections", "role_limit", "database_limit", "authentication", "other")
_BY_USE = {
    **{use: Event("timeout", use) for use in _TIMEOUTS},
    "authentication_timeout": Event("timeout", "authentication"),
    **{use: Event("refused", use) for use in _REFUSALS},
}
# SQLSTATEs that mean one thing whatever the message is.
_TIMEOUT_CODES = {
    b"25P03": _BY_USE["idle_in_transaction"],
    b"25P04": _BY_USE["transaction"],
    b"57P05": _BY_USE["idle_session"],
}
# Of a session that ends with them (FATAL) before it has begun.
_REFUSAL_CODES = {
    b"28000": _BY_USE["authentication"],
    b"28P01": _BY_USE["authentication"],
    b"0A000": _BY_USE["other"],
    b"3D000": _BY_USE["other"],
    b"42501": _BY_USE["other"],
    b"55000": _BY_USE["other"],
    b"57P03": _BY_USE["other"],
}
# Those for which the message decides, and what it can decide on.
AMBIGUOUS = {
    b"57014": ("statement", "authentication_timeout"),
    b"55P03": ("lock",),
    b"53300": ("role_limit", "database_limit"),
}
_TOO_MANY = b"53300"


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
        if code in _TIMEOUT_CODES:
            return _TIMEOUT_CODES[code]
        if code is None or code in AMBIGUOUS:
            event = self._by_message(message, _BY_USE if code is None else AMBIGUOUS[code])
            if event is None and code == _TOO_MANY:
                event = _BY_USE["too_many_connections"]
        else:
            event = _REFUSAL_CODES.get(code)
        if event is not None and event.family == "refused" and not fatal:
            return None
        return event

    def _by_message(self, message: bytes, uses: Iterable[str]) -> Event | None:
        for use in uses:
            if self._patterns[use].fullmatch(message):
                return _BY_USE[use]
        return None
