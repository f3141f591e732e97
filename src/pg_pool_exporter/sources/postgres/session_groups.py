"""Rows of sessions to groups, with a bounded number of names over time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pg_pool_exporter.metrics.catalogue import BACKEND_STATES, OTHER
from pg_pool_exporter.metrics.limiter import StickyChoice
from pg_pool_exporter.model import SessionGroup, SessionKey, StateSample
from pg_pool_exporter.sources.aggregate import oldest, total

FOLDED = SessionKey(OTHER, OTHER, OTHER)
PROTECTED_GROUPS = 20
"""Most groups of one protected application that have a name of their own."""

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
    waiting: int | None
    oldest_waiting: float | None
    blocking: int | None


class Folded(NamedTuple):
    """Groups by name, the others folded together, and how many these are."""

    groups: Mapping[SessionKey, SessionGroup]
    folded: int


class SessionGroups:
    """Decides from poll to poll which groups of sessions have a name of their own.

    At most `limit` groups have one at any time, and `PROTECTED_GROUPS` more of each of the
    `protected` applications: of those, databases and users are folded, the application never. All
    others come together under `FOLDED`.
    """

    def __init__(self, limit: int, protected: Collection[str] = ()) -> None:
        self._places = StickyChoice[SessionKey](limit)
        self._protected = {
            application: StickyChoice[SessionKey](PROTECTED_GROUPS) for application in protected
        }

    def fold(self, rows: Iterable[SessionRow], now: float) -> Folded:
        """The groups of one poll, taken at `now` (seconds on any clock that never goes back).

        No session is lost: the sum over all groups is that of the rows.
        """
        by_key: dict[SessionKey, list[SessionRow]] = {}
        for row in rows:
            key = SessionKey(row.database, row.user, row.application)
            by_key.setdefault(key, []).append(row)
        named = self._named(by_key, now)
        merged: dict[SessionKey, list[SessionRow]] = {}
        for key, its_rows in by_key.items():
            merged.setdefault(key if key in named else self._folded(key), []).extend(its_rows)
        return Folded(
            {key: _group(its_rows) for key, its_rows in merged.items()}, len(by_key.keys() - named)
        )

    def _folded(self, key: SessionKey) -> SessionKey:
        """What the group is folded into."""
        return FOLDED._replace(application=key.application) if self._protects(key) else FOLDED

    def _protects(self, key: SessionKey) -> bool:
        return key.application in self._protected

    def _named(self, by_key: Mapping[SessionKey, list[SessionRow]], now: float) -> set[SessionKey]:
        sizes = {
            key: sum(row.sessions for row in rows)
            for key, rows in by_key.items()
            if key != self._folded(key)
        }
        named = {
            *self._places.choose_biggest(
                {key: size for key, size in sizes.items() if not self._protects(key)}, now
            )
        }
        for application, places in self._protected.items():
            named |= places.choose_biggest(
                {key: size for key, size in sizes.items() if key.application == application}, now
            )
        return named


def _group(rows: Collection[SessionRow]) -> SessionGroup:
    """Many rows as one group: counts add, ages take the maximum.

    What is unknown of one of the rows makes the sum unknown, and an age only when it is of all.
    """
    states: dict[str, StateSample] = {}
    for row in rows:
        state = row.state if row.state in _STATES else "unknown"
        sessions, longest = states.get(state, StateSample(0, None))
        states[state] = StateSample(sessions + row.sessions, oldest((longest, row.oldest_state)))
    return SessionGroup(
        states=states,
        oldest_backend=oldest(row.oldest_backend for row in rows),
        oldest_transaction=oldest(row.oldest_transaction for row in rows),
        waiting=total(row.waiting for row in rows),
        oldest_waiting=oldest(row.oldest_waiting for row in rows),
        blocking=total(row.blocking for row in rows),
    )
