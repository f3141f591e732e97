"""A page of pool metrics to samples. Pure: bytes in, values out."""

from __future__ import annotations

from pg_pool_exporter.model import PoolKey, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.native_page import NATIVE, Place, Table
from pg_pool_exporter.sources.pool_draft import PoolDraft
from pg_pool_exporter.sources.text_syntax import Malformed, metric_name, number, series_line

_TYPE = b"# TYPE "


class PageReader:
    """Reads the pages of one target, which mostly hold the same series as the page before.

    Places of series are kept from one page to the next, so a series that was there before costs
    a look-up and no parsing. What is kept is bounded by the page: only its own series stay.
    """

    def __init__(self, table: Table = NATIVE, *, max_pools: int = 100, max_sites: int = 50) -> None:
        self._table = table
        self._max_pools = max_pools
        self._max_sites = max_sites
        self._places: dict[bytes, Place] = {}

    def read(self, page: bytes) -> Snapshot:
        """The pools of `page`.

        Only the first `max_pools` pools are kept, and the `max_sites` biggest sites of each; the
        other sites are added up in `other`. Label values are at most
        `text_syntax.MAX_LABEL_CHARACTERS` long. One wrong line makes the whole page a
        `PollError`, because half a page would be half the truth.
        """
        reading = _Reading(self._table, self._places, self._max_pools)
        try:
            reading.read(page)
            snapshot = reading.snapshot(self._max_sites)
        except Malformed as error:
            raise PollError("protocol", f"line {reading.line}: {error}") from None
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._places = reading.places
        return snapshot


class _Reading:
    """One page being read."""

    def __init__(self, table: Table, known: dict[bytes, Place], max_pools: int) -> None:
        self.places: dict[bytes, Place] = {}
        self.line = 0
        self._table = table
        self._known = known
        self._max_pools = max_pools
        self._pools: dict[PoolKey, PoolDraft] = {}
        self._left_out: set[PoolKey] = set()

    def read(self, page: bytes) -> None:
        """Collect the values of all wanted lines."""
        prefixes, known, places, pools = (
            self._table.prefixes,
            self._known,
            self.places,
            self._pools,
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
        if len(self._pools) == self._max_pools:
            self._left_out.add(pool)
            return None
        return self._pools.setdefault(pool, PoolDraft(self.line))

    def _check_type(self, line: bytes) -> None:
        words = line.split(maxsplit=4)
        expected = self._table.types.get(words[2]) if len(words) > 2 else None
        if expected is not None and words[3:] != [expected]:
            raise Malformed("a known metric has another type")

    def snapshot(self, max_sites: int) -> Snapshot:
        """What was collected."""
        samples: list[PoolSample] = []
        folded = len(self._left_out)
        for key, draft in self._pools.items():
            self.line = draft.line
            sample, sites = draft.sample(key, max_sites)
            samples.append(sample)
            folded += sites
        return Snapshot(pools=tuple(samples), folded=folded)
