"""Connection strings of PostgreSQL: what the exporter accepts.

No message repeats a connection string or a part of it: it can hold a password, and in a mistyped
one any part can be a piece of the password.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

_MAX_LENGTH = 4096
# Parameters that the exporter sets for its own session.
_RESERVED = (
    "application_name", "client_encoding", "connect_timeout", "fallback_application_name",
    "replication",
)  # fmt: skip

_FORM = "a connection string, like postgresql://user@host:5432/database"


def check_dsn(dsn: str) -> None:
    """Check a connection string: a URI, or `key=value` pairs, as libpq reads them.

    Raises `ValueError`, whose message repeats nothing of it.
    """
    if not dsn.strip():
        raise ValueError(f"must be {_FORM}; it is empty")
    # libpq ends the string at a NUL.
    if len(dsn) > _MAX_LENGTH or "\0" in dsn:
        raise ValueError(f"must have at most {_MAX_LENGTH} characters, and no NUL")
    _check_at_signs(dsn)
    try:
        parameters = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise ValueError(f"must be {_FORM}{_nearest_parameter(str(error))}") from None
    if "," in f"{parameters.get('host', '')}{parameters.get('hostaddr', '')}":
        raise ValueError("must name one host: give each its own entry")
    _check_host(str(parameters.get("host", "")))
    _check_port(parameters.get("port"))
    own = [name for name in _RESERVED if name in parameters]
    if own:
        raise ValueError(f"must not set {', '.join(own)}: the exporter sets it itself")


def has_password(dsn: str) -> bool:
    """Whether a valid `dsn` holds a password."""
    return bool(conninfo_to_dict(dsn).get("password"))


def _check_at_signs(dsn: str) -> None:
    # libpq ends the password at the first @ or /: what is left of the password becomes a part of
    # the host or the database, and would be shown as such.
    _, uri, rest = dsn.partition("://")
    if not uri:
        return
    authority, _, path = rest.partition("/")
    if authority.count("@") > 1 or "@" in path.partition("?")[0]:
        raise ValueError(
            "must have the special characters of the password percent-encoded (@ as %40, / as "
            "%2F); password_file needs no encoding"
        )


def _check_host(host: str) -> None:
    # A host that begins with @ is a unix socket in Linux's abstract namespace.
    if "@" in host[1:]:
        raise ValueError("must have a host without @")


def _check_port(port: object) -> None:
    if port is None:
        return
    text = str(port)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError("must have a port from 1 to 65535")


def _nearest_parameter(message: str) -> str:
    """A hint when libpq met a parameter that it doesn't know: the known one that is nearest."""
    name = re.search(r'"([^"]{1,64})"', message)
    if name is None or ("option" not in message and "parameter" not in message):
        return ""
    known = [option.keyword.decode() for option in pq.Conninfo.parse(b"")]
    near = get_close_matches(name[1], known, n=1, cutoff=0.75)
    return f"; did you mean the parameter {near[0]}?" if near else "; it has an unknown parameter"
