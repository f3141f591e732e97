"""Divides the targets of one configuration among several exporters.

By rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
1998): each shard has a weight for a name, and the largest takes it, unless it has its fill. So no
shard needs to ask another, none has much more than its share, and one more takes its part, 1/n,
almost without moving anything between the rest. All must have the same configuration.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from pg_pool_exporter.config.models import AppConfig, Config

MAX_SHARDS = 100
MOST_OVER_SHARE = 0.05
"""By how much the largest part may be above the mean. Without a bound it is up to a fifth, at 60
names a shard."""


class Shard(NamedTuple):
    """One of `of` exporters, counted from 1."""

    number: int
    of: int


def parse_shard(text: str) -> Shard:
    """From `2/5`, the second of five. Raises `ValueError`."""
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MAX_SHARDS:
        raise ValueError(
            f"must be NUMBER/ALL, counted from 1, like 2/5 (at most {MAX_SHARDS} in all)"
        )
    return Shard(int(found[1]), int(found[2]))


def part_of(config: Config, shard: Shard) -> Config:
    """The part of the configuration that `shard` polls.

    An application goes with its server or its bouncers, so that both sides are compared in one
    place; without one, and another bouncer, by its own name.
    """
    homes = _homes(config.apps)

    def home(app: AppConfig) -> str:
        return homes[app.bouncers[0]] if app.bouncers else app.server or app.name

    names = {one.name for one in config.servers} | {home(one) for one in config.apps}
    names |= {homes.get(one.name, one.name) for one in config.pgbouncers}
    mine = {name for name, number in divided(names, shard.of).items() if number == shard.number}
    return config.model_copy(
        update={
            "servers": tuple(one for one in config.servers if one.name in mine),
            "apps": tuple(one for one in config.apps if home(one) in mine),
            "pgbouncers": tuple(
                one for one in config.pgbouncers if homes.get(one.name, one.name) in mine
            ),
        }
    )


def _homes(apps: Iterable[AppConfig]) -> dict[str, str]:
    """The bouncers that applications name, each with the first of those that stay together."""
    homes: dict[str, str] = {}
    for app in apps:
        together = {homes.get(name, name) for name in app.bouncers}
        homes.update(dict.fromkeys(app.bouncers, min(together, default="")))
        for name, former in homes.items():
            if former in together:
                homes[name] = min(together)
    return homes


def divided(names: Iterable[str], shards: int) -> dict[str, int]:
    """The number of the shard that takes each name; the order of the names has no effect."""
    ranked = {
        name: sorted(
            ((_weight(number, name), number) for number in range(1, shards + 1)), reverse=True
        )
        for name in {*names}
    }
    most = math.ceil(len(ranked) / shards * (1 + MOST_OVER_SHARE))
    taken: Counter[int] = Counter()
    divided: dict[str, int] = {}
    # The largest weight first: then only the names decide which one a full shard refuses.
    for name, ranking in sorted(ranked.items(), key=lambda one: one[1][0], reverse=True):
        number = next(number for _, number in ranking if taken[number] < most)
        taken[number] += 1
        divided[name] = number
    return divided


def _weight(number: int, name: str) -> bytes:
    return blake2b(f"{number}/{name}".encode(), digest_size=8).digest()
