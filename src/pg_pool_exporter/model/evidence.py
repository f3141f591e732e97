"""Evidence of both sides together, of an application and its server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.model.identity import PoolId


@dataclass(frozen=True, slots=True)
class LeakEvidence:
    """Of one application on one server. None: unknown now."""

    unreturned: float | None = None
    """Lower bound of the connections that were checked out and silent during the threshold."""
    unreturned_at: Mapping[str, float] = field(default_factory=dict)
    """The same by the IP address of their sessions; empty where that is unknown."""
    suspected: float | None = None
    """An early hint, no proof."""
    missing: float | None = None
    """Lower bound of the connections that the pools count and the server does not have."""
    unexplained: float | None = None
    """Estimated number of leaked connections."""
    unexplained_in: Mapping[PoolId, float] = field(default_factory=dict)
    """The same by process and pool; without those of which nothing is known."""
    is_partial: bool = False
    """Whether connections of the pools have no client at the bouncers that are read: others may
    have them. Then nothing is known."""
