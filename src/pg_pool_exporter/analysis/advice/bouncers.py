"""How many connections bouncers accept from the pools that connect to them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.records.bouncer_view import BouncerView
from pg_pool_exporter.analysis.records.limit_chain import ClientLimit, client_limits
from pg_pool_exporter.analysis.records.pool_view import PoolView


class Room(NamedTuple):
    """Connections that some pools share."""

    pools: list[PoolView]
    connections: float


def rooms_of_bouncers(bouncers: Iterable[BouncerView], pools: Iterable[PoolView]) -> Iterator[Room]:
    """By limit of the bouncers that pools connect to; without limits that are unknown."""
    by_name = {one.name: one for one in bouncers}
    connected = grouped(
        (pool.bouncers, pool)
        for pool in pools
        if pool.bouncers and by_name.keys() >= set(pool.bouncers)
    )
    for names, its in connected.items():
        for limit in client_limits(by_name[name] for name in names):
            bounded = [pool for pool in its if _is_bounded(pool, limit)]
            if bounded:
                yield Room(bounded, limit.most)


def _is_bounded(pool: PoolView, limit: ClientLimit) -> bool:
    return any(
        one.info is not None and limit.is_of(one.info.database, one.info.user) for one in pool.live
    )
