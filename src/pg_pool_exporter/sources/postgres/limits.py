"""The limit that refused a login, by the server's own numbers. Pure."""

from __future__ import annotations

from pg_pool_exporter.model import ServerSample


def reached_limit(last: ServerSample, user: str, database: str) -> str | None:
    """The limit that was reached at the last reading, as a reason of a failed poll; None: none was.

    `user` and `database` are the exporter's own. SQLSTATE 53300 is the same for all limits, and the
    text is in the server's language. The role's limit first, as the server checks them.
    """
    limits = (
        ("role_limit", last.settings.role_limits.get(user), _sessions(last, user=user)),
        (
            "database_limit",
            last.settings.database_limits.get(database),
            _sessions(last, database=database),
        ),
    )
    for reason, limit, sessions in limits:
        if limit is not None and sessions + 1 >= limit:  # and the session that the exporter lost
            return reason
    settings = last.settings
    free = settings.max_connections - settings.reserved_connections - last.used
    return "too_many_connections" if free <= 0 else None


def _sessions(last: ServerSample, *, user: str = "", database: str = "") -> int:
    return sum(
        group.sessions
        for key, group in last.sessions.items()
        if key.sessions.user == user or key.sessions.database == database
    )
