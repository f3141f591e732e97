"""A pool of another library's page while it is being read."""

from __future__ import annotations

from collections import defaultdict
from math import isfinite
from typing import Any

from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.pool_draft import SiteLimiters
from pg_pool_exporter.sources.pages.table import WHOLE, Member, Place


class ForeignDraft:
    """The values of one pool: of each field those of the first alias, added up."""

    __slots__ = ("_info", "_ranked", "at")

    def __init__(self, at: int, info: PoolInfo) -> None:
        self.at = at
        """Where the pool begins on its page."""
        self._info = info
        self._ranked: dict[tuple[str, Member, int], tuple[int, float]] = {}

    def put(self, place: Place, value: float) -> None:
        """Add a value of the page."""
        assert place.slot is not None
        slot = (place.field, place.member, place.slot.part)
        rank, before = self._ranked.get(slot, (place.slot.rank, 0.0))
        if rank == place.slot.rank:
            self._ranked[slot] = rank, before + value
        elif rank > place.slot.rank:
            self._ranked[slot] = place.slot.rank, value

    def sample(self, key: PoolId, sites: SiteLimiters, now: float) -> tuple[PoolSample, int]:
        """The pool. Nothing is ever folded: its mappings have the keys of the format only."""
        summed: dict[tuple[str, Member], float] = defaultdict(float)
        for (field, member, _), (_, value) in self._ranked.items():
            summed[field, member] += value
        fields: dict[str, Any] = {}
        for (field, member), value in summed.items():
            if not isfinite(value):
                continue  # A maximum that is none, or more than a number can be.
            if member == WHOLE:
                fields[field] = value
            else:
                fields.setdefault(field, {})[member] = value
        return PoolSample(key=key, info=self._info, **fields), 0
