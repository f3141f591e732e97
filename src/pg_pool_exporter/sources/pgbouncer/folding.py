"""Bounds the number of names of a bouncer's pools and databases, over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import BouncerDatabase, BouncerPool, BouncerPoolKey, BouncerUser
from pg_pool_exporter.sources.pgbouncer.pools import together

FOLDED = BouncerPoolKey(OTHER, OTHER)
MOST_DATABASES = 1000
"""Most databases whose counters are shown, and most users."""


class Folded(NamedTuple):
    """What is shown, and the number of pools folded and databases and users left out."""

    pools: Mapping[BouncerPoolKey, BouncerPool]
    databases: Mapping[str, BouncerDatabase]
    users: Mapping[str, BouncerUser]
    folded: int


class BouncerFolding:
    """At most `limit` pools have a name of their own at any time; the others come together under
    `FOLDED`. Databases over `MOST_DATABASES` are left out: counters can't be folded. So are users
    over as many: each has a limit of its own.
    """

    def __init__(self, limit: int) -> None:
        self._pools = NameLimiter[BouncerPoolKey](limit)
        self._databases = NameLimiter[str](MOST_DATABASES)
        self._users = NameLimiter[str](MOST_DATABASES)

    def fold(
        self,
        pools: Mapping[BouncerPoolKey, BouncerPool],
        databases: Mapping[str, BouncerDatabase],
        users: Mapping[str, BouncerUser],
        now: float,
    ) -> Folded:
        """What is shown of one poll, taken at `now` (seconds on a clock that never goes back)."""
        sizes = {key: _size(pool) for key, pool in pools.items() if key != FOLDED}
        named = self._pools.choose(sizes, now)
        shown = {key: pool for key, pool in pools.items() if key in named}
        rest = [pool for key, pool in pools.items() if key not in named]
        if rest:
            shown[FOLDED] = together(rest)
        chosen = self._databases.choose(dict.fromkeys(databases, 0.0), now)
        kept = {name: counters for name, counters in databases.items() if name in chosen}
        their = self._users.choose({name: user.clients or 0.0 for name, user in users.items()}, now)
        kept_users = {name: user for name, user in users.items() if name in their}
        left_out = len(databases) - len(kept) + len(users) - len(kept_users)
        return Folded(shown, kept, kept_users, len(rest) + left_out)


def _size(pool: BouncerPool) -> float:
    return sum(pool.connections.values()) + sum(pool.clients.values())
