"""Evidence of leaks that outlasts moments without it.

A leaked connection stays checked out, but its evidence comes and goes: a ping makes the idle
connections of a pool look used, an estimate near its margin swings, and a statement of another
checkout may explain it for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from pg_pool_exporter.model import LeakEvidence, PoolId

# In leak thresholds. After a ping of all idle connections there is no proof for one of them.
_KEPT = 2.0


class LastingBound:
    """A lower bound of leaked connections."""

    __slots__ = ("_at", "_bound")

    def __init__(self) -> None:
        self._bound = 0.0
        self._at = -inf

    def add(self, now: float, bound: float, *, most: float, leak_after: float) -> float:
        """The bound at `now`; where it is 0, the last one, which is now at most `most`."""
        if bound or now - self._at > _KEPT * leak_after:
            self._bound, self._at = bound, now
        else:
            self._bound = min(self._bound, most)
        return self._bound


class LastingEvidence:
    """The evidence about one application on one server, for the verdicts.

    The metrics show what is sound at the moment.
    """

    def __init__(self) -> None:
        self._proven = LastingBound()
        self._estimated: dict[PoolId, LastingBound] = {}

    def add(
        self,
        now: float,
        evidence: LeakEvidence,
        checked_out: Mapping[PoolId, float],
        leak_after: float,
    ) -> LeakEvidence:
        """The evidence at `now`; where there is none, the last one, as far as its connections are
        still `checked_out`.
        """
        found = {
            key: self._estimated.setdefault(key, LastingBound()).add(
                now, count, most=checked_out.get(key, 0.0), leak_after=leak_after
            )
            for key, count in evidence.unexplained_in.items()
        }
        self._estimated = {key: self._estimated[key] for key in found}
        proven = evidence.unreturned
        if proven is not None:
            most = sum(checked_out.values())
            proven = self._proven.add(now, proven, most=most, leak_after=leak_after)
        if proven == evidence.unreturned and found == evidence.unexplained_in:
            return evidence
        return replace(
            evidence,
            unreturned=proven,
            unreturned_at=evidence.unreturned_at if proven == evidence.unreturned else {},
            unexplained=sum(found.values()) if found else None,
            unexplained_in=found,
        )
