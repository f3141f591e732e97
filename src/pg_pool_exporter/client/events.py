"""Leaks as events: lines in the application's log when they appear, and when a checkout ends.

Found by a thread of ours that looks at the pools every few seconds: never in a checkout, a signal
handler or the garbage collector. Written by another one: a log handler may wait, even for a
connection of the very pool.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from time import monotonic
from typing import NamedTuple

from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.sites import describe
from pg_pool_exporter.client.totals import Checkout
from pg_pool_exporter.client.tracker import Tracker

# Of all pools together; the others are counted.
_MAX_LINES = 20
_PER_SECONDS = 60.0


class Event(NamedTuple):
    """A line of the log."""

    level: int
    what: str
    site: str
    checkouts: int
    seconds: float | None = None
    """How long the longest of these checkouts has lasted."""


class PoolEvents:
    """The leak events of one pool. Each checkout is reported once."""

    def __init__(self) -> None:
        self._overdue: dict[int, Checkout] = {}
        self._lost: Counter[str] = Counter()

    def look(self, tracker: Tracker) -> list[Event]:
        """Events since the last call."""
        reading, now = tracker.read(), tracker.clock()
        overdue = {id(one): one for one in tracker.overdue()}
        new = [one for key, one in overdue.items() if key not in self._overdue]
        back = [one for one in self._overdue.values() if one.ended is not None and not _lost(one)]
        lost = Counter(reading.leaked_slots) - self._lost
        # A checkout declared long-lived meanwhile has not ended.
        kept = {key: one for key, one in self._overdue.items() if one.ended is None}
        self._overdue, self._lost = kept | overdue, Counter(reading.leaked_slots)
        return [
            *(Event(logging.WARNING, "slots lost", site, count) for site, count in lost.items()),
            *_by_site(logging.WARNING, "checkouts overdue", new, now),
            *_by_site(logging.INFO, "overdue checkouts returned", back, now),
        ]


def _lost(checkout: Checkout) -> bool:
    return getattr(checkout, "lost", False)


def _by_site(level: int, what: str, checkouts: Iterable[Checkout], now: float) -> Iterator[Event]:
    by_site = sorted((describe(one.site), one.since, one.ended or now) for one in checkouts)
    for site, those in groupby(by_site, key=lambda one: one[0]):
        seconds = [until - since for _, since, until in those]
        yield Event(level, what, site, len(seconds), max(seconds))


class EventLog:
    """Writes events to the logger, in a thread that lives while there is something to write."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, str]] = deque()
        self._begun = monotonic()
        self._written = self._left_out = 0
        self._thread: threading.Thread | None = None

    def write(self, app: str, pool: str, events: Iterable[Event]) -> None:
        """Have events of a pool written; above the limit a minute they are only counted."""
        now = monotonic()
        if now - self._begun >= _PER_SECONDS:
            if self._left_out:
                self._lines.append((logging.WARNING, f"more leaks not logged: {self._left_out}"))
            self._begun, self._written, self._left_out = now, 0, 0
        for event in events:
            if self._written < _MAX_LINES:
                self._written += 1
                self._lines.append((event.level, _line(app, pool, event)))
            else:
                self._left_out += 1
        if self._lines and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(
                target=self._drain, name="pg-pool-exporter-events", daemon=True
            )
            self._thread.start()

    def _drain(self) -> None:
        while self._lines:
            level, line = self._lines.popleft()
            log.log(level, "%s", line)


def _line(app: str, pool: str, event: Event) -> str:
    age = "" if event.seconds is None else f" longest={event.seconds:.0f}s"
    return f"{event.what}: app={app} pool={pool} site={event.site!r} count={event.checkouts}{age}"
