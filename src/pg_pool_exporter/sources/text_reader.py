"""A page of pool metrics to samples. Pure: bytes in, values out."""

from __future__ import annotations

import time
from collections.abc import Callable, Set

from pg_pool_exporter.model import PoolKey, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.native_page import NATIVE, Place, Table
from pg_pool_exporter.sources.pool_draft import PoolDraft, SiteNames
from pg_pool_exporter.sources.sticky import StickyChoice
from pg_pool_exporter.sources.text_syntax import Malformed, metric_name, number, series_line

_TYPE = b"# TYPE "


class PageReader:
    """Reads the pages of one target, which mostly hold the same series as the page before.

    Places of series are kept from one page to the next, so a series that was there before costs
    a look-up and no parsing. What is kept is bounded by the page: only its own series stay.

    Names are bounded over time (see `StickyChoice`): `max_pools` pools, and `max_sites` sites in
    each field of a pool. `clock` is in seconds and never goes back.
    """

    def __init__(
        self,
        table: Table = NATIVE,
        *,
        max_pools: int = 100,
        max_sites: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._max_pools = max_pools
        self._max_sites = max_sites
        self._clock = clock
        self._places: dict[bytes, Place] = {}
        self._pools: StickyChoice[PoolKey] = StickyChoice(max_pools)
        self._sites: dict[PoolKey, SiteNames] = {}

    def read(self, page: bytes) -> Snapshot:
        """The pools of `page`.

        Pools beyond the cap are left out and counted in `folded`: their ages, bounds, histograms
        and identity cannot be added up to one that would be true. Sites beyond it are added up
        in `other`. Label values are at most `text_syntax.MAX_LABEL_CHARACTERS` long. One wrong
        line makes the whole page a `PollError`, because half a page would be half the truth.
        """
        # Those that have a place, and as many as could get one: never more than three times the
        # cap, however many a page has.
        reading = _Reading(self._table, self._places, self._pools.names, 2 * self._max_pools)
        try:
            reading.read(page)
            snapshot = self._snapshot(reading)
        except Malformed as error:
            raise PollError("protocol", f"line {reading.line}: {error}") from None
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._places = reading.places
        return snapshot

    def _snapshot(self, reading: _Reading) -> Snapshot:
        now = self._clock()
        named = self._pools.choose(reading.pools, now)
        sites = {key: self._sites.get(key) or SiteNames(self._max_sites) for key in named}
        samples: list[PoolSample] = []
        folded = len(reading.left_out)
        for key, draft in reading.pools.items():
            if key not in named:
                folded += 1
                continue
            reading.line = draft.line
            sample, others = draft.sample(key, sites[key], now)
            samples.append(sample)
            folded += others
        self._sites = sites
        return Snapshot(pools=tuple(samples), folded=folded)


class _Reading:
    """One page being read."""

    def __init__(
        self, table: Table, known: dict[bytes, Place], wanted: Set[PoolKey], most: int
    ) -> None:
        self.places: dict[bytes, Place] = {}
        self.pools: dict[PoolKey, PoolDraft] = {}
        """In the order of the page: those that are `wanted`, and others up to `most` in all."""
        self.left_out: set[PoolKey] = set()
        self.line = 0
        self._table = table
        self._known = known
        self._wanted = wanted
        self._most = most

    def read(self, page: bytes) -> None:
        """Collect the values of all wanted lines."""
        prefixes, known, places, pools = (
            self._table.prefixes,
            self._known,
            self.places,
            self.pools,
        )
        for self.line, line in enumerate(page.split(b"\n"), 1):
            if not line.startswith(prefixes):
                if line.startswith(_TYPE):
                    self._check_type(line)
                continue
            key, _, text = line.rpartition(b" ")
            place = known.get(key)
            if place is None:
                name = metric_name(line)
                if name not in self._table.places:
                    continue
                key, labels, text = series_line(line, name)
                place = self._table.places[name](labels)
            value = number(text)
            pool, field, member = place
            draft = pools.get(pool) or self._new_pool(pool)
            if draft is None:
                continue
            places[key] = place
            if value is not None:
                values = draft.values[field]
                if member in values:
                    raise Malformed("the same series twice")
                values[member] = value

    def _new_pool(self, pool: PoolKey) -> PoolDraft | None:
        if pool in self.left_out or (pool not in self._wanted and len(self.pools) >= self._most):
            self.left_out.add(pool)
            return None
        return self.pools.setdefault(pool, PoolDraft(self.line))

    def _check_type(self, line: bytes) -> None:
        words = line.split(maxsplit=4)
        expected = self._table.types.get(words[2]) if len(words) > 2 else None
        if expected is not None and words[3:] != [expected]:
            raise Malformed("a known metric has another type")
