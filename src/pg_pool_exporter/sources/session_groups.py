"""Rows of sessions to groups, with a bounded number of names over time."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.catalogue import BACKEND_STATES, OTHER
from pg_pool_exporter.model import SessionGroup, SessionKey, StateSample

FOLDED = SessionKey(OTHER, OTHER, OTHER)
KEEP_SECONDS = 600.0
"""How long a group keeps its name after it was last among the biggest."""

_STATES = frozenset(BACKEND_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """The sessions of one database, role, application and state.

    Ages are in seconds; None where the server does not tell.
    """

    database: str
    user: str
    application: str
    state: str
    sessions: int
    oldest_state: float | None
    oldest_backend: float | None
    oldest_transaction: float | None
    waiting: int
    oldest_waiting: float | None
    blocking: int


class Folded(NamedTuple):
    """Groups by name, all others together under `FOLDED`, and how many these are."""

    groups: Mapping[SessionKey, SessionGroup]
    folded: int


class SessionGroups:
    """Decides from poll to poll which groups of sessions have a name of their own.

    At most `limit` groups have one at any time, besides those of the `protected` applications,
    which always have. The biggest get the places that are free; a group keeps its place until it
    has not been among the biggest for `KEEP_SECONDS`, present or not. So names are bounded over
    time too, not only in one poll.
    """

    def __init__(self, limit: int, protected: Collection[str] = ()) -> None:
        self._limit = limit
        self._protected = frozenset(protected)
        self._last_among_biggest: dict[SessionKey, float] = {}

    def fold(self, rows: Iterable[SessionRow], now: float) -> Folded:
        """The groups of one poll, taken at `now` (seconds on any clock that never goes back).

        No session is lost: the sum over all groups is that of the rows.
        """
        by_key: dict[SessionKey, list[SessionRow]] = {}
        for row in rows:
            key = SessionKey(row.database, row.user, row.application)
            by_key.setdefault(key, []).append(row)
        named = self._named(by_key, now)
        groups = {key: _group(by_key[key]) for key in by_key.keys() & named}
        rest = by_key.keys() - named
        if rest:
            groups[FOLDED] = _group(row for key in rest for row in by_key[key])
        return Folded(groups, len(rest))

    def _named(self, by_key: Mapping[SessionKey, list[SessionRow]], now: float) -> set[SessionKey]:
        protected = {key for key in by_key if key.application in self._protected}
        candidates = by_key.keys() - protected - {FOLDED}
        # Equal sizes are ordered by name, so that the cut does not move without a reason.
        biggest = heapq.nsmallest(
            self._limit, candidates, lambda key: (-sum(row.sessions for row in by_key[key]), key)
        )
        seen = self._last_among_biggest
        for key in biggest:
            if key in seen:
                seen[key] = now
        for key in [key for key, last in seen.items() if now - last >= KEEP_SECONDS]:
            del seen[key]
        newcomers = [key for key in biggest if key not in seen]
        seen.update(dict.fromkeys(newcomers[: self._limit - len(seen)], now))
        return protected | seen.keys()


def _group(rows: Iterable[SessionRow]) -> SessionGroup:
    """Many rows as one group: counts add, ages take the maximum."""
    states: dict[str, StateSample] = {}
    oldest_backend: float | None = None
    oldest_transaction: float | None = None
    oldest_waiting: float | None = None
    waiting = blocking = 0
    for row in rows:
        state = row.state if row.state in _STATES else "unknown"
        sessions, oldest = states.get(state, StateSample(0, None))
        states[state] = StateSample(sessions + row.sessions, _older(oldest, row.oldest_state))
        oldest_backend = _older(oldest_backend, row.oldest_backend)
        oldest_transaction = _older(oldest_transaction, row.oldest_transaction)
        oldest_waiting = _older(oldest_waiting, row.oldest_waiting)
        waiting += row.waiting
        blocking += row.blocking
    return SessionGroup(
        states=states,
        oldest_backend=oldest_backend,
        oldest_transaction=oldest_transaction,
        waiting=waiting,
        oldest_waiting=oldest_waiting,
        blocking=blocking,
    )


def _older(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
