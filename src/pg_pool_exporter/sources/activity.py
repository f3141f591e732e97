"""Rows of sessions.sql, which are cheap for the server, to rows that can be grouped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pg_pool_exporter.sources.session_groups import SessionRow

Row = dict[str, Any]


class Activity(NamedTuple):
    """The client sessions of others, and how many are the exporter's own."""

    rows: list[SessionRow]
    own: int


def read_activity(rows: Iterable[Row], databases: Mapping[int, str]) -> Activity:
    """Names the databases (by their oid in `databases`) and finds the sessions that block others.

    Blockers are looked for among the clients; whoever waits for them may be anything.
    """
    rows = list(rows)
    blockers = {pid for row in rows for pid in (row["blockers"] or "").split(",") if pid}
    clients = [row for row in rows if row["client"]]
    return Activity(
        rows=[
            SessionRow(
                database=databases.get(row["datid"], "unknown"),
                user=row["user"],
                application=row["application"],
                state=row["state"],
                sessions=len(row["pids"]),
                oldest_state=_age(row["oldest_state"]),
                oldest_backend=_age(row["oldest_backend"]),
                oldest_transaction=_age(row["oldest_transaction"]),
                waiting=row["waiting"],
                oldest_waiting=_age(row["oldest_waiting"]),
                blocking=sum(str(pid) in blockers for pid in row["pids"]),
            )
            for row in clients
            if not row["own"]
        ],
        own=sum(len(row["pids"]) for row in clients if row["own"]),
    )


def _age(seconds: float | None) -> float | None:
    """Never negative, though the server's clock may be set back."""
    return None if seconds is None else max(0.0, seconds)
