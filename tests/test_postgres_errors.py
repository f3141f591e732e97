"""Errors of the driver become reasons, also where only a text is at hand."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from pg_pool_exporter.metrics.catalogue import POLL_FAILURE_REASONS
from pg_pool_exporter.sources.connection.errors import explain

SEVERAL = """connection failed: connection to server at "127.0.0.1", port 5432 failed: {last}
Multiple connection attempts failed. All failures were:
- host: 'localhost', port: '5432', hostaddr: '::1': Connection refused
- host: 'localhost', port: '5432', hostaddr: '127.0.0.1': {last}"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('FATAL:  password authentication failed for user "u"', "auth"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d"', "auth"),
        ('FATAL:  role "u" is not permitted to log in', "auth"),
        ("fe_sendauth: no password supplied", "auth"),
        ("FATAL:  sorry, too many clients already", "too_many_connections"),
        ('FATAL:  too many connections for database "d"', "database_limit"),
        ('FATAL:  too many connections for role "u"', "role_limit"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
         "too_many_connections"),
        (("FATAL:  remaining connection slots are reserved for non-replication superuser "
         "connections"), "too_many_connections"),
        ('FATAL:  permission denied for database "d"', "permission"),
        ('FATAL:  database "d" does not exist', "auth"),
        ("FATAL:  the database system is starting up", "refused"),
        ("connection failed: Connection refused", "refused"),
        ("connection to server failed: Connection timed out", "timeout"),
        ("connection to server failed: No route to host", "refused"),
        ("server closed the connection unexpectedly", "protocol"),
        ("server does not support SSL, but SSL was required", "protocol"),
        ("SSL error: certificate verify failed", "protocol"),
        ("SSL error: tlsv13 alert certificate required", "protocol"),
        (SEVERAL.format(last="FATAL:  sorry, too many clients already"), "too_many_connections"),
        (SEVERAL.format(last="Connection refused"), "refused"),
    ],
)  # fmt: skip
def test_a_text_is_reported_apart(text: str, reason: str) -> None:
    assert explain(psycopg.OperationalError(text), "server main").reason == reason


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('FATAL:  password authentication failed for user "u"', "wrong password"),
        ('FATAL:  role "u" does not exist', "the role does not exist"),
        ('FATAL:  role "u" is not permitted to log in', "ALTER ROLE"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u"', "pg_hba.conf has no line"),
        ('FATAL:  pg_hba.conf rejects connection for host "10.0.0.1"', "pg_hba.conf has no line"),
        ('FATAL:  Peer authentication failed for user "u"', "pg_hba.conf"),
        (('authentication method requirement "scram-sha-256" failed: server requested a cleartext '
          "password"), "require_auth in the dsn"),
        (('authentication method requirement "!md5,!gss,!sspi" failed: server requested a hashed '
          "password"), "require_auth in the dsn"),
        (('authentication method requirement "!gss,!sspi" failed: server requested GSSAPI '
          "authentication"), "requests Kerberos, which needs require_auth=gss"),
        (('authentication method requirement "!md5,!gss,!sspi" failed: server requested SSPI '
          "authentication"), "requests Kerberos, which needs require_auth=gss"),
        ('FATAL:  database "d" does not exist', "the database does not exist"),
        # With and without TLS: two attempts, one of which has no line of its own.
        (('FATAL:  password authentication failed for user "u"\nconnection to server failed: '
          'FATAL:  no pg_hba.conf entry for host "10.0.0.1", no encryption'), "wrong password"),
    ],
)  # fmt: skip
def test_a_refused_login_says_what_was_refused(text: str, word: str) -> None:
    failed = explain(psycopg.OperationalError(text), "server main")
    assert failed.reason == "auth"
    assert word in str(failed)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("server does not support SSL, but SSL was required", "another sslmode"),
        ("SSL error: certificate verify failed", "sslrootcert"),
        ('root certificate file "/root.crt" does not exist', "sslrootcert"),
        ('server certificate for "a" does not match host name "b"', "names the host"),
        ("SSL error: tlsv13 alert certificate required", "client certificate"),
        ("SSL error: unexpected eof while reading", "connection was lost"),
        ("SSL SYSCALL error: EOF detected", "connection was lost"),
    ],
)
def test_a_tls_failure_says_what_to_check(text: str, word: str) -> None:
    assert word in str(explain(psycopg.OperationalError(text), "server main"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.QueryCanceled, "timeout"),
        (errors.LockNotAvailable, "timeout"),
        (errors.InsufficientPrivilege, "permission"),
        (errors.TooManyConnections, "too_many_connections"),
        (errors.AdminShutdown, "refused"),
        (errors.UndefinedColumn, "other"),
    ],
)
def test_an_sqlstate_needs_no_text(error: type[psycopg.Error], reason: str) -> None:
    assert explain(error("übersetzt"), "server main").reason == reason
    assert reason in POLL_FAILURE_REASONS


def test_what_is_unknown_is_one_bounded_line() -> None:
    error = psycopg.OperationalError("\x1b[2Jsurprise " + "x" * 10_000 + "\nSELECT secret")
    message = str(explain(error, "server main"))
    assert message.startswith("server main: [2Jsurprise xxx")
    assert len(message) < 300
