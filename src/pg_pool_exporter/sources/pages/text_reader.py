"""A page of pool metrics to samples. Pure: bytes in, values out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Set
from itertools import islice

from pg_pool_exporter.formats import NATIVE_NAME
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.foreign_draft import ForeignDraft
from pg_pool_exporter.sources.pages.native_page import NATIVE
from pg_pool_exporter.sources.pages.origin import UNKNOWN, Origin
from pg_pool_exporter.sources.pages.pool_draft import PoolDraft, SiteLimiters, site_limiters
from pg_pool_exporter.sources.pages.table import TYPE, DraftKey, Place, Table
from pg_pool_exporter.sources.pages.text_syntax import Malformed, metric_name, series_line

MAX_LINES = 200_000
"""Most lines of one page: nothing else runs while they are searched, which takes some 40 ms."""
MAX_NEW_SERIES = 20_000
"""Most wanted series of one page that were not on the page before. Parsing so many takes a quarter
of a second, in which no other large page is read; those that are known cost a fifth of that."""

# A page of so many lines, with so many wanted ones that are so long together, is read in a few
# milliseconds.
_QUICK_LINES = 10_000
_QUICK_WANTED_LINES = 500
_QUICK_WANTED_BYTES = 128 * 1024


class PageReader:
    """Reads the pages of one target, which mostly hold the same series as the page before.

    Places of series are kept from one page to the next, so a series that was there before costs
    a look-up and no parsing. What is kept is bounded by the page: only its own series stay.

    `origin` tells what the page may leave out. Names are bounded over time (see `NameLimiter`):
    `max_pools` pools, and `max_sites` sites in each field of a pool. `clock` is in seconds and
    never goes back.
    """

    def __init__(
        self,
        table: Table = NATIVE,
        origin: Origin = UNKNOWN,
        *,
        max_pools: int = 100,
        max_sites: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._origin = origin
        self._max_pools = max_pools
        self._max_sites = max_sites
        self._clock = clock
        self._places: dict[bytes, tuple[Place, ...]] = {}
        self._pools: NameLimiter[PoolId] = NameLimiter(max_pools)
        self._sites: dict[PoolId, SiteLimiters] = {}

    def quick_lines(self, page: bytes) -> list[re.Match[bytes]] | None:
        """The lines of `page` that are looked at; None when it takes long to read them."""
        if page.count(b"\n") > _QUICK_LINES:
            return None
        wanted = self._table.wanted.finditer(b"\n" + page)
        found = list(islice(wanted, _QUICK_WANTED_LINES + 1))
        if len(found) > _QUICK_WANTED_LINES:
            return None
        length = sum(match.end() - match.start() for match in found)
        return found if length <= _QUICK_WANTED_BYTES else None

    def read(self, page: bytes, lines: Iterable[re.Match[bytes]] | None = None) -> Snapshot:
        """The pools of `page`, whose `lines` may have been found already.

        Pools beyond the cap are left out and counted in `folded`: their ages, bounds, histograms
        and identity cannot be added up to one that would be true. Sites beyond it are added up
        in `other`. Label values are at most `text_syntax.MAX_LABEL_CHARACTERS` long. One wrong
        line makes the whole page a `PollError`, because half a page would be half the truth; so
        does a page with series of which none is of a format that was looked for.
        """
        if page.count(b"\n") > MAX_LINES:
            raise PollError("too_large", f"the page has more than {MAX_LINES} lines")
        # Those that have a place, and as many as could get one: never more than three times the
        # cap, however many a page has.
        reading = _Reading(
            self._table, self._origin, self._places, self._pools.names, 2 * self._max_pools
        )
        try:
            reading.read(self._table.wanted.finditer(b"\n" + page) if lines is None else lines)
            snapshot = self._snapshot(reading)
        except Malformed as error:
            line = page.count(b"\n", 0, reading.at) + 1
            raise PollError("protocol", f"line {line}: {error}") from None
        if self._table.formats and not reading.drafts and not _is_empty(page):
            raise PollError("protocol", _not_recognised(self._table))
        # Replaced as a whole: a reading that was given up may still run in its thread.
        self._places = reading.places
        return snapshot

    def _snapshot(self, reading: _Reading) -> Snapshot:
        now = self._clock()
        drafts = reading.chosen()
        named = self._pools.choose(dict.fromkeys(drafts, 0.0), now)
        sites = {key: self._sites.get(key) or site_limiters(self._max_sites) for key in named}
        samples: list[PoolSample] = []
        folded = len(reading.left_out)
        for key, draft in drafts.items():
            if key not in named:
                folded += 1
                continue
            reading.at = draft.at
            sample, others = draft.sample(key, sites[key], now)
            samples.append(self._origin.complete(sample))
            folded += others
        self._sites = sites
        return Snapshot(pools=tuple(samples), folded=folded)


def _is_empty(page: bytes) -> bool:
    """Whether nothing is on it: an application that has no pool yet."""
    return page.strip().removeprefix(b"# EOF") == b""


def _not_recognised(table: Table) -> str:
    looked_for = ", ".join(form.name for form in table.formats)
    if table.types:
        looked_for = f"{NATIVE_NAME}, {looked_for}"
    return (
        f"no series of a pool is on the page; looked for: {looked_for}. If the page is right, "
        "describe its names under `formats` and name that as the app's `format`"
    )


class _Reading:
    """One page being read."""

    def __init__(
        self,
        table: Table,
        origin: Origin,
        known: dict[bytes, tuple[Place, ...]],
        wanted: Set[PoolId],
        most: int,
    ) -> None:
        self.places: dict[bytes, tuple[Place, ...]] = {}
        self.drafts: dict[DraftKey, PoolDraft | ForeignDraft] = {}
        """In the order of the page: those that are `wanted`, and others up to `most` in all."""
        self.left_out: set[DraftKey] = set()
        self.at = 0
        """Where on the page the reading is."""
        self._table = table
        self._origin = origin
        self._known = known
        self._wanted = wanted
        self._most = most

    def read(self, lines: Iterable[re.Match[bytes]]) -> None:
        """Collect the values of all wanted lines."""
        known, places, drafts = self._known, self.places, self.drafts
        parsed = 0
        for match in lines:
            self.at = match.start()
            line = match[1]
            if line.startswith(TYPE):
                self._check_type(line)
                continue
            key, _, text = line.rpartition(b" ")
            found = known.get(key)
            if found is None:
                name = metric_name(line)
                if name not in self._table.places:
                    continue
                parsed += 1
                if parsed > MAX_NEW_SERIES:
                    raise PollError("too_large", f"more than {MAX_NEW_SERIES} new series of pools")
                key, labels, text = series_line(line, name)
                found = self._table.places[name](labels, self._origin)
            if key in places:
                raise Malformed("the same series twice")
            if not found:
                places[key] = found
            for place in found:
                value = place.number(text)
                draft = drafts.get(place.draft) or self._new_draft(place)
                if draft is None:
                    break
                places[key] = found
                if value is not None:
                    draft.put(place, value)

    def chosen(self) -> dict[PoolId, PoolDraft | ForeignDraft]:
        """The pools, each as the format shows it that is not left out in favour of another."""
        present = {key.format for key in self.drafts}
        left_out = {
            form.name for form in self._table.formats if not present.isdisjoint(form.yields_to)
        }
        if NATIVE_NAME in present:
            left_out = present - {NATIVE_NAME}
        chosen: dict[PoolId, PoolDraft | ForeignDraft] = {}
        for (form, pool), draft in self.drafts.items():
            if form not in left_out:
                # Two libraries can call their pools alike, in one process.
                other = pool._replace(pool=f"{pool.pool} ({form})")
                chosen[other if pool in chosen else pool] = draft
        return chosen

    def _new_draft(self, place: Place) -> PoolDraft | ForeignDraft | None:
        key = place.draft
        if key in self.left_out or (
            key.pool not in self._wanted and len(self.drafts) >= self._most
        ):
            self.left_out.add(key)
            return None
        draft = PoolDraft(self.at) if place.slot is None else ForeignDraft(self.at, place.slot.info)
        return self.drafts.setdefault(key, draft)

    def _check_type(self, line: bytes) -> None:
        words = line.split(maxsplit=4)
        expected = self._table.types.get(words[2]) if len(words) > 2 else None
        if expected is not None and words[3:] != [expected]:
            raise Malformed("a known metric has another type")
