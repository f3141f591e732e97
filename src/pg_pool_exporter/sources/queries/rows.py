"""Rows of the queries: the fields are the column aliases of the SQL, in any order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """Sessions of one database, role, application, client address and state (sessions.sql).

    Times are in seconds; None is hidden, or does not apply.
    """

    own: bool
    hidden: bool
    client: bool
    datid: int | None
    user: str
    application: str
    address: str
    state: str
    pids: list[int]
    ages: list[float | None]
    clock: float
    oldest_backend: float | None
    oldest_transaction: float | None
    waiting: int
    blockers: str | None
    """Process ids, with commas between them."""
