"""Leaked connections of a pool, by kind of evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pg_pool_exporter.analysis.correlate.sessions import SILENT
from pg_pool_exporter.analysis.evidence.lasting import RecentEvidence
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.model import PoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLeak:
    """Leaked connections of a pool, by kind of evidence."""

    dropped: float
    """Slots lost by dropping a connection without returning it."""
    overdue: float
    """Checkouts over the leak threshold."""
    unexplained: float
    """Overdue ones that no session that works explains."""
    unexplained_ago: float = 0.0
    """Seconds since none did; 0: now."""
    proven: float
    """Checked out and silent, as both sides prove."""
    estimated: float
    """Checked out and silent, as Little's law estimates."""

    @property
    def unreturned(self) -> float:
        """Those that still have a session."""
        return max(self.unexplained, self.proven, self.estimated)

    @property
    def total(self) -> float:
        """Connections that the pool has lost or that are not returned."""
        return self.dropped + self.unreturned

    @property
    def is_certain(self) -> bool:
        """Whether there is proof."""
        return bool(self.dropped or self.proven)


def pool_leak(
    app: AppView | None,
    long_statement: float,
    leak_after: float,
    active: float,
    dropped: float,
    overdue: float,
    processes: Iterable[PoolId],
) -> PoolLeak:
    """The leaked connections of a pool whose `processes` have these pools.

    `app`: its application on its server, where known. `active` connections are checked out,
    `dropped` ones lost by dropping, `overdue` ones over `leak_after`. Seconds.
    """
    proven = estimated = 0.0
    recent = RecentEvidence() if app is None else app.recent_evidence
    if recent.unexplained:
        found = recent.unexplained_in
        estimated = min(recent.unexplained, sum(found.get(key, 0.0) for key in processes))
    if app is not None and recent.unreturned:
        # An application's pools on one server share their sessions: the others may
        # hold as many of the silent ones as they have checked out.
        of_others = app.checked_out - (active - dropped)
        proven = max(0.0, recent.unreturned - of_others)
    return PoolLeak(
        dropped=dropped,
        overdue=overdue,
        unexplained=_unexplained(app, long_statement, leak_after, overdue),
        proven=proven,
        estimated=estimated,
    )


def _unexplained(
    app: AppView | None, long_statement: float, leak_after: float, overdue: float
) -> float:
    """Overdue checkouts that no session that works explains.

    One works that runs a statement, waits for a lock, or is in a transaction whose statements
    follow each other. Without session data every overdue checkout counts. With it: upper bound =
    silent sessions + missing ones; lower bound = overdue - sessions that are not silent. Work that
    ended after the pool was read still explains its checkout. A server that does not answer
    explains them all: its clients wait for it.
    """
    if not overdue or app is None or app.evidence.is_partial:
        return overdue
    sessions = app.sessions
    if sessions is None or sessions.hidden:
        return 0.0 if sessions is None else overdue
    working = max(
        one.working(longer_than=long_statement, silent_for=leak_after) for one in app.recent_polls
    )
    silent = sessions.count(*SILENT, longer_than=leak_after)
    explained = sessions.sessions - silent
    return max(0.0, overdue - explained, min(overdue - working, silent + app.lost_sessions_now))
