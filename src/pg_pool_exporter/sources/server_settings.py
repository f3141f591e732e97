"""What changes seldom on a server: rows of its settings to `ServerSettings`."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pg_pool_exporter.model import ServerSettings, TimeoutOverride

Row = dict[str, Any]

STATEMENTS = ("server", "settings", "database_limits", "role_limits", "overrides")
"""The statements whose results `server_settings` takes, in this order."""

# PostgreSQL's units of time; a time-out without a unit is in milliseconds.
_UNITS = {"us": 1e-6, "": 1e-3, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(us|ms|s|min|h|d|)\s*", re.ASCII)


def server_settings(
    results: list[list[Row]], known: Collection[str], limit: int
) -> tuple[ServerSettings, int]:
    """The settings, and how many entries were left out because a result had more than `limit`.

    `known` names the time-outs whose value in our session is the server's own.
    """
    (server,), settings, databases, roles, overrides = (rows[:limit] for rows in results)
    values = {row["setting"]: row["value"] for row in settings}
    times = {
        TimeoutOverride(row["setting"], row["database"], row["user"]): seconds(row["value"])
        for row in overrides
    }
    return (
        ServerSettings(
            version=server["version"],
            in_recovery=server["in_recovery"],
            max_connections=int(values["max_connections"]),
            reserved_connections=int(
                values["superuser_reserved_connections"] + values.get("reserved_connections", 0)
            ),
            database_limits={row["database"]: row["sessions"] for row in databases},
            role_limits={row["user"]: row["sessions"] for row in roles},
            timeouts={name: values[name] for name in sorted(known) if name in values},
            overrides={key: value for key, value in times.items() if value is not None},
        ),
        sum(max(0, len(rows) - limit) for rows in results),
    )


def seconds(text: str) -> float | None:
    """A time-out as written in ALTER ROLE or ALTER DATABASE, in seconds; None if it is no time."""
    found = _TIME.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else None
