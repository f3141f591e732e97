"""Answers of an admin console: rows, read by the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = Mapping[str, str | None]
Rows: TypeAlias = list[Row]

# PgBouncer pads some numbers.
_NUMBER = re.compile(r" *\d{1,20}(?:\.\d{1,20})? *", re.ASCII)
_SIGN = float(1 << 63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The rows by SHOW command; None: the console does not know it."""

    console: str
    """Its own database, which is left out."""
    pools: Rows
    databases: Rows | None = None
    stats: Rows | None = None
    servers: Rows | None = None
    active_sockets: Rows | None = None
    users: Rows | None = None
    clients: Rows | None = None

    @property
    def rows(self) -> int:
        """Number of rows of all kinds."""
        kinds = (
            self.pools, self.databases, self.stats, self.servers, self.active_sockets, self.users,
            self.clients,
        )  # fmt: skip
        return sum(len(rows) for rows in kinds if rows is not None)


def number(row: Row, column: str) -> float | None:
    """A number that is not negative; None when there is none.

    One of 2⁶³ and more is a negative one, too, printed without its sign.
    """
    text = row.get(column)
    found = float(text) if text is not None and _NUMBER.fullmatch(text) else None
    return None if found is None or found >= _SIGN else found


def request_seconds(row: Row) -> float | None:
    """Seconds since a client's request that has no answer yet; None without one."""
    if row.get("wait") == row.get("wait_us") == "0":
        return None  # as nearly all of many clients: no need to parse it
    seconds = (number(row, "wait") or 0.0) + (number(row, "wait_us") or 0.0) * 1e-6
    return seconds or None


def value(rows: Rows | None, key: str, name: str | None, column: str) -> float | None:
    """The number in `column` of the row that has `name` under `key`; None when there is none."""
    return next((number(row, column) for row in rows or () if name and row.get(key) == name), None)


def scaled(value: float | None, unit: float) -> float | None:
    """The value in base units."""
    return None if value is None else value * unit


def limit(value: float | None) -> float | None:
    """A limit of 0 is none."""
    return value or None
