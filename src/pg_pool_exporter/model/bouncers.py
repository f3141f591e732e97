"""PgBouncer: its pools, which belong to a database and a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class BouncerPoolKey(NamedTuple):
    """Identity of a bouncer's pool."""

    database: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerPool:
    """One pool of a bouncer at one poll. A limit of None is unlimited or unknown."""

    connections: Mapping[str, float] = field(default_factory=dict)
    """Server connections by `catalogue.BOUNCER_SERVER_STATES`; unknown states are missing."""
    clients: Mapping[str, float] = field(default_factory=dict)
    """By `catalogue.BOUNCER_CLIENT_STATES`; unknown states are missing."""
    oldest_waiting: float | None = None
    oldest_idle: float | None = None
    size: float | None = None
    reserve_size: float | None = None
    min_size: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerDatabase:
    """One database of a bouncer at one poll."""

    transactions: float | None = None
    queries: float | None = None
    wait: float | None = None
    """Total seconds that clients have waited for a connection."""
    connections: float | None = None
    max_connections: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerSample:
    """One bouncer at one poll."""

    version: str
    pools: Mapping[BouncerPoolKey, BouncerPool]
    databases: Mapping[str, BouncerDatabase]
    max_clients: float | None = None
    clients: float | None = None
