"""How many connections bouncers accept from the pools that connect to them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pg_pool_exporter.analysis.bouncer_view import BouncerView
from pg_pool_exporter.analysis.pool_view import PoolView
from pg_pool_exporter.model import BouncerPoolKey


class Room(NamedTuple):
    """Connections that some pools share."""

    pools: list[PoolView]
    connections: float


def rooms_of_bouncers(bouncers: Iterable[BouncerView], pools: Iterable[PoolView]) -> Iterator[Room]:
    """The clients that bouncers accept; and in session mode, in which each client keeps a
    connection, the size of their own pools. Without limits that are unknown.
    """
    by_name = {one.name: one for one in bouncers}
    connected: dict[tuple[str, ...], list[PoolView]] = {}
    for pool in pools:
        if pool.bouncers and by_name.keys() >= set(pool.bouncers):
            connected.setdefault(pool.bouncers, []).append(pool)
    for names, its in connected.items():
        together = [by_name[name] for name in names]
        yield from _room(its, [one.sample.max_clients for one in together])
        sizes: dict[BouncerPoolKey, list[float | None]] = {}
        for own in (own for one in together for own in one.pools):
            if own.sample.mode == "session" and not own.is_folded:
                sizes.setdefault(own.key, []).append(own.max)
        for key, limits in sizes.items():
            yield from _room([one for one in its if _leads_to(one, key)], limits)


def _room(pools: list[PoolView], limits: list[float | None]) -> Iterator[Room]:
    known = [one for one in limits if one is not None]
    if pools and len(known) == len(limits):
        yield Room(pools, sum(known))


def _leads_to(pool: PoolView, key: BouncerPoolKey) -> bool:
    infos = [one.info for one in pool.live]
    return any(one is not None and (one.database, one.user) == key for one in infos)
