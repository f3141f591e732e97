"""Checkouts and returns of one pool: recorded without a lock, added up by whoever looks.

The hot path runs in the application's threads, in signal handlers and, where a connection is
dropped, inside the garbage collector at any point of our own code. So it takes no lock: it appends
to deques (one atomic step each) and changes a dictionary of open checkouts. `Tracker.read` and now
and then a checkout add the events up, under a lock that nobody on the hot path waits for.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from types import CodeType
from typing import TypeVar

from pg_pool_exporter.catalogue import OTHER
from pg_pool_exporter.client.sites import Site, describe
from pg_pool_exporter.client.totals import MOST_SITES, Event, Totals
from pg_pool_exporter.model import Histogram

# Events are added up in batches: small enough that the checkout which does it is late by some 50
# microseconds only, large enough that the batch's fixed cost doesn't count.
_BATCH = 128
# Only a reader that interrupts an adding-up in its own thread (from a signal handler) waits this
# long, and then does without the latest events.
_PATIENCE_SECONDS = 1.0

_T = TypeVar("_T")

# By identity: code objects are equal whatever file they are from.
_long_lived_code: dict[int, CodeType] = {}


def declare_long_lived(code: CodeType) -> None:
    """Checkouts made by this code are never overdue."""
    _long_lived_code[id(code)] = code


class Checkout(weakref.ref[object]):
    """A weak reference to a borrowed connection, with what is known of the borrowing.

    It lives until the return, or until the connection is collected: then its callback tells.
    """

    __slots__ = ("ended", "long_lived", "since", "site")

    since: float
    site: Site
    ended: bool
    long_lived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One consistent reading of a tracker. Seconds throughout; mappings are by site."""

    active: int
    oldest_active: float | None
    active_seconds: float
    saturated_seconds: float
    acquire: Histogram
    hold: Histogram
    noted: Mapping[str, int]
    leaked: int
    leaked_slots: Mapping[str, int]
    overdue: Mapping[str, int]


class Tracker:
    """Checkouts of one pool. Keeps neither the pool nor its connections alive.

    `limit` is the pool's maximum (infinity when it has none) and kept current by the adapter;
    `leak_after` is the age in seconds at which a checkout is overdue; `clock` gives seconds.
    """

    def __init__(
        self, *, limit: float, leak_after: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.limit = limit
        self.leak_after = leak_after
        self.clock = clock
        self._wake: Callable[[], None] | None = None
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Checkout] = {}
        self._events: deque[Event] = deque()
        self._dropped: deque[weakref.ref[object]] = deque()
        self._on_drop = self._dropped.append
        self._notes: deque[str] = deque()
        self._totals = Totals()

    def forked(self, wake: Callable[[], None]) -> None:
        """Start anew in a child process: a lock that nobody holds, and nothing of the parent's.

        `wake` is called by the first checkout in the child, if there ever is one.
        """
        self._start()
        self._wake = wake

    def acquired(self, connection: object, asked: float, site: Site) -> None:
        """A connection was handed out to a request that was made at `asked`."""
        now = self.clock()
        checkout = Checkout(connection, self._on_drop)
        checkout.since = now
        checkout.site = site
        checkout.ended = checkout.long_lived = False
        # This may replace the checkout of a dropped connection that had the same address: that one
        # is in `_dropped`.
        self._open[id(connection)] = checkout
        self._events.append((now, 1, now - asked))
        if len(self._events) >= _BATCH:
            self._add_up_if_free()
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake()

    def returning(self, connection: object) -> float | None:
        """A connection is about to be given back; gives the time, None when it isn't out here."""
        checkout = self._open.get(id(connection))
        # A dropped connection's checkout stays behind under an address that may be this one's.
        if checkout is None or checkout() is not connection or checkout.ended:
            return None
        now = self.clock()
        # In this order a reader may miss the checkout for a moment, but never has it twice.
        checkout.ended = True
        self._events.append((now, -1, now - checkout.since))
        self._open.pop(id(connection), None)
        return now

    def note(self, what: str) -> None:
        """Count something rare (a time-out, a new session)."""
        self._notes.append(what)
        # Where every request fails, nothing else may ever add them up.
        if len(self._notes) >= _BATCH:
            self._add_up_if_free()

    def exempt(self, connection: object) -> bool:
        """Never call this checkout overdue; False when the connection is not checked out here."""
        checkout = self._open.get(id(connection))
        if checkout is None or checkout() is not connection:
            return False
        checkout.long_lived = True
        return True

    def read(self, *, slots_lost: bool) -> Reading:
        """Add everything up and tell how the pool stands.

        `slots_lost` says that a connection which is dropped without being returned has cost its
        slot; in a pool without a limit it hasn't.
        """
        # A signal handler may fork while we have it, and in the child `_lock` is another one.
        lock = self._lock
        free = lock.acquire(timeout=_PATIENCE_SECONDS)
        try:
            checkouts = list(self._open.values())
            if free:
                self._add_up()
                self._find_leaks(count=slots_lost)
            # A dropped one stays in `_open` until its address is used again, but has ended.
            checkouts = [one for one in checkouts if not one.ended]
            now = self.clock()
            totals = self._totals
            return Reading(
                active=len(checkouts) + totals.leaked,
                oldest_active=max((now - one.since for one in checkouts), default=None),
                active_seconds=totals.active_seconds((one.since for one in checkouts), now),
                saturated_seconds=totals.saturated_seconds(now),
                acquire=totals.acquire.histogram(),
                hold=totals.hold.histogram(),
                noted=Counter(totals.noted),
                leaked=totals.leaked,
                leaked_slots=Counter(totals.leaked_slots),
                overdue=self._overdue(checkouts, now),
            )
        finally:
            if free:
                lock.release()

    def _add_up_if_free(self) -> None:
        lock = self._lock
        if lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                lock.release()

    def _add_up(self) -> None:
        # Only what is there now: other threads go on appending.
        self._totals.add(_take(self._events), self.limit)
        self._totals.noted.update(_take(self._notes))

    def _find_leaks(self, *, count: bool) -> None:
        for dropped in _take(self._dropped):
            assert isinstance(dropped, Checkout)
            if dropped.ended:
                continue
            dropped.ended = True
            if count:
                self._totals.leak(dropped.since, describe(dropped.site))
            else:
                self._totals.drop(self.clock() - dropped.since)

    def _overdue(self, checkouts: list[Checkout], now: float) -> Mapping[str, int]:
        sites = Counter(
            describe(one.site)
            for one in checkouts
            if now - one.since >= self.leak_after
            and not one.long_lived
            and id(one.site[0]) not in _long_lived_code
        )
        named = dict(sites.most_common(MOST_SITES))
        if len(named) < len(sites):
            named[OTHER] = sites.total() - sum(named.values())
        return named


def _take(queue: deque[_T]) -> list[_T]:
    """Remove what is in the queue now, in order; no more, or appending threads could keep us."""
    return [queue.popleft() for _ in range(len(queue))]
