"""Maps errors of the driver to reasons, by SQLSTATE or by the text of libpq and the server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import psycopg

from pg_pool_exporter.redaction import HIDDEN
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.results import AnswerError


class Cause(NamedTuple):
    """One of `catalogue.POLL_FAILURE_REASONS`, and what happened and what to do."""

    reason: str
    advice: str


class Causes(NamedTuple):
    """The errors that one kind of server has. The first pattern that matches counts.

    While connecting there is no SQLSTATE, only text. Patterns match within one line, and their work
    is linear: `explain` passes them at most `_MOST_READ` characters.
    """

    refused_login: Cause
    by_sqlstate: Mapping[str, Cause]
    by_text: Sequence[tuple[re.Pattern[str], Cause]]


def patterns(*pairs: tuple[str, Cause]) -> tuple[tuple[re.Pattern[str], Cause], ...]:
    """Regular expressions for texts of errors, each with its cause."""
    return tuple((re.compile(pattern), cause) for pattern, cause in pairs)


_AUTH = Cause("auth", "the server refused the login: check user, password and pg_hba.conf")
_PASSWORD = Cause(
    "auth",
    "the server refused the login: wrong password, or the role has none or does not exist; only "
    "the server's log says which",
)
_NO_ROLE = Cause("auth", "the server refused the login: the role does not exist")
_NO_LOGIN = Cause("auth", "the server refused the login: the role needs ALTER ROLE … LOGIN")
_NO_ENTRY = Cause(
    "auth",
    "the server refused the login: pg_hba.conf has no line that allows this user, database, host "
    "and encryption",
)
_METHOD = Cause(
    "auth",
    "the login failed: the server requests an authentication method that require_auth in the dsn, "
    "or the installed libpq, does not allow",
)
_KERBEROS = Cause(
    "auth",
    "the login failed: the server requests Kerberos, which needs require_auth=gss in the dsn",
)
_FULL = Cause(
    "too_many_connections",
    "no connection slot is left, trying again; from PostgreSQL 16 on, reserved_connections and "
    "GRANT pg_use_reserved_connections keep one free for the exporter",
)
_ROLE_LIMIT = Cause(
    "role_limit",
    "the server has slots, but the CONNECTION LIMIT of the exporter's role is reached, trying "
    "again: ALTER ROLE … CONNECTION LIMIT raises it",
)
_DATABASE_LIMIT = Cause(
    "database_limit",
    "the server has slots, but the CONNECTION LIMIT of the database is reached, trying again: name "
    "another database in the dsn, or ALTER DATABASE … CONNECTION LIMIT raises it",
)
NO_PASSWORD = Cause("auth", "the server requires a password, and none is configured")
_PERMISSION = Cause(
    "permission", "a right is missing: GRANT pg_monitor, and CONNECT on the database"
)
_NO_DATABASE = Cause(
    "auth", "the server refused the login: the database does not exist or accepts no connections"
)
_NOT_READY = Cause("refused", "the server is starting up, shutting down or recovering")
_LOST = Cause("protocol", "the connection was lost, or the other side is not PostgreSQL")

_TOO_MANY = "53300"
_BY_SQLSTATE = {
    "28000": _AUTH,
    "28P01": _AUTH,
    "3D000": _NO_DATABASE,
    "42501": _PERMISSION,
    _TOO_MANY: _FULL,
    "55000": _NO_DATABASE,
    "55P03": Cause("timeout", "a system catalogue is locked, and lock_timeout expired"),
    "57014": Cause("timeout", "the server cancelled the queries: statement_timeout expired"),
    "57P01": Cause("refused", "an administrator ended the session, or the server is shutting down"),
    "57P02": _NOT_READY,
    "57P03": _NOT_READY,
    "57P04": _NO_DATABASE,
    "57P05": Cause("other", "the server ended the session because it was idle"),
}

# While connecting, libpq has no SQLSTATE, only text. libpq's own is English here, because Python
# leaves LC_MESSAGES alone. The server's is translated when its lc_messages is: then only
# `PGconn.needs_password` is known. Several addresses make several texts in one: the patterns that
# say most come first.
_BY_TEXT = patterns(
    (r"too many connections for role", _ROLE_LIMIT),
    (r"too many connections for database", _DATABASE_LIMIT),
    ((r"too many clients already|remaining connection slots are reserved"
      r"|no more connections allowed"), _FULL),
    (r"no password supplied", NO_PASSWORD),
    (r"password authentication failed", _PASSWORD),
    (r'role "[^"\n]{0,300}" does not exist', _NO_ROLE),
    (r'role "[^"\n]{0,300}" is not permitted to log in', _NO_LOGIN),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", _NO_ENTRY),
    (r'!sspi" failed: server requested (GSSAPI|SSPI)', _KERBEROS),
    # Ours alone (`Connector`) refuses any method that libpq does not know, too.
    (r'authentication method requirement (?!"!gss,!sspi")', _METHOD),
    (r"authentication failed|SCRAM|no such user", _AUTH),
    (r"permission denied for database", _PERMISSION),
    ((r'database "[^"\n]{0,300}" (does not exist|is not currently accepting connections)'
      r"|no such database"), _NO_DATABASE),
    (r"the database system is", _NOT_READY),
)  # fmt: skip
NETWORK = patterns(
    (r"failed to resolve host|could not translate host name",
     Cause("refused", "the host name does not resolve, or its name server does not answer")),
    (r"Connection refused",
     Cause("refused", "connection refused: is the server up, are host and port right?")),
    (r'on socket "[^"\n]{0,300}" failed: (No such file|Permission denied)',
     Cause("refused", "no socket there, or no right to use it: is the server up on this host?")),
    (r"No route to host|Network is unreachable|Host is down",
     Cause("refused", "no network route to the host")),
    (r"[Tt]imed out|timeout expired", Cause("timeout", "the host does not answer")),
    (r"does not support SSL",
     Cause("protocol", "the other side has no TLS: enable it there, or choose another sslmode")),
    (r"certificate verify failed|root certificate file|does not match host name",
     Cause("protocol", "the other side's certificate is not valid: check sslrootcert in the dsn, "
           "and that the certificate names the host")),
    (r"SSL error: (?!unexpected eof)",  # that is a lost connection
     Cause("protocol", "TLS handshake failed: does the other side require a client certificate?")),
    ((r"closed the connection|invalid response|expected authentication request"
      r"|Connection reset|EOF detected|unexpected eof|lost synchronization|protocol"), _LOST),
)  # fmt: skip
"""On the way to any of them."""
POSTGRES = Causes(_AUTH, _BY_SQLSTATE, (*_BY_TEXT, *NETWORK))
# Limits of the server, its databases and its roles share one SQLSTATE; so do all of a bouncer's.
_AMBIGUOUS_SQLSTATES = {_TOO_MANY, "08P01"}
# "FATAL:  " in any language: libpq's own texts have no second space.
_FROM_SERVER = re.compile(r":  ")
_MOST_READ = 4096
_MOST_TEXT = 200


def explain(
    error: psycopg.Error, where: str, causes: Causes = POSTGRES, secrets: Iterable[str] = ()
) -> PollError:
    """The failure for the log: what happened at `where`, and what to do.

    An unknown text is shown as it came, by `shown`: the other side can send back the password.
    """
    if isinstance(error, AnswerError):
        return PollError("protocol", f"{where}: not an answer to the query: {error}")
    cause = _cause(error, causes)
    if cause is None:
        text = str(error) or type(error).__name__
        if error.pgconn is not None and error.pgconn.password:
            secrets = (*secrets, error.pgconn.password.decode(errors="replace"))
        cause = Cause("other", shown(text, secrets))
    return PollError(cause.reason, f"{where}: {cause.advice}")


def may_be_limit(error: psycopg.Error) -> bool:
    """Whether a limit may have refused the login, independent of the language.

    While connecting there is no SQLSTATE: then anything that the server itself sent may be one.
    """
    if error.sqlstate is not None or error.pgconn is None:
        return error.sqlstate == _TOO_MANY
    return _FROM_SERVER.search(str(error)[:_MOST_READ]) is not None


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """The first line of a text from outside: printable, without the secrets, and cut."""
    line = _printable(text[:_MOST_READ].splitlines()[0] if text.strip() else "")
    for secret in sorted(map(_printable, secrets), key=len, reverse=True):
        if not secret:
            continue
        if len(text) > _MOST_READ:
            line = line[: -len(secret)]  # the cut could have left a part of it at the end
        line = line.replace(secret, HIDDEN)
    return line[:_MOST_TEXT]


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text))


def _cause(error: psycopg.Error, causes: Causes) -> Cause | None:
    text = str(error)[:_MOST_READ]
    by_sqlstate = causes.by_sqlstate.get(error.sqlstate or "")
    if error.sqlstate is not None and error.sqlstate not in _AMBIGUOUS_SQLSTATES:
        return by_sqlstate
    for pattern, cause in causes.by_text:
        if pattern.search(text):
            return cause
    if error.pgconn is not None and error.pgconn.needs_password:
        return causes.refused_login
    return by_sqlstate
