"""Checkouts and returns of one pool: recorded without a lock, added up by the reader.

The hot path runs in the application's threads, in signal handlers and, where a connection is
dropped, inside the garbage collector at any point of our own code. So it takes no lock: it appends
to deques (one atomic step each) and changes a dictionary of open checkouts. `Tracker.read`, and one
checkout in each batch, add the events up, under a lock that the hot path never waits for.

A signal handler may raise after any call of ours (Celery's time limit, Ctrl-C). So a checkout and a
return are recorded by statements without a call between them, and the lock is taken by `with`
alone: between its `acquire` and a `try` such an exception would leave it held forever.
"""

from __future__ import annotations

import threading
import weakref
from _weakref import _remove_dead_weakref  # type: ignore[attr-defined]  # not in the stubs
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat, starmap
from time import monotonic, sleep
from types import CodeType
from typing import Any

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.sites import Site, describe
from pg_pool_exporter.client.totals import MAX_SITES, NO_CHECKOUT, Checkout, Event, Totals
from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import Histogram

# Events are added up in batches: small enough to delay the checkout that does it by some 50
# microseconds only, large enough that the fixed cost of a batch is small.
_BATCH = 128
PATIENCE_SECONDS = 1.0
"""Longest wait of a reader that interrupts an adding-up in its own thread (a signal handler). Then
it answers without the latest events."""
_LOOK_SECONDS = 0.001

# By identity: code objects are equal whatever file they are from.
_long_lived_code: dict[int, CodeType] = {}


def declare_long_lived(code: CodeType) -> None:
    """Checkouts made by this code are never overdue."""
    _long_lived_code[id(code)] = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One consistent reading of a tracker. Seconds throughout; mappings are by site."""

    active: int
    oldest_active: float | None
    active_seconds: float
    saturated_seconds: float
    acquire: Histogram
    hold: Histogram
    demand: Histogram
    noted: Mapping[str, int]
    leaked: int
    leaked_slots: Mapping[str, int]
    reclaimed: Mapping[str, int]
    overdue: Mapping[str, int]
    long_lived: int


class Tracker:
    """Checkouts of one pool. Keeps neither the pool nor its connections alive.

    `limit` is the pool's maximum (infinity when it has none) and kept current by the adapter;
    `leak_after` is the age in seconds at which a checkout is overdue; `clock` returns seconds.
    What the library's methods call (`acquired`, `returning`, `note`) never raises a fault of ours.
    """

    def __init__(
        self, *, limit: float, leak_after: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.limit = limit
        self.unaccounted = 0
        """Slots that the library has lost: no request can have them."""
        self.leak_after = leak_after
        self.clock = clock
        self._wake: Callable[[], None] | None = None
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Checkout] = {}
        self._events: deque[Event] = deque()
        self._batch: list[Event] = []  # events that are being added up
        self._dropped: deque[weakref.ref[object]] = deque()
        self._on_drop = self._dropped.append
        self._reclaimed: deque[Site] = deque()
        self._notes: deque[str] = deque()
        self._totals = Totals(self.clock())
        self._overdue_sites = NameLimiter[str](MAX_SITES)

    @property
    def inherited(self) -> bool:
        """Whether it came over a fork, and this process has checked nothing out since."""
        return self._wake is not None

    def forked(self, wake: Callable[[], None]) -> None:
        """Start over in a child process: with a free lock, and nothing of the parent's.

        `wake` is called by the first checkout in the child, if there ever is one.
        """
        self._start()
        self._wake = wake

    def acquired(
        self,
        connection: object,
        asked: float,
        site: Site,
        holder: weakref.ref[Any] | None = None,
    ) -> None:
        """Record that a request made at `asked` got this connection.

        `holder` refers to what the application holds instead, in a library that returns the
        connection when that is collected.
        """
        try:
            now = self.clock()
            checkout = Checkout(connection, self._on_drop)
            checkout.since = now
            checkout.site = site
            checkout.holder = holder
            checkout.ended = None
            checkout.long_lived = False
            event = (now, False, now - asked, id(checkout))
            events = self._events
            # No call between the two. The first may replace the checkout of a dropped connection
            # that had the same address: that one is in `_dropped`.
            self._open[id(connection)] = checkout
            events.append(event)
            if len(events) >= _BATCH:
                self._add_up_if_free()
            if self._wake is not None:
                wake, self._wake = self._wake, None
                wake()
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "recording a checkout")

    def returning(self, connection: object) -> Checkout | None:
        """Record that a connection is about to be returned.

        Returns its checkout, ended; None when it isn't checked out here.
        """
        try:
            address = id(connection)
            checkout = self._open.get(address)
            # A dropped connection's checkout stays under an address that may be this one's.
            if checkout is None or checkout() is not connection or checkout.ended is not None:
                return None
            now = self.clock()
            event = (now, True, now - checkout.since, id(checkout))
            # No call between the two. In this order a reader may miss the checkout for a moment,
            # but never has it twice.
            checkout.ended = now
            self._events.append(event)
            self._open.pop(address, None)
            holder = checkout.holder
            if holder is not None and holder() is None:
                self._reclaimed.append(checkout.site)
                checkout.lost = False
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "recording a return")
            return None
        return checkout

    def gave_up(self, what: str, asked: float) -> None:
        """Count a request made at `asked` that got no connection."""
        try:
            now = self.clock()
            self._events.append((now, False, now - asked, NO_CHECKOUT))
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "recording a wait without a connection")
        self.note(what)

    def note(self, what: str) -> None:
        """Count something rare (a timeout, a new session)."""
        try:
            self._notes.append(what)
            # Where every request fails, no checkout may ever add them up.
            if len(self._notes) >= _BATCH:
                self._add_up_if_free()
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            absorb(error, "counting a timeout, a failure or a session")

    def has(self, connection: object) -> bool:
        """Whether the connection is checked out here."""
        return self._find(connection) is not None

    def exempt(self, connection: object) -> bool:
        """Never call this checkout overdue; False when the connection is not checked out here."""
        checkout = self._find(connection)
        if checkout is None:
            return False
        checkout.long_lived = True
        return True

    def _find(self, connection: object) -> Checkout | None:
        checkout = self._open.get(id(connection))
        if checkout is None or checkout() is not connection or checkout.ended is not None:
            return None
        return checkout

    def read(self) -> Reading:
        """Add everything up and return the pool's figures.

        A connection that was dropped without being returned has cost its slot, except in a pool
        without a limit.
        """
        if not self._is_free_soon():
            return self._reading([one for one in self._open.copy().values() if one.ended is None])
        with self._lock:
            self._add_up()
            checkouts = self._tidy()
            self._totals.settle({id(one) for one in checkouts}, self._usable, self.clock())
            return self._reading(checkouts)

    @property
    def _usable(self) -> float:
        return self.limit - self.unaccounted

    def checked_out(self) -> list[Checkout]:
        """The open checkouts that are not declared long-lived."""
        checkouts = self._open.copy().values()
        return [one for one in checkouts if one.ended is None and not _is_long_lived(one)]

    def overdue(self) -> list[Checkout]:
        """The checkouts that are overdue now."""
        now = self.clock()
        return [one for one in self.checked_out() if self._is_overdue(one, now)]

    def _is_free_soon(self) -> bool:
        deadline = monotonic() + PATIENCE_SECONDS
        while self._lock.locked():
            if monotonic() > deadline:
                return False
            sleep(_LOOK_SECONDS)
        return True

    def _reading(self, checkouts: list[Checkout]) -> Reading:
        now = self.clock()
        totals = self._totals
        overdue = Counter(describe(one.site) for one in checkouts if self._is_overdue(one, now))
        return Reading(
            active=len(checkouts) + totals.leaked,
            oldest_active=max((now - one.since for one in checkouts), default=None),
            active_seconds=totals.active_seconds((one.since for one in checkouts), now),
            saturated_seconds=totals.saturated_seconds(now),
            acquire=totals.acquire.histogram(),
            hold=totals.hold.histogram(),
            demand=totals.demand.histogram(),
            noted=Counter(totals.noted),
            leaked=totals.leaked,
            leaked_slots=Counter(totals.leaked_slots.counts),
            reclaimed=Counter(totals.reclaimed.counts),
            overdue=self._named(overdue, now),
            long_lived=sum(map(_is_long_lived, checkouts)),
        )

    def _named(self, sites: Counter[str], now: float) -> Mapping[str, int]:
        """Overdue checkouts by site; those of sites beyond the cap are counted as `other`."""
        names = self._overdue_sites.choose(sites, now)
        named = {site: count for site, count in sites.items() if site in names}
        if len(named) < len(sites):
            named[OTHER] = sites.total() - sum(named.values())
        return named

    def _is_overdue(self, checkout: Checkout, now: float) -> bool:
        return now - checkout.since >= self.leak_after and not _is_long_lived(checkout)

    def _add_up_if_free(self) -> None:
        # Another thread may take it between the two: then this one waits for it, which is rare.
        if not self._lock.locked():
            with self._lock:
                self._add_up()

    def _add_up(self) -> None:
        # Only what is there now: other threads go on appending. The checkouts of what has been
        # dropped by now are among the events, so it is counted after them.
        dropped, reclaimed = len(self._dropped), len(self._reclaimed)
        # Moved in one step, which no signal interrupts.
        self._batch.extend(starmap(self._events.popleft, repeat((), len(self._events))))
        self._totals.add(self._batch, self._usable)
        self._totals.note(self._notes, len(self._notes))
        self._totals.drop(self._dropped, dropped, self.limit, self.clock())
        self._totals.reclaim(self._reclaimed, reclaimed, self.clock())

    def _tidy(self) -> list[Checkout]:
        """The open checkouts. Removes those of dropped connections from the dictionary."""
        # A copy is made in one step: the collector can't run the application's code in between.
        checkouts = self._open.copy()
        for address, checkout in checkouts.items():
            if checkout.ended is not None:
                # Compares and removes in one step: by now another connection can be checked out at
                # this address.
                _remove_dead_weakref(self._open, address)
        return [one for one in checkouts.values() if one.ended is None]


def _is_long_lived(checkout: Checkout) -> bool:
    return checkout.long_lived or id(checkout.site[0]) in _long_lived_code
