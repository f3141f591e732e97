"""Statements that a server refuses: by which errors, and for how long they are left out."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import psycopg

from pg_pool_exporter.sources.queries.rows import Session

NOT_THERE = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.FeatureNotSupported,
)
"""Errors of a statement that reads what is not there, or may not be read."""
AGAIN_SECONDS = 3600.0
"""After which it is tried again: each try is an error in the server's log."""


class RefusalPeriod:
    """The time in which a refusal holds: one session, for an hour. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._session: Session | None = None
        self._since = -inf

    def begins_anew(self, session: Session) -> bool:
        """Whether all is to be tried again: in another session, or after an hour."""
        if session == self._session and self._clock() - self._since < AGAIN_SECONDS:
            return False
        self._session, self._since = session, self._clock()
        return True
