"""Write `sources/server_log/messages/messages.json` from PostgreSQL's message catalogues.

    python tools/log_messages.py VERSION=DIRECTORY ... > .../server_log/messages/messages.json

A DIRECTORY holds LANGUAGE/LC_MESSAGES/postgres-*.mo of one version, as in Debian's packages (for
example 15=/usr/share/locale). The English texts are the catalogues' own keys. Of a text that
versions translate differently all are kept.
"""

from __future__ import annotations

import gettext
import json
import sys
from collections.abc import Iterator
from pathlib import Path

# Meanings, and their texts as in the sources of PostgreSQL 15 to 18.
TEXTS = {
    "LOG": ["LOG"],
    "ERROR": ["ERROR"],
    "FATAL": ["FATAL"],
    "severity": ["PANIC", "WARNING", "NOTICE", "INFO", "DEBUG"],
    "label": [
        "DETAIL:  ",
        "HINT:  ",
        "QUERY:  ",
        "CONTEXT:  ",
        "STATEMENT:  ",
        "LOCATION:  ",
        "BACKTRACE:  ",
    ],
    "unknown": ["[unknown]"],
    "opened": ["connection authorized: user=%s", "replication connection authorized: user=%s"],
    "opened_database": [" database=%s"],
    "opened_end": [
        " application_name=%s",
        " SSL enabled (protocol=%s, cipher=%s, bits=%d)",
        " GSS (authenticated=%s, encrypted=%s, principal=%s)",
        " GSS (authenticated=%s, encrypted=%s)",
        " GSS (authenticated=%s, encrypted=%s, delegated_credentials=%s, principal=%s)",
        " GSS (authenticated=%s, encrypted=%s, delegated_credentials=%s)",
    ],
    "closed": [
        "disconnection: session time: %d:%02d:%02d.%03d user=%s database=%s host=%s%s%s",
    ],
    "statement": ["canceling statement due to statement timeout"],
    "lock": ["canceling statement due to lock timeout"],
    "idle_in_transaction": ["terminating connection due to idle-in-transaction timeout"],
    "idle_session": ["terminating connection due to idle-session timeout"],
    "transaction": ["terminating connection due to transaction timeout"],
    "authentication_timeout": ["canceling authentication due to timeout"],
    "too_many_connections": [
        "sorry, too many clients already",
        "number of requested standby connections exceeds max_wal_senders (currently %d)",
        'number of requested standby connections exceeds "max_wal_senders" (currently %d)',
    ],
    "reserved": [
        "remaining connection slots are reserved for non-replication superuser connections",
        "remaining connection slots are reserved for roles with the %s attribute",
        'remaining connection slots are reserved for roles with privileges of the "%s" role',
    ],
    "role_limit": ['too many connections for role "%s"'],
    "database_limit": ['too many connections for database "%s"'],
    "authentication": [
        'authentication failed for user "%s": host rejected',
        'authentication failed for user "%s": invalid authentication method',
        '"trust" authentication failed for user "%s"',
        'Ident authentication failed for user "%s"',
        'Peer authentication failed for user "%s"',
        'password authentication failed for user "%s"',
        'GSSAPI authentication failed for user "%s"',
        'SSPI authentication failed for user "%s"',
        'PAM authentication failed for user "%s"',
        'BSD authentication failed for user "%s"',
        'LDAP authentication failed for user "%s"',
        'certificate authentication failed for user "%s"',
        'RADIUS authentication failed for user "%s"',
        'OAuth bearer authentication failed for user "%s"',
        "connection requires a valid client certificate",
        'pg_hba.conf rejects connection for host "%s", user "%s", database "%s", %s',
        'pg_hba.conf rejects replication connection for host "%s", user "%s", %s',
        'no pg_hba.conf entry for host "%s", user "%s", database "%s", %s',
        'no pg_hba.conf entry for replication connection from host "%s", user "%s", %s',
    ],
    "role": [
        'role "%s" does not exist',
        'role "%s" is not permitted to log in',
    ],
    "other": [
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is in recovery mode",
        "the database system is not accepting connections",
        "the database system is not yet accepting connections",
    ],
    "database": [
        'database "%s" does not exist',
        'database "%s" is not currently accepting connections',
        'permission denied for database "%s"',
    ],
}


def english() -> dict[str, list[str]]:
    """The texts in English."""
    return {name: list(texts) for name, texts in TEXTS.items()}


def translations(path: Path) -> Iterator[tuple[str, str]]:
    """Meanings and translations from one catalogue."""
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    for name, texts in TEXTS.items():
        for text in texts:
            translated = catalogue.gettext(text)
            if translated != text:
                yield name, translated


def main() -> None:
    """Read the catalogues and print the data."""
    sources = dict(argument.split("=", 1) for argument in sys.argv[1:])
    languages: dict[str, dict[str, list[str]]] = {"en": english()}
    for version, directory in sources.items():
        pattern = f"*/LC_MESSAGES/postgres-{version}.mo"
        for path in sorted(Path(directory).glob(pattern)):
            found = languages.setdefault(path.parts[-3], {})
            for name, text in translations(path):
                if text not in found.setdefault(name, []):
                    found[name].append(text)
    data = {"versions": sorted(sources), "languages": dict(sorted(languages.items()))}
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
