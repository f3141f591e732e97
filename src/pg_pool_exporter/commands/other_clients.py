"""The metrics that clients in other languages cannot measure, for the documentation."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from pg_pool_exporter.metrics.catalogue import POOL_TIMEOUT_KINDS


class OtherClient(NamedTuple):
    """One kind of pool, by a client of `clients`."""

    unknown: Set[str]
    """Fields of `PoolSample`."""
    timeouts: Set[str]
    """The kinds that it counts."""


_NEVER = {"rejected", "reclaimed", "unaccounted"}
_OF_CONNECTING = {"pool", "connect"}
_OF_REQUESTS = {"requests", "waiting", "oldest_waiting", "acquire", "demand"}
_OF_SESSIONS = {"connects", "connect_errors", "lost", "oldest_idle"}
_KEEPS_DROPPED = {"leaked", "leaked_slots"}

OTHER_CLIENTS = {
    "pgxpool": OtherClient({*_NEVER, *_KEEPS_DROPPED}, {*POOL_TIMEOUT_KINDS}),
    "database/sql": OtherClient({*_NEVER, *_OF_REQUESTS, "min"}, {*POOL_TIMEOUT_KINDS} - {"pool"}),
    "pg": OtherClient({*_NEVER, *_KEEPS_DROPPED}, _OF_CONNECTING),
    "knex": OtherClient({*_NEVER, *_KEEPS_DROPPED}, _OF_CONNECTING),
    "sequelize": OtherClient({*_NEVER, *_KEEPS_DROPPED}, _OF_CONNECTING),
    "hikaricp": OtherClient({*_NEVER, *_OF_SESSIONS}, {"pool"}),
    "agroal": OtherClient({*_NEVER, *_OF_SESSIONS}, {"pool"}),
    "tomcat-jdbc": OtherClient({*_NEVER, *_OF_SESSIONS}, {"pool"}),
    "dbcp2": OtherClient({*_NEVER, *_OF_SESSIONS}, {"pool"}),
}
"""By the name of the pool library."""
