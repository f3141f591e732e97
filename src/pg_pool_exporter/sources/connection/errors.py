"""Why a connection or a query failed, told apart from what libpq and the other side say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg

from pg_pool_exporter.sources.base import PollError


class Cause(NamedTuple):
    """A reason of `catalogue.POLL_FAILURE_REASONS`, and what to tell."""

    reason: str
    advice: str


class Causes(NamedTuple):
    """The errors that one kind of server has. The first pattern that is found counts.

    While connecting there is no SQLSTATE, only text.
    """

    refused_login: Cause
    by_sqlstate: Mapping[str, Cause]
    by_text: Sequence[tuple[re.Pattern[str], Cause]]


def patterns(*pairs: tuple[str, Cause]) -> tuple[tuple[re.Pattern[str], Cause], ...]:
    """Regular expressions for texts of errors, and what each stands for."""
    return tuple((re.compile(pattern), cause) for pattern, cause in pairs)


_AUTH = Cause("auth", "the server refused the login: check user, password and pg_hba.conf")
_FULL = Cause(
    "too_many_connections",
    "no connection slot is left, trying again; from PostgreSQL 16 on, reserved_connections and "
    "GRANT pg_use_reserved_connections keep one free for the exporter",
)
_LIMIT = Cause(
    "too_many_connections",
    "the CONNECTION LIMIT of the role or of the database is reached, trying again",
)
NO_PASSWORD = Cause("auth", "the server asks for a password, and none is configured")
_PERMISSION = Cause(
    "permission", "a right is missing: GRANT pg_monitor, and CONNECT on the database"
)
_NO_DATABASE = Cause("other", "the database does not exist or accepts no connections")
_NOT_READY = Cause("refused", "the server is starting up, shutting down or recovering")
_LOST = Cause("protocol", "the connection was lost, or what answers is not PostgreSQL")

_BY_SQLSTATE = {
    "28000": _AUTH,
    "28P01": _AUTH,
    "3D000": _NO_DATABASE,
    "42501": _PERMISSION,
    "53300": _FULL,
    "55000": _NO_DATABASE,
    "55P03": Cause("timeout", "a lock on a system catalogue was not given in time"),
    "57014": Cause("timeout", "the server did not finish the queries in time and cancelled them"),
    "57P01": Cause("refused", "an administrator ended the session, or the server is shutting down"),
    "57P02": _NOT_READY,
    "57P03": _NOT_READY,
    "57P04": _NO_DATABASE,
    "57P05": Cause("other", "the server ended the session because it was idle"),
}

# While connecting, libpq gives no SQLSTATE, only text. libpq's own is English here, because Python
# leaves LC_MESSAGES alone; the server's is translated when its lc_messages says so, and is then
# told apart only as far as `PGconn.needs_password` goes. Several addresses give several texts in
# one: the most telling come first.
_BY_TEXT = patterns(
    (r"too many connections for (role|database)", _LIMIT),
    ((r"too many clients already|remaining connection slots are reserved"
      r"|no more connections allowed"), _FULL),
    (r"no password supplied", NO_PASSWORD),
    ((r"authentication failed|no pg_hba\.conf entry|pg_hba\.conf rejects"
      r"|role .* does not exist|role .* is not permitted to log in"
      r"|server requested .* authentication|SCRAM|no such user"), _AUTH),
    (r"permission denied for database", _PERMISSION),
    (r"database .* (does not exist|is not currently accepting connections)|no such database",
     _NO_DATABASE),
    (r"the database system is", _NOT_READY),
)  # fmt: skip
NETWORK = patterns(
    (r"failed to resolve host|could not translate host name",
     Cause("refused", "the host name is not known, or its name server does not answer")),
    (r"Connection refused",
     Cause("refused", "nothing listens there: is the server up, are host and port right?")),
    (r"on socket .* failed: (No such file|Permission denied)",
     Cause("refused", "no such socket, or no right to use it: is the server up on this host?")),
    (r"No route to host|Network is unreachable|Host is down",
     Cause("refused", "the network has no way to the host")),
    (r"[Tt]imed out|timeout expired", Cause("timeout", "the host does not answer")),
    ((r"closed the connection|invalid response|expected authentication request"
      r"|Connection reset|EOF detected|lost synchronization|protocol"), _LOST),
)  # fmt: skip
"""On the way to any of them."""
POSTGRES = Causes(_AUTH, _BY_SQLSTATE, (*_BY_TEXT, *NETWORK))
_MOST_TEXT = 200


def explain(error: psycopg.Error, where: str, causes: Causes = POSTGRES) -> PollError:
    """The failure for the log: what happened at `where`, and what to do.

    What is not known is shown as it came: its first line, cut, and without the password, which a
    server that asked for it could send back.
    """
    cause = _cause(error, causes)
    if cause is None:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        if error.pgconn is not None and error.pgconn.password:
            text = text.replace(error.pgconn.password.decode(errors="replace"), "***")
        cause = Cause("other", "".join(filter(str.isprintable, text))[:_MOST_TEXT])
    return PollError(cause.reason, f"{where}: {cause.advice}")


def _cause(error: psycopg.Error, causes: Causes) -> Cause | None:
    if error.sqlstate is not None:
        return causes.by_sqlstate.get(error.sqlstate)
    text = str(error)
    for pattern, cause in causes.by_text:
        if pattern.search(text):
            return cause
    if error.pgconn is not None and error.pgconn.needs_password:
        return causes.refused_login
    return None
