"""The proof address by address, where an application's metrics pages are read at several.

Over all processes together, many must be leaked before one is proven: each process may have the
silent ones idle in its pool. Where the sessions of a process come from the address at which its
page is read, its own readings are enough.

Assumption: no process has sessions that come from the address of another page of the same
application, unless both are read there. Sessions from any other address (behind address
translation, or of a job without a page) may be those of any process, so as many are subtracted.
There is no proof where a server elsewhere sees sessions from its own 127.0.0.1, nor where pages are
read over both IPv4 and IPv6: two addresses may be one host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from functools import partial
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.evidence import bounds
from pg_pool_exporter.analysis.evidence.readings import Readings


class _Sessions(NamedTuple):
    """Upper bound of an application's sessions from one or several addresses."""

    most: int

    def union(self, other: _Sessions) -> _Sessions:
        return _Sessions(max(self.most, other.most))


class UnreturnedByAddress(NamedTuple):
    """Lower bounds of the connections that are checked out and silent."""

    total: float
    by_address: Mapping[str, float] = {}
    """Empty where each may be at another address."""


_NONE = UnreturnedByAddress(0.0)


class AddressReadings:
    """Readings of one application's sessions on one server, by the address that they come from.

    None are kept while its pages are read at a single address, or over both IPv4 and IPv6.
    """

    def __init__(self) -> None:
        self._by_address = defaultdict[str, Readings[_Sessions]](partial(Readings, _Sessions))
        self._elsewhere = Readings(_Sessions)

    def add(
        self,
        begun: float,
        ended: float,
        pages: Set[str],
        sessions: Mapping[str, int],
        *,
        keep: float,
        max_gap: float,
    ) -> None:
        """Take in the sessions by address (see `Readings.add`); `pages` are read at these."""
        if len(pages) < 2 or len({":" in address for address in pages}) > 1:
            self._by_address.clear()
            self._elsewhere = Readings(_Sessions)
            return
        for gone in self._by_address.keys() - pages:
            del self._by_address[gone]
        for address in pages:
            reading = _Sessions(sessions.get(address, 0))
            self._by_address[address].add(begun, ended, reading, keep=keep, max_gap=max_gap)
        elsewhere = sum(count for address, count in sessions.items() if address not in pages)
        self._elsewhere.add(begun, ended, _Sessions(elsewhere), keep=keep, max_gap=max_gap)

    def unreturned(
        self, pools: bounds.Pools, old: Mapping[str, int], start: float, end: float
    ) -> UnreturnedByAddress:
        """Lower bounds for each reading from `start` to `end`; `old` sessions are by address."""
        elsewhere = self._elsewhere.within(start, end)
        if elsewhere is None or not elsewhere.whole or pools.others:
            return _NONE
        by_address = _by_address(pools)
        if None in by_address:
            return _NONE
        found = {}
        for address, readings in self._by_address.items():
            sessions = readings.within(start, end)
            if sessions is not None and sessions.whole:
                count = bounds.unreturned(
                    by_address.get(address, bounds.Pools(())),
                    old.get(address, 0),
                    sessions.reading.most,
                )
                if count:
                    found[address] = count
        total = max(0.0, sum(found.values()) - elsewhere.reading.most)
        return UnreturnedByAddress(total, {} if elsewhere.reading.most else found)


def _by_address(pools: bounds.Pools) -> dict[str | None, bounds.Pools]:
    full, partial = (
        grouped((one.address, one) for one in readings) for readings in (pools.full, pools.partial)
    )
    return {
        address: bounds.Pools(tuple(full.get(address, ())), tuple(partial.get(address, ())))
        for address in full.keys() | partial.keys()
    }
