"""Rows of sessions.sql, which are cheap for the server, to rows that can be grouped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from pg_pool_exporter.model import Backends, ClientKey, SessionKey
from pg_pool_exporter.sources.postgres.session_groups import SessionRow

Row = dict[str, Any]


class Activity(NamedTuple):
    """The client sessions of others, by row and one by one, and the exporter's own process ids."""

    rows: list[SessionRow]
    own: Set[int]
    backends: Mapping[ClientKey, Backends]
    clock: float | None
    """The server's, in seconds since the epoch; None when there is no row at all."""


def read_activity(
    rows: Iterable[Row], databases: Mapping[int, str], waits: Mapping[int, float]
) -> Activity:
    """Names the databases (by their oid in `databases`) and finds the sessions that block others.

    `waits` has the seconds that sessions have waited for a lock, by process id.

    Blockers are looked for among the clients; whoever waits for them may be anything. A session
    that is hidden may wait for any other, so with one of them it is unknown who blocks.
    """
    rows = list(rows)
    blockers = {pid for row in rows for pid in (row["blockers"] or "").split(",") if pid}
    clients = [row for row in rows if row["client"]]
    all_seen = not any(row["hidden"] for row in clients)
    return Activity(
        rows=[
            SessionRow(
                database=databases.get(row["datid"], "unknown"),
                user=row["user"],
                application=row["application"],
                state=row["state"],
                sessions=len(row["pids"]),
                oldest_state=_age(
                    max((age for age in row["ages"] if age is not None), default=None)
                ),
                oldest_backend=_age(row["oldest_backend"]),
                oldest_transaction=_age(row["oldest_transaction"]),
                waiting=None if row["hidden"] else row["waiting"],
                oldest_waiting=_age(
                    max((waits[pid] for pid in row["pids"] if pid in waits), default=None)
                ),
                blocking=sum(str(pid) in blockers for pid in row["pids"]) if all_seen else None,
            )
            for row in clients
            if not row["own"]
        ],
        own={pid for row in clients if row["own"] for pid in row["pids"]},
        backends=_backends((row for row in clients if not row["own"]), databases),
        clock=rows[0]["clock"] if rows else None,
    )


def _backends(rows: Iterable[Row], databases: Mapping[int, str]) -> dict[ClientKey, Backends]:
    ages: dict[ClientKey, dict[str, list[float]]] = {}
    hidden = set()
    for row in rows:
        database = databases.get(row["datid"], "unknown")
        sessions = SessionKey(database, row["user"], row["application"])
        key = ClientKey(sessions, row["address"])
        by_state = ages.setdefault(key, {})
        if row["hidden"] or row["state"] == "disabled":
            hidden.add(key)
        else:
            # A session that has just begun has no state yet, and no age.
            by_state.setdefault(row["state"], []).extend(_age(age) or 0.0 for age in row["ages"])
    return {
        key: Backends(
            ages={state: tuple(sorted(each, reverse=True)) for state, each in by_state.items()},
            hidden=key in hidden,
        )
        for key, by_state in ages.items()
    }


def _age(seconds: float | None) -> float | None:
    """Never negative, though the server's clock may be set back."""
    return None if seconds is None else max(0.0, seconds)
