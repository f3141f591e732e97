"""Errors of a bouncer's admin console, with their reasons and remedies."""

from __future__ import annotations

from pg_pool_exporter.sources.connection.errors import (
    NETWORK,
    NO_PASSWORD,
    Cause,
    Causes,
    patterns,
)

_AUTH = Cause("auth", "the bouncer refused the login: check user, password and its auth_file")
_NO_CONSOLE = Cause(
    "protocol",
    "the other side is no admin console: the dsn must name the console's database, which is called "
    "pgbouncer in PgBouncer",
)

BOUNCER = Causes(
    refused_login=_AUTH,
    # A database of a server: the bouncer passed the statement on.
    by_sqlstate={"42601": _NO_CONSOLE, "42704": _NO_CONSOLE},
    by_text=(
        *patterns(
            (r"no more connections allowed|too many (connections|clients)",
             Cause("too_many_connections", "the bouncer accepts no more clients, trying again")),
            (r"no password supplied", NO_PASSWORD),
            (r"FATAL: +not allowed",
             Cause("permission", "the user may not use the admin console: add it to stats_users")),
            (r"authentication failed|no such user|SASL|SCRAM", _AUTH),
            (r"no such database", _NO_CONSOLE),
            (r"shutting down", Cause("refused", "the bouncer is shutting down")),
        ),
        *NETWORK,
    ),
)  # fmt: skip
