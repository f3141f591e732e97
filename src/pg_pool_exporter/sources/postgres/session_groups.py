"""Merges sessions into groups for metrics, with a bounded number of names over time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped, oldest, summed, total
from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import ClientKey, SessionGroup, SessionKey

FOLDED = SessionKey(OTHER, OTHER, OTHER)
PROTECTED_GROUPS = 20
"""Most groups of one protected application that have a name of their own."""


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
        self._places = NameLimiter[SessionKey](limit)
        self._protected = {
            application: NameLimiter[SessionKey](PROTECTED_GROUPS) for application in protected
        }

    def fold(self, sessions: Mapping[ClientKey, SessionGroup], now: float) -> Folded:
        """The groups of one poll, taken at `now` (seconds on any clock that never goes back).

        No session is lost: the sum over all groups is that of `sessions`.
        """
        by_key = grouped((client.sessions, group) for client, group in sessions.items())
        named = self._named(by_key, now)
        merged: dict[SessionKey, list[SessionGroup]] = {}
        for key, groups in by_key.items():
            merged.setdefault(key if key in named else self._folded(key), []).extend(groups)
        return Folded(
            {key: merge(groups) for key, groups in merged.items()}, len(by_key.keys() - named)
        )

    def _folded(self, key: SessionKey) -> SessionKey:
        """The group that this one is folded into."""
        return FOLDED._replace(application=key.application) if self._protects(key) else FOLDED

    def _protects(self, key: SessionKey) -> bool:
        return key.application in self._protected

    def _named(
        self, by_key: Mapping[SessionKey, list[SessionGroup]], now: float
    ) -> set[SessionKey]:
        sizes = {
            key: sum(group.sessions for group in groups)
            for key, groups in by_key.items()
            if key != self._folded(key)
        }
        named = {
            *self._places.choose(
                {key: size for key, size in sizes.items() if not self._protects(key)}, now
            )
        }
        for application, places in self._protected.items():
            named |= places.choose(
                {key: size for key, size in sizes.items() if key.application == application}, now
            )
        return named


def merge(groups: Collection[SessionGroup]) -> SessionGroup:
    """Several groups as one: counts add, ages take the maximum.

    A count that is unknown for one of them is unknown; an age, or the lower bound of those that
    block, only when it is for all.
    """
    if len(groups) == 1:
        return next(iter(groups))
    ages = grouped(pair for group in groups for pair in group.ages.items())
    blocking = [group.blocking for group in groups if group.blocking is not None]
    transactions = grouped(pair for group in groups for pair in group.transactions.items())
    return SessionGroup(
        ages={state: tuple(sorted(chain(*each), reverse=True)) for state, each in ages.items()},
        hidden=summed(pair for group in groups for pair in group.hidden.items()),
        transactions={state: tuple(chain(*each)) for state, each in transactions.items()},
        writers=total(group.writers for group in groups),
        oldest_snapshot=oldest(group.oldest_snapshot for group in groups),
        oldest_backend=oldest(group.oldest_backend for group in groups),
        oldest_transaction=oldest(group.oldest_transaction for group in groups),
        waiting=total(group.waiting for group in groups),
        oldest_waiting=oldest(group.oldest_waiting for group in groups),
        blocking=sum(blocking) if blocking else None,
    )
