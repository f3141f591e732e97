"""Evidence of leaks that outlasts its swings.

A leaked connection stays checked out, but its evidence comes and goes: a ping makes the idle
connections of a pool look used, and an estimate near its margin swings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from pg_pool_exporter.model import LeakEvidence, PoolId

# In leak thresholds. After a ping of all idle connections there is no proof for one of them.
_KEPT = 2.0


class LastingEvidence:
    """The evidence about one application on one server, for the verdicts.

    The metrics show what is sound at the moment.
    """

    def __init__(self) -> None:
        self._proven = _Lasting()
        self._estimated: dict[PoolId, _Lasting] = {}

    def add(
        self,
        now: float,
        evidence: LeakEvidence,
        checked_out: Mapping[PoolId, float],
        leak_after: float,
    ) -> LeakEvidence:
        """The evidence at `now`, or that of some time before about more connections, as far as
        they are still `checked_out`.
        """
        keep = _KEPT * leak_after
        found = {
            key: self._estimated.setdefault(key, _Lasting()).add(
                now, count, checked_out.get(key, 0.0), keep
            )
            for key, count in evidence.unexplained_in.items()
        }
        self._estimated = {key: self._estimated[key] for key in found}
        proven = evidence.unreturned
        if proven is not None:
            proven = self._proven.add(now, proven, sum(checked_out.values()), keep)
        if proven == evidence.unreturned and found == evidence.unexplained_in:
            return evidence
        return replace(
            evidence,
            unreturned=proven,
            unreturned_at=evidence.unreturned_at if proven == evidence.unreturned else {},
            unexplained=sum(found.values()) if found else None,
            unexplained_in=found,
        )


class _Lasting:
    """A lower bound."""

    __slots__ = ("_at", "_bound")

    def __init__(self) -> None:
        self._bound = 0.0
        self._at = -inf

    def add(self, now: float, bound: float, most: float, keep: float) -> float:
        """The bound at `now`, or the largest of the last `keep` seconds, at most `most`."""
        kept = min(self._bound, most) if now - self._at <= keep else 0.0
        if bound >= kept:
            kept, self._at = bound, now
        self._bound = kept
        return kept
