"""One record for each server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pg_pool_exporter.analysis.correlate.sessions import AppSessions
from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.model import ServerSample


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """A server at its last poll."""

    name: str
    sample: ServerSample
    thresholds: AllThresholds
    pools_max: float | None
    """The most connections that all pools that lead here may have; None when unknown."""
    deadlocks: Mapping[str, float]
    """In the last 15 minutes, by database; only where there were any."""
    sessions: AppSessions
    """All sessions of others."""
    waiting: int
    """Sessions that wait for a lock."""
    blocking: int
    """Sessions that others wait for."""
    oldest_waiting: float
    """Seconds of the longest wait for a lock; 0 without one."""

    @property
    def available(self) -> int:
        """Slots that an ordinary role can have."""
        return self.sample.settings.available

    @property
    def hidden_sessions(self) -> Mapping[str, int]:
        """Sessions whose state is hidden, by why: `unknown` or `disabled`."""
        hidden: Counter[str] = Counter()
        for group in self.sample.sessions.values():
            hidden.update(group.hidden)
        return hidden

    @property
    def deadlock_count(self) -> float:
        """In the last 15 minutes, in all databases."""
        return sum(self.deadlocks.values())


def server_view(
    name: str,
    sample: ServerSample,
    thresholds: AllThresholds,
    pools_max: float | None,
    deadlocks: Mapping[str, float],
) -> ServerView:
    """The record of a server."""
    groups = sample.groups.values()
    return ServerView(
        name=name,
        sample=sample,
        thresholds=thresholds,
        pools_max=pools_max,
        deadlocks=deadlocks,
        sessions=AppSessions(sample.sessions.values()),
        waiting=sum(group.waiting or 0 for group in groups),
        blocking=sum(group.blocking or 0 for group in groups),
        oldest_waiting=max((group.oldest_waiting or 0.0 for group in groups), default=0.0),
    )
