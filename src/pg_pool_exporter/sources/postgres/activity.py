"""Groups the rows of sessions.sql, which are cheap for the server, by client."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import zip_longest
from typing import NamedTuple

from pg_pool_exporter.metrics.catalogue import BACKEND_STATES
from pg_pool_exporter.model import Backend, ClientKey, OpenTransaction, SessionGroup, SessionKey
from pg_pool_exporter.sources.postgres.server_clock import ServerClock
from pg_pool_exporter.sources.postgres.session_groups import merge
from pg_pool_exporter.sources.queries.rows import ActivityRow

_STATES = frozenset(BACKEND_STATES)
_MOST_ASKED = 100
"""Most waiting sessions that sessions.sql asks who blocks them."""
_SPELLING = str.maketrans(" ", "_", "()")


class Activity(NamedTuple):
    """The client sessions of others, the exporter's own process ids and the server's clock."""

    sessions: Mapping[ClientKey, SessionGroup]
    backends: Mapping[int, Backend]
    own: Set[int]
    clock: float | None
    """Seconds since the epoch; None without any row."""
    last_login: float | None
    """Age of the youngest client session, the exporter's own included, in seconds."""


def read_activity(
    rows: Iterable[ActivityRow],
    databases: Mapping[int, str],
    waits: Mapping[int, float],
    clock: ServerClock,
    lacking: Collection[str] = (),
) -> Activity:
    """Group the rows, with names for the `databases` (by oid), and find the sessions that block.

    `waits` has the seconds that sessions have waited for a lock, by process id; `clock` corrects
    all ages. Blockers are clients; what waits for them may be any process. A hidden session may
    wait for any other, so one of them makes the number of blockers unknown, as does one without a
    process id. Where not all that wait were asked, the known blockers are a lower bound, and it is
    unknown where there are none. `lacking` are columns that the server's activity does not have:
    what they are needed for is unknown, not none.
    """
    rows = list(rows)
    blockers = {pid for row in rows for pid in (row.blockers or "").split(",")}
    clients = [row for row in rows if row.client]
    all_seen = "wait_event_type" not in lacking and not any(
        row.hidden or None in row.pids for row in clients
    )
    all_asked = sum(row.waiting for row in rows) <= _MOST_ASKED

    def blocking(row: ActivityRow) -> int | None:
        found = sum(str(pid) in blockers for pid in row.pids)
        return found if all_seen and (found or all_asked) else None

    groups: dict[ClientKey, list[SessionGroup]] = {}
    for row in clients:
        if not row.own:
            database = databases.get(row.datid, "unknown") if row.datid is not None else "unknown"
            key = ClientKey(SessionKey(database, row.user, row.application), row.address)
            groups.setdefault(key, []).append(_group(row, waits, blocking(row), clock, lacking))
    return Activity(
        sessions={key: merge(each) for key, each in groups.items()},
        backends=dict(pair for row in clients if not row.own for pair in _backends(row, clock)),
        own={pid for row in clients if row.own for pid in row.pids if pid is not None},
        clock=rows[0].clock if rows else None,
        last_login=min(
            (
                clock.age(row.youngest_backend)
                for row in clients
                if row.youngest_backend is not None
            ),
            default=None,
        ),
    )


def _backends(row: ActivityRow, clock: ServerClock) -> Iterator[tuple[int, Backend]]:
    state = state_name(row.state)
    if row.hidden or state in ("disabled", "unknown"):
        return
    # Only where all have a transaction it is known whose is which.
    all_open = row.transaction_ages and len(row.transaction_ages) == len(row.pids)
    opened = row.transaction_ages or () if all_open else ()
    for pid, age, since in zip_longest(row.pids, row.ages, opened):
        if pid is not None and age is not None:
            yield (
                pid,
                Backend(
                    row.user,
                    state,
                    clock.age(age),
                    _known_age(since, clock),
                    row.application,
                    row.address,
                ),
            )


def _group(
    row: ActivityRow,
    waits: Mapping[int, float],
    blocking: int | None,
    clock: ServerClock,
    lacking: Collection[str],
) -> SessionGroup:
    state = state_name(row.state)
    hidden = row.hidden or state == "disabled" or "state" in lacking
    idle_in_transaction = state.startswith("idle_in_transaction")
    waited = [waits[pid] for pid in row.pids if pid is not None and pid in waits]
    # A session that has just begun has no state yet, and no age; elsewhere that is an unknown one.
    known = [age for age in row.ages if age is not None or state == "unknown"]
    ages = {} if hidden else {state: tuple(sorted(map(clock.age, known), reverse=True))}
    unknown = len(row.pids) if hidden else len(row.ages) - len(known)
    has_transactions = not hidden and "xact_start" not in lacking
    has_writers = not hidden and "backend_xid" not in lacking
    has_waits = not row.hidden and "wait_event_type" not in lacking
    return SessionGroup(
        ages=ages,
        hidden={state: unknown} if unknown else {},
        transactions={state: tuple(_transactions(row, clock))} if has_transactions else {},
        writers=(row.writers if idle_in_transaction else 0) if has_writers else None,
        oldest_snapshot=row.oldest_snapshot if idle_in_transaction else None,
        oldest_backend=_known_age(row.oldest_backend, clock),
        oldest_transaction=_known_age(row.oldest_transaction, clock),
        waiting=row.waiting if has_waits else None,
        oldest_waiting=_known_age(max(waited, default=None), clock),
        blocking=blocking,
    )


def _transactions(row: ActivityRow, clock: ServerClock) -> Iterator[OpenTransaction]:
    # A hostile server may send fewer of one than of the other.
    pairs = zip(row.transaction_ages or (), row.transaction_state_ages or (), strict=False)
    return (OpenTransaction(clock.age(age), clock.age(state_age)) for age, state_age in pairs)


def state_name(reported: str | None) -> str:
    """The state as `catalogue.BACKEND_STATES` spells it: `idle in transaction (aborted)` has
    underscores, and no brackets.
    """
    state = (reported or "unknown").translate(_SPELLING)
    return state if state in _STATES else "unknown"


def _known_age(seconds: float | None, clock: ServerClock) -> float | None:
    return None if seconds is None else clock.age(seconds)
