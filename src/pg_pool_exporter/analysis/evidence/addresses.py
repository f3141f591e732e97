"""The proof for each address by itself, where an application's pages are read at several.

Of all processes together much must be held before anything is proven: each of them may have what is
silent in its pool. Where the sessions of a process come from the address at which its page is read,
its own readings are enough.

What this takes for granted: no process has sessions that come from the address of another page of
the same application, unless both are read there. Sessions from any other address (a translation in
between, a job without a page) may be those of any process, so as many are taken off. What a server
elsewhere sees come from its own 127.0.0.1 is not what is read at ours: then nothing is told. Nor is
anything where pages are read over IPv4 and over IPv6: two addresses may be those of one host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.sessions import AppSessions
from pg_pool_exporter.analysis.evidence import bounds
from pg_pool_exporter.analysis.evidence.bounds import PoolReading
from pg_pool_exporter.analysis.evidence.readings import Readings


class AddressReading(NamedTuple):
    """An application's sessions from one address, or from several, at one reading or at each."""

    sessions: int
    """At most so many."""

    def widened(self, other: AddressReading) -> AddressReading:
        """What holds for both."""
        return AddressReading(max(self.sessions, other.sessions))


class HeldByAddress(NamedTuple):
    """Connections that are checked out and silent."""

    total: float
    by_address: Mapping[str, float]
    """Empty where each may be at another address."""


NOTHING_HELD = HeldByAddress(0.0, {})


class Addresses:
    """What is remembered of one application's sessions on one server, by where they come from.

    Nothing, as long as its pages are read at a single address, or over both IPv4 and IPv6.
    """

    def __init__(self) -> None:
        self._by_address: dict[str, Readings[AddressReading]] = defaultdict(Readings)
        self._elsewhere: Readings[AddressReading] = Readings()

    def add(
        self,
        begun: float,
        ended: float,
        pages: Set[str],
        sessions: Mapping[str, AppSessions],
        *,
        keep: float,
        most_gap: float,
    ) -> None:
        """Take in a reading of the server (see `Readings.add`); `pages` are at these addresses."""
        if len(pages) < 2 or len({":" in address for address in pages}) > 1:
            self._by_address.clear()
            self._elsewhere = Readings()
            return
        for gone in self._by_address.keys() - pages:
            del self._by_address[gone]
        counts = {address: own.sessions for address, own in sessions.items()}
        for address in pages:
            reading = AddressReading(counts.pop(address, 0))
            self._by_address[address].add(begun, ended, reading, keep=keep, most_gap=most_gap)
        elsewhere = AddressReading(sum(counts.values()))
        self._elsewhere.add(begun, ended, elsewhere, keep=keep, most_gap=most_gap)

    def unreturned(
        self, pools: bounds.Pools, old: Mapping[str, int], start: float, end: float
    ) -> HeldByAddress:
        """At least so many were checked out and silent at each reading from `start` to `end`.

        `old` are the old sessions by address.
        """
        elsewhere = self._elsewhere.within(start, end)
        if elsewhere is None or not elsewhere.whole or pools.others:
            return NOTHING_HELD
        by_address = _by_address(pools)
        if None in by_address:
            return NOTHING_HELD
        held = {}
        for address, readings in self._by_address.items():
            sessions = readings.within(start, end)
            if sessions is not None and sessions.whole:
                count = bounds.unreturned(
                    by_address.get(address, bounds.Pools(())),
                    old.get(address, 0),
                    sessions.reading.sessions,
                )
                if count:
                    held[address] = count
        total = max(0.0, sum(held.values()) - elsewhere.reading.sessions)
        return HeldByAddress(total, {} if elsewhere.reading.sessions else held)


def _by_address(pools: bounds.Pools) -> dict[str | None, bounds.Pools]:
    full: dict[str | None, list[PoolReading]] = {}
    partial: dict[str | None, list[PoolReading]] = {}
    for readings, kept in ((pools.full, full), (pools.partial, partial)):
        for one in readings:
            kept.setdefault(one.address, []).append(one)
    return {
        address: bounds.Pools(tuple(full.get(address, ())), tuple(partial.get(address, ())))
        for address in full.keys() | partial.keys()
    }
