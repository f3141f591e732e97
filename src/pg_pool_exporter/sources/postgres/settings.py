"""Rows of a server's settings and limits to `ServerSettings`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pg_pool_exporter.model import ServerSettings, TimeoutOverride
from pg_pool_exporter.sources.connection.results import AnswerError
from pg_pool_exporter.sources.queries.rows import (
    DatabaseLimitRow,
    OverrideRow,
    RoleLimitRow,
    ServerRow,
    ServerStateRow,
    SettingRow,
)

# PostgreSQL's units of time; a timeout without a unit is in milliseconds.
_UNITS = {"us": 1e-6, "": 1e-3, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(
    r"\s*\+?(0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(us|ms|s|min|h|d|)\s*",
    re.ASCII,
)
# Settings that every version has, and every role may read.
_ALWAYS = {"max_connections", "superuser_reserved_connections"}
# Longest text of a timeout: more digits are no time, and cost CPU time to parse.
_MOST_TEXT = 100


class Limits(NamedTuple):
    """Rows that a role may have no right to read: then there are none."""

    databases: list[DatabaseLimitRow]
    roles: list[RoleLimitRow]
    overrides: list[OverrideRow]


def server_settings(
    server: ServerRow,
    state: ServerStateRow,
    settings: list[SettingRow],
    known: Collection[str],
    limits: Limits,
    most: int,
    begun_with: Mapping[str, str] | None = None,
) -> tuple[ServerSettings, int]:
    """The settings, and the number of entries that were left out.

    Entries over `most` of a kind are left out, and overrides that are no time. `known` names the
    timeouts whose value in our session is the server's own; what ALTER ROLE ALL has set since it
    began, with `begun_with`, does not show in it. Raises `AnswerError` without a
    setting that every server has.
    """
    values = {row.setting: row.value for row in settings if row.value is not None}
    if not values.keys() >= _ALWAYS:
        raise AnswerError("a setting that every server has is missing")
    times = {
        TimeoutOverride(row.setting, row.database, row.user): seconds(row.value)
        for row in limits.overrides[:most]
    }
    readable = {key: value for key, value in times.items() if value is not None}
    return (
        ServerSettings(
            version=server.version,
            in_recovery=state.in_recovery,
            max_connections=int(values["max_connections"]),
            reserved_connections=int(
                values["superuser_reserved_connections"] + values.get("reserved_connections", 0)
            ),
            database_limits={
                row.database: row.sessions
                for row in limits.databases[:most]
                if row.sessions is not None
            },
            role_limits={
                row.user: row.sessions for row in limits.roles[:most] if row.sessions is not None
            },
            timeouts=_timeouts(values, known, everywhere(limits), begun_with),
            overrides=readable,
            sees_all=server.sees_all,
        ),
        sum(max(0, len(rows) - most) for rows in limits) + len(times) - len(readable),
    )


def everywhere(limits: Limits) -> dict[str, str]:
    """The timeouts set for all databases and roles, as their author wrote them."""
    return {row.setting: row.value for row in limits.overrides if row.everywhere}


def _timeouts(
    values: Mapping[str, float],
    known: Collection[str],
    now: Mapping[str, str],
    begun_with: Mapping[str, str] | None,
) -> dict[str, float]:
    """Server-wide timeouts. One that was lifted since our session began is unknown: it hides the
    value of the server's files.
    """
    found: dict[str, float | None] = {
        name: values[name] for name in sorted(known) if name in values
    }
    for name in found.keys() & {*now, *(begun_with or ())}:
        if begun_with is not None and now.get(name) != begun_with.get(name):
            found[name] = seconds(now[name]) if name in now else None
    return {name: value for name, value in found.items() if value is not None}


def seconds(text: str) -> float | None:
    """A timeout as written in ALTER ROLE or ALTER DATABASE, in seconds; None if it is no time.

    Read as `parse_int` in PostgreSQL's guc.c does: hexadecimal, octal and fractions too, rounded to
    milliseconds.
    """
    found = _TIME.fullmatch(text) if len(text) <= _MOST_TEXT else None
    if found is None:
        return None
    try:
        return round(_number(found[1]) * _UNITS[found[2]] * 1000) / 1000
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float:
    """Raises `ValueError`."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text.isdigit():
        return int(text, 8 if text[0] == "0" else 10)
    return float(text)
