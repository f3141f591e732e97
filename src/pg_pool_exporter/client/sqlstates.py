"""Which time-out of the server's ended a statement, by the error that the driver raises.

By SQLSTATE, which needs no language, as far as it goes:

- 57014 is a statement time-out and a cancellation on request alike, told apart by the message
  alone. It is counted where the message is the English one, that is where the session's
  `lc_messages` is English; other languages' are not guessed.
- 55P03 is a lock time-out and `NOWAIT` alike, told apart by the server's function that raised it.
"""

from __future__ import annotations

from typing import Any

_BY_STATE = {
    "25P03": "idle_in_transaction",
    "25P04": "transaction",
    "57P05": "idle_session",
}
_CANCELED = "57014"
_STATEMENT_TIMEOUT = "canceling statement due to statement timeout"
_LOCK_NOT_AVAILABLE = "55P03"
# What the server does when it finds, in the midst of something else, that a time is up.
_INTERRUPTED = "ProcessInterrupts"

_OF_STATEMENTS = ("statement", "lock")
KINDS_BY_DRIVER = {
    # These don't pass on what the server says as it ends a session.
    "asyncpg": _OF_STATEMENTS,
    "psycopg2": _OF_STATEMENTS,
    "psycopg": (*_OF_STATEMENTS, *_BY_STATE.values()),
}
"""Which of the time-outs an application can see, and so be told of, by the name of its driver."""


def timeout_kind(error: Any) -> str | None:
    """The kind of time-out; None for any other error. Of psycopg, psycopg2 and asyncpg."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state == _CANCELED:
        return "statement" if _message(error).startswith(_STATEMENT_TIMEOUT) else None
    if state == _LOCK_NOT_AVAILABLE:
        return "lock" if _function(error) == _INTERRUPTED else None
    return _BY_STATE.get(state or "")


def _message(error: Any) -> str:
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        return diagnostics.message_primary or ""
    return str(_told_by_asyncpg(error))


def _function(error: Any) -> str:
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        return diagnostics.source_function or ""
    return getattr(_told_by_asyncpg(error), "server_source_function", None) or ""


def _told_by_asyncpg(error: Any) -> Any:
    """The error of asyncpg itself, where SQLAlchemy has made one of its own of it."""
    return error if hasattr(error, "server_source_function") else error.__cause__
