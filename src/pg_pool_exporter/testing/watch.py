"""The checked-out connections of this process's pools, compared between two moments of a test."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pg_pool_exporter.client.autoinstrument import instrument_made, leave_made
from pg_pool_exporter.client.libraries import LIBRARIES
from pg_pool_exporter.client.options import PoolOptions
from pg_pool_exporter.client.process import PROCESS
from pg_pool_exporter.client.sites import describe
from pg_pool_exporter.client.totals import Checkout
from pg_pool_exporter.client.tracker import Tracker

_log = logging.getLogger("pg_pool_exporter.testing")

UNKNOWN_SITE = "unknown line"


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that is checked out."""

    checkout: Checkout
    pool: str

    @property
    def key(self) -> int:
        """Identifies the checkout. Not the checkout itself: it is equal to any other one of the
        same connection.
        """
        return id(self.checkout)

    @property
    def site(self) -> str:
        """The line that checked it out: `file:line function`."""
        return describe(self.checkout.site)

    def is_open(self) -> bool:
        """Whether it is still checked out, and the connection still exists."""
        return self.checkout.ended is None and self.checkout() is not None

    def was_dropped(self) -> bool:
        """Whether it has ended without a return by the application."""
        return hasattr(self.checkout, "lost")


@dataclass(frozen=True, slots=True)
class Dropped:
    """By pool and line: connections that were collected while they were checked out."""

    counts: Counter[tuple[str, str]]

    def since(self, before: Dropped, held: Iterable[Held]) -> Counter[tuple[str, str]]:
        """Those checked out, and dropped, after `before`; `held` were checked out by then."""
        counts = self.counts - before.counts
        for one in held:
            if one.was_dropped():
                named = (one.pool, one.site)
                counts[named if counts[named] > 0 else (one.pool, UNKNOWN_SITE)] -= 1
        return +counts


class Watch:
    """The instrumented pools of this process, of now and from now on.

    Keeps the figures of a collected pool, as its connections may have been dropped with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: list[tuple[str, Tracker]] = []
        PROCESS.registry.watch(self._add)

    def instrument(self, pool: Any) -> Tracker:
        """Measure a pool, without serving it anywhere. Returns its tracker.

        Raises `TypeError` for what is no pool that can be measured.
        """
        return PROCESS.registry.add(pool, PoolOptions())

    def instrument_all(self) -> None:
        """Measure each pool of the process: those there are, and those made until `close`."""
        instrument_made(self._instrument_if_possible, by=self)
        for pool in _pools_in_memory():
            self._instrument_if_possible(pool)

    def close(self) -> None:
        """Take no more pools."""
        leave_made(by=self)
        PROCESS.registry.unwatch(self._add)

    def held(self, trackers: Collection[Tracker] | None = None) -> list[Held]:
        """The connections that are checked out now, but those declared long-lived.

        Of the given trackers, or of all pools.
        """
        held = [
            Held(checkout, name)
            for name, tracker in self._of(trackers)
            for checkout in tracker.checked_out()
        ]
        return [one for one in held if one.is_open()]

    def dropped(self, trackers: Collection[Tracker] | None = None) -> Dropped:
        """The connections that have been dropped so far, of the given trackers or of all pools."""
        counts: Counter[tuple[str, str]] = Counter()
        for name, tracker in self._of(trackers):
            for site, count in _dropped(tracker).items():
                counts[name, site] += count
        return Dropped(counts)

    def _add(self, name: str, tracker: Tracker) -> None:
        with self._lock:
            self._pools.append((name, tracker))

    def _of(self, trackers: Collection[Tracker] | None) -> Iterator[tuple[str, Tracker]]:
        with self._lock:
            pools = list(self._pools)
        return ((name, one) for name, one in pools if trackers is None or one in trackers)

    def _instrument_if_possible(self, pool: Any) -> None:
        try:
            self.instrument(pool)
        except TypeError as error:
            _log.debug("pool is not watched: %s", error)
        except Exception:  # noqa: BLE001 - it runs inside the constructor of the pool
            _log.exception("pool is not watched")


def _dropped(tracker: Tracker) -> Mapping[str, int]:
    """By line. Without a line where the pool has no limit: there a dropped one costs nothing."""
    reading = tracker.read()
    known = Counter(reading.leaked_slots)
    out = reading.active - reading.leaked
    gone = reading.acquire.count - reading.hold.count - out
    unknown = max(0, gone - known.total())
    return known + Counter(reading.reclaimed) + Counter({UNKNOWN_SITE: unknown})


def _pools_in_memory() -> list[Any]:
    """The pools that the process has made already, of all libraries that it has imported."""
    classes = tuple(
        found
        for library in LIBRARIES.values()
        for module, maker in library.makers.items()
        if (found := getattr(sys.modules.get(module), maker.partition(".")[0], None)) is not None
    )
    # By the type: `isinstance` asks an object for its class, and a lazy one is then made.
    return [one for one in gc.get_objects() if issubclass(type(one), classes)]
