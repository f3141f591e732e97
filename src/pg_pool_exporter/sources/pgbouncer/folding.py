"""Bounds the number of names of a bouncer's pools, clients, databases and users, over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import (
    BouncerDatabase,
    BouncerPool,
    BouncerPoolKey,
    BouncerUser,
    ClientGroup,
)
from pg_pool_exporter.sources.pgbouncer.clients import merged
from pg_pool_exporter.sources.pgbouncer.pools import together

FOLDED = BouncerPoolKey(OTHER, OTHER)
NOT_READ = "unknown"
"""The application of clients that are not read."""
MOST_DATABASES = 1000
"""Most databases whose counters are shown, and most users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The contents of one poll, before or after folding."""

    pools: Mapping[BouncerPoolKey, BouncerPool]
    databases: Mapping[str, BouncerDatabase]
    users: Mapping[str, BouncerUser]
    folded: int = 0
    """Pools and groups of clients folded, and databases and users left out."""


class _ClientKey(NamedTuple):
    pool: BouncerPoolKey
    application: str


class BouncerFolding:
    """At most `most_pools` pools have a name of their own at any time; the others come together
    under `FOLDED`. So do groups of clients by pool and application over `most_groups`, with their
    pool's name. Databases over `MOST_DATABASES` are left out: counters can't be folded. So are
    users over as many: each has a limit of its own.
    """

    def __init__(self, most_pools: int, most_groups: int) -> None:
        self._pools = NameLimiter[BouncerPoolKey](most_pools)
        self._groups = NameLimiter[_ClientKey](most_groups)
        self._databases = NameLimiter[str](MOST_DATABASES)
        self._users = NameLimiter[str](MOST_DATABASES)
        self._lock = Lock()

    def fold(self, all_: Shown, now: float) -> Shown:
        """The folded contents of one poll, taken at `now` (seconds on a clock that never goes
        back).

        Thread-safe: the thread of a cancelled poll may still run.
        """
        with self._lock:
            return self._fold(all_, now)

    def _fold(self, all_: Shown, now: float) -> Shown:
        sizes = {key: _size(pool) for key, pool in all_.pools.items() if key != FOLDED}
        named = self._pools.choose(sizes, now)
        pools = {key: pool for key, pool in all_.pools.items() if key in named}
        rest = [pool for key, pool in all_.pools.items() if key not in named]
        if rest:
            pools[FOLDED] = together(rest)
        chosen = self._databases.choose(dict.fromkeys(all_.databases, 0.0), now)
        databases = {name: one for name, one in all_.databases.items() if name in chosen}
        their = self._users.choose(
            {name: one.clients or 0 for name, one in all_.users.items()}, now
        )
        users = {name: one for name, one in all_.users.items() if name in their}
        left_out = len(all_.databases) - len(databases) + len(all_.users) - len(users)
        shown, folded = self._with_applications(pools, now)
        return Shown(
            pools=shown, databases=databases, users=users, folded=len(rest) + left_out + folded
        )

    def _with_applications(
        self, pools: Mapping[BouncerPoolKey, BouncerPool], now: float
    ) -> tuple[Mapping[BouncerPoolKey, BouncerPool], int]:
        groups = grouped(
            (_ClientKey(key, origin.application), group)
            for key, pool in pools.items()
            for origin, group in pool.origins.items()
        )
        sizes = {
            key: sum(sum(group.counts.values()) for group in each)
            for key, each in groups.items()
            if key.application != OTHER
        }
        named = self._groups.choose(sizes, now)
        by_name: dict[BouncerPoolKey, dict[str, list[ClientGroup]]] = {}
        for client, each in groups.items():
            name = client.application if client in named else OTHER
            by_name.setdefault(client.pool, {}).setdefault(name, []).extend(each)
        shown = {
            key: replace(pool, applications=_applications(pool, by_name.get(key, {})))
            for key, pool in pools.items()
        }
        return shown, len(groups.keys() - named)


def _applications(
    pool: BouncerPool, groups: Mapping[str, list[ClientGroup]]
) -> Mapping[str, ClientGroup]:
    if not pool.clients_read and not pool.origins:
        return {NOT_READ: ClientGroup(counts=pool.clients)} if pool.clients else {}
    return {name: merged(each) for name, each in groups.items()}


def _size(pool: BouncerPool) -> float:
    return sum(pool.connections.values()) + sum(pool.clients.values())
