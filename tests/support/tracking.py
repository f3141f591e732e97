"""A tracker with a clock of its own, and what is checked out of it."""

from __future__ import annotations

from collections.abc import Callable

from pg_pool_exporter.client.sites import Site, calling_site
from pg_pool_exporter.client.tracker import Tracker


class Connection:
    """What is checked out; may be part of a cycle."""

    def __init__(self) -> None:
        self.other: Connection | None = None


class Clock:
    """Seconds that pass only when reported to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pool:
    def getconn(self) -> Site:
        return calling_site()


HERE = Pool().getconn()


def tracker(clock: Callable[[], float], *, limit: float = 5, leak_after: float = 60) -> Tracker:
    return Tracker(limit=limit, leak_after=leak_after, clock=clock)
