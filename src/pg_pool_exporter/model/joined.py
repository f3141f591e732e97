"""Both sides together: what neither sees alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.model.identity import AppOnServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What both sides tell together. What can't be told soundly now is not in the mappings."""

    unreturned: Mapping[AppOnServer, float] = field(default_factory=dict)
    held_at: Mapping[AppOnServer, Mapping[str, float]] = field(default_factory=dict)
    """Of the unreturned ones, by the IP address that their sessions come from; only where all of
    them are known so."""
    suspects: Mapping[AppOnServer, float] = field(default_factory=dict)
    missing: Mapping[AppOnServer, float] = field(default_factory=dict)
    demand: Mapping[str, float] = field(default_factory=dict)
    """By server."""
