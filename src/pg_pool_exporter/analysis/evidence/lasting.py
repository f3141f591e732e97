"""Evidence of leaks that outlasts moments without it.

A leaked connection stays checked out, but its evidence comes and goes: a ping makes the idle
connections of a pool look used, an estimate near its margin swings, and a statement of another
checkout may explain it for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from pg_pool_exporter.model import LeakEvidence, PoolId

# In leak thresholds. After a ping of all idle connections there is no proof for one of them.
_KEPT = 2.0
_KEPT_SECONDS = 300.0


class LastingBound:
    """A lower bound of leaked connections."""

    __slots__ = ("_at", "_bound")

    def __init__(self) -> None:
        self._bound = 0.0
        self._at = -inf

    def add(self, now: float, bound: float, *, most: float, leak_after: float) -> float:
        """The bound at `now`; where it is 0, the last one, if that is not too old, and at most
        `most`: connections that are checked out, and whose sessions are silent.
        """
        if bound or now - self._at > min(_KEPT * leak_after, _KEPT_SECONDS):
            self._bound, self._at = bound, now
        else:
            self._bound = min(self._bound, most)
        return self._bound

    def ago(self, now: float) -> float:
        """Seconds since there was evidence; 0 where nothing is kept."""
        return now - self._at if self._bound else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentEvidence:
    """Of one application on one server: what is known now, or was a short time ago and may still
    be so. The metrics show `LeakEvidence`, which is sound now.
    """

    unreturned: float = 0.0
    """Lower bound of the connections that were checked out and silent during the threshold."""
    unreturned_at: Mapping[str, float] = field(default_factory=dict)
    """The same by the IP address of their sessions; empty where that is unknown."""
    unreturned_ago: float = 0.0
    """Seconds since that was proven; 0: now."""
    unexplained: float = 0.0
    """Estimated number of leaked connections."""
    unexplained_in: Mapping[PoolId, float] = field(default_factory=dict)
    """The same by process and pool."""
    unexplained_ago: float = 0.0
    """Seconds since the oldest of these estimates; 0: now."""


class LastingEvidence:
    """Remembers the evidence about one application on one server."""

    def __init__(self) -> None:
        self._proven = LastingBound()
        self._estimated: dict[PoolId, LastingBound] = {}

    def add(
        self,
        now: float,
        evidence: LeakEvidence,
        checked_out: Mapping[PoolId, float],
        silent: float,
        leak_after: float,
    ) -> RecentEvidence:
        """The evidence at `now`. Where there is none, the last one, as far as its connections are
        still `checked_out`, and this number of sessions `silent` for the leak threshold.
        """
        found = {
            key: self._estimated.setdefault(key, LastingBound()).add(
                now, count, most=min(checked_out.get(key, 0.0), silent), leak_after=leak_after
            )
            for key, count in evidence.unexplained_in.items()
        }
        self._estimated = {key: self._estimated[key] for key in found}
        unreturned = unreturned_ago = 0.0
        if evidence.unreturned is not None:
            most = min(sum(checked_out.values()), silent)
            unreturned = self._proven.add(
                now, evidence.unreturned, most=most, leak_after=leak_after
            )
            unreturned_ago = self._proven.ago(now)
        return RecentEvidence(
            unreturned=unreturned,
            unreturned_at={} if unreturned_ago else evidence.unreturned_at,
            unreturned_ago=unreturned_ago,
            unexplained=min(sum(found.values()), silent),
            unexplained_in=found,
            unexplained_ago=max((one.ago(now) for one in self._estimated.values()), default=0.0),
        )
