"""A driver's facts: a session's server, and the timeout that ended an attempt or a statement.

A live session is asked: a connection string may be a callable, and what it leaves out comes from a
service file, the environment or libpq's defaults. Nothing here sends anything to the server.

Timeouts of the server are recognised by SQLSTATE, which needs no language, with two exceptions:

- 57014 is a statement timeout and a cancellation on request alike; only the message distinguishes
  them. It is counted where the message is English, that is by the session's `lc_messages`.
- 55P03 is a lock timeout and `NOWAIT` alike; the server's function that raised it distinguishes
  them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_BY_STATE = {
    "25P03": "idle_in_transaction",
    "25P04": "transaction",
    "57P05": "idle_session",
}
_CANCELED = "57014"
_STATEMENT_TIMEOUT = "canceling statement due to statement timeout"
_LOCK_NOT_AVAILABLE = "55P03"
# The server's function that raises timeouts in the middle of other work.
_INTERRUPTED = "ProcessInterrupts"

_OF_STATEMENTS = ("statement", "lock")
KINDS_BY_DRIVER = {
    # asyncpg and psycopg2 don't pass on the server's message as it ends a session.
    "asyncpg": _OF_STATEMENTS,
    "psycopg2": _OF_STATEMENTS,
    "psycopg": (*_OF_STATEMENTS, *_BY_STATE.values()),
}
"""The server's timeouts that an application can see, by the name of its driver."""


def timeouts(driver: str) -> tuple[str, ...]:
    """All kinds of timeouts that are counted for pools of a driver; empty: without the server's."""
    return ("pool", "connect", *KINDS_BY_DRIVER.get(driver, ()))


def leads_to(connection: Any) -> Mapping[str, str]:
    """Fields of `PoolInfo` for a driver's connection; empty for an unknown driver's."""
    for base in type(connection).__mro__:
        ask = _DRIVERS.get(base.__module__.partition(".")[0])
        if ask is not None:
            return ask(connection)
    return {}


def is_connect_timeout(error: BaseException) -> bool:
    """Whether an attempt to connect ended with this error because it took too long.

    libpq has a text for it and no code; asyncpg raises a `TimeoutError`.
    """
    return isinstance(error, TimeoutError) or "timeout expired" in str(error)


def timeout_kind(error: Any) -> str | None:
    """The kind of server timeout; None for any other error. Of psycopg, psycopg2 and asyncpg."""
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
    return str(_asyncpg_error(error))


def _function(error: Any) -> str:
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        return diagnostics.source_function or ""
    return getattr(_asyncpg_error(error), "server_source_function", None) or ""


def _asyncpg_error(error: Any) -> Any:
    """The error of asyncpg itself, also where SQLAlchemy has made one of its own of it."""
    return error if hasattr(error, "server_source_function") else error.__cause__


def _psycopg(connection: Any) -> Mapping[str, str]:
    # Not `connection.info`: it decodes the names by the session's encoding, and fails where that
    # is SQL_ASCII.
    session = connection.pgconn
    return {
        "host": _text(session.host),
        "port": str(connection.info.port),
        "database": _text(session.db),
        "user": _text(session.user),
        "application": _text(session.parameter_status(b"application_name") or b""),
    }


def _psycopg2(connection: Any) -> Mapping[str, str]:
    info = connection.info
    return {
        "host": info.host or "",
        "port": str(info.port),
        "database": info.dbname,
        "user": info.user,
        "application": info.parameter_status("application_name") or "",
    }


def _asyncpg(connection: Any) -> Mapping[str, str]:
    address = connection._addr
    if isinstance(address, str):
        # As libpq has it: the directory, and the port at the end of the socket's name.
        path = Path(address)
        host, port = str(path.parent), path.name.rpartition(".")[2]
    else:
        host, port = address[0], str(address[1])
    return {
        "host": host,
        "port": port,
        "database": connection._params.database,
        "user": connection._params.user,
        "application": getattr(connection.get_settings(), "application_name", ""),
    }


_DRIVERS: dict[str, Callable[[Any], Mapping[str, str]]] = {
    "psycopg": _psycopg,
    "psycopg2": _psycopg2,
    "asyncpg": _asyncpg,
}


def _text(name: bytes) -> str:
    """A name as psycopg has sent it to the server."""
    return name.decode("utf-8", "replace")
