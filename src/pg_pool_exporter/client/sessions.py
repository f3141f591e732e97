"""Where a session leads, as its driver tells; and whether it failed to begin in time.

Asked of a live session: a connection string may be a callable, and what it doesn't say comes from
a service file, the environment or libpq's defaults. Nothing here sends anything to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def leads_to(connection: Any) -> Mapping[str, str]:
    """Fields of `PoolInfo` for a driver's connection; none for an unknown driver's."""
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
