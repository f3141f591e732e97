"""One record for each application on each server, with the figures of both sides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pg_pool_exporter.analysis.correlate.app_readings import longest_threshold
from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.analysis.correlate.pools import KnownPool
from pg_pool_exporter.analysis.correlate.sessions import AppSessions
from pg_pool_exporter.analysis.evidence.lasting import RecentEvidence
from pg_pool_exporter.analysis.history.fleet_history import History
from pg_pool_exporter.model import AppOnServer, LeakEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView:
    """An application as far as its pools connect to one server, or to the same bouncers."""

    key: AppOnServer
    leak_after: float
    session_names: frozenset[str]
    """The `application_name` that its sessions may have."""
    recent_polls: tuple[AppSessions, ...]
    """Its sessions when its pools were read, and since; the latest last. Empty: unknown now."""
    evidence: LeakEvidence
    """As it is sound now."""
    recent_evidence: RecentEvidence
    """Without its swings, for the verdicts."""
    lost_sessions: float
    """Lower bound of the connections that its pools counted during the whole threshold, that were
    not dropped, and that had no session."""
    lost_sessions_now: float
    """The same at the last polls."""
    checked_out: float
    """Connections of its pools, without those lost by dropping."""
    disturbed: bool
    """Whether its server did not answer, now or in the last minutes: then requests had to wait."""
    longest_lock_wait: float
    """Seconds that one of its sessions waited for a lock in the last minutes; infinite where only
    that it lasted is known."""
    longest_bouncer_wait: float
    """Seconds that one of its clients waited for a connection of its bouncers in the last
    minutes."""
    pools: int
    """Pools of different names, in whatever processes, that lead there."""

    @property
    def sessions(self) -> AppSessions | None:
        """At the server's last poll; None when that is too old."""
        return self.recent_polls[-1] if self.recent_polls else None

    @property
    def has_no_session(self) -> bool:
        """Whether connections are checked out, and the server has no session by its name."""
        sessions = self.sessions
        return bool(self.checked_out and sessions is not None and not sessions.sessions)


def app_view(
    key: AppOnServer,
    pools: Collection[KnownPool],
    evidence: LeakEvidence,
    recent_evidence: RecentEvidence,
    correlation: Correlation,
    history: History,
    now: float,
) -> AppView:
    """The record of an application at `now` (monotonic); `pools` are all that lead there."""
    samples = [one.sample for one in pools]
    dropped = sum(sum(one.leaked_slots.values()) for one in samples)
    checked_out = sum(one.active or 0.0 for one in samples) - dropped
    connections = checked_out + sum(one.idle or 0.0 for one in samples)
    names = frozenset(one.sessions.application for one in pools if one.sessions)
    recent = correlation.recent_polls(key, now)
    lost = max(0.0, (evidence.missing or 0.0) - dropped)
    without_session = 0.0
    if len(recent) > 1 and not key.bouncers:
        without_session = connections - max(one.sessions for one in recent)
    server = history.of_server(key.server)
    return AppView(
        key=key,
        leak_after=longest_threshold(pools),
        session_names=names,
        recent_polls=recent,
        evidence=evidence,
        recent_evidence=recent_evidence,
        lost_sessions=lost,
        lost_sessions_now=max(lost, without_session),
        checked_out=checked_out,
        disturbed=not recent or server.was_away(),
        longest_lock_wait=server.longest_lock_wait(names),
        longest_bouncer_wait=history.longest_bouncer_wait(key.bouncers, names),
        pools=len({one.sample.key.pool for one in pools}),
    )
