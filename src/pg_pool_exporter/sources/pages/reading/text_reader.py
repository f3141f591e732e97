"""Reads pages of pool metrics: bytes in, samples out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice

from pg_pool_exporter.formats import NATIVE_NAME, Format
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.combine import combined, overlaid
from pg_pool_exporter.sources.pages.reading.naming import PoolNames
from pg_pool_exporter.sources.pages.reading.nearest import nearest, pool_like_names
from pg_pool_exporter.sources.pages.reading.pool_builder import (
    PoolSampleBuilder,
    SiteLimiters,
    site_limiters,
)
from pg_pool_exporter.sources.pages.series.identity import PagePool
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import TYPE, FieldTarget, Table
from pg_pool_exporter.sources.pages.series.text_syntax import (
    Malformed,
    is_plain_value,
    metric_name,
    series_line,
    value_at,
)
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults

MAX_POOLS = 100
"""Pools of one target that have a name of their own at any time."""
MAX_LINES = 200_000
"""Lines of one page; searching them takes some 40 ms."""
MAX_SERIES = 20_000
"""Series of pools on one page; parsing them takes a quarter of a second."""

MAX_PARTS = 4
"""Parts of one pool that are read however many pools a page has: their series differ in labels of
the instrumentation."""

# A page within these bounds is read in a few milliseconds.
_QUICK_BYTES = 512 * 1024
_QUICK_LINES = 10_000
_QUICK_WANTED_LINES = 500
_QUICK_WANTED_BYTES = 128 * 1024
# A larger page is parsed anew each time: what is remembered of it would take too much memory.
_REMEMBERED_BYTES = 2 * 1024 * 1024

_Series = dict[bytes, tuple[FieldTarget, ...] | None]
"""Series as they are spelt, and where their values go; None for one whose line is wrong."""


class UnrecognisedError(PollError):
    """A page without a pool in a format that is looked for; the nearest ones are not known yet."""


class PageReader:
    """Reads the pages of one target.

    `defaults` fill what a page leaves out. Names are bounded over time by `NameLimiter`:
    `max_pools` pools, and `max_sites` sites in each field of a pool. `clock` is monotonic, in
    seconds.
    """

    def __init__(
        self,
        table: Table = NATIVE,
        defaults: TargetDefaults = NO_DEFAULTS,
        *,
        max_pools: int = MAX_POOLS,
        max_sites: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._defaults = defaults
        self._max_pools = max_pools
        self._max_sites = max_sites
        self._clock = clock
        self._names = PoolNames(table.formats, defaults, max_pools)
        self._pools: NameLimiter[PoolId] = NameLimiter(max_pools)
        self._sites: dict[PoolId, SiteLimiters] = {}
        self._had_foreign_pools = False
        self._hint: tuple[Set[str], str] | None = None
        self._sizes = (0, 0)  # series on the last page, and on the last one that was accepted
        # Of the last page that was accepted: parsing its labels again would take half of a poll.
        self._series: _Series = {}

    def parts(self, name: PoolId) -> Sequence[PagePool]:
        """The parts of the pool of this name."""
        return self._names.parts(name)

    def quick_lines(self, page: bytes) -> list[re.Match[bytes]] | None:
        """The wanted lines of `page`; None when reading it takes long."""
        if len(page) > _QUICK_BYTES or page.count(b"\n") > _QUICK_LINES:
            return None
        if self._table.has_rare(page):
            return None
        wanted = self._table.common_lines(page)
        found = list(islice(wanted, _QUICK_WANTED_LINES + 1))
        if len(found) > _QUICK_WANTED_LINES:
            return None
        length = sum(match.end() - match.start() for match in found)
        return found if length <= _QUICK_WANTED_BYTES else None

    def read(
        self,
        page: bytes,
        lines: Iterable[re.Match[bytes]] | None = None,
        *,
        length_known: bool = True,
    ) -> Snapshot:
        """The pools of `page`, whose wanted `lines` may have been found already.

        `length_known`: the server announced where the page ends.

        Pools over the cap are left out and counted in `folded`; sites over it are added up in
        `other`. Label values have at most `text_syntax.MAX_LABEL_CHARACTERS` characters.

        Raises `PollError` for the whole page, because half a page would hide pools: when
        one line is wrong, when its series are of no known format, when no value is known, and when
        it seems to be cut. A wrong line of ours that was added to a library's page is left out.
        `UnrecognisedError` when there are `lines` and no series of a known format: read without
        them, the page's error says which formats come nearest.
        """
        if lines is None and page.count(b"\n") > MAX_LINES:
            raise PollError("too_large", f"the page has more than {MAX_LINES} lines")
        # Known pools, and up to twice the cap of new ones: a hostile page has many more.
        known = self._names.keys(self._pools.names)
        reading = _Reading(self._table, self._defaults, self._series, known, 2 * self._max_pools)
        try:
            reading.read(self._table.lines(page) if lines is None else lines)
            if lines is not None and self._lacks_pools(page, reading):
                raise UnrecognisedError("protocol", "no series of a pool is on the page")
            self._check(page, reading, length_known)
            snapshot = self._snapshot(reading)
        except Malformed as error:
            line = page.count(b"\n", 0, reading.at) + 1
            raise PollError("protocol", f"line {line}: {error}") from None
        self._series = reading.series if len(page) <= _REMEMBERED_BYTES else {}
        return snapshot

    def _check(self, page: bytes, reading: _Reading, length_known: bool) -> None:
        """Raise `PollError` for a page that is well-formed and still wrong."""
        if reading.wrong_line is not None and not reading.has_ours_beside:
            reading.at, error = reading.wrong_line
            raise error
        if reading.wrong_type is not None and reading.has_pools_of_our_client:
            reading.at = reading.wrong_type
            raise Malformed("a known metric has another type")
        if not reading.has_pools:
            if self._lacks_pools(page, reading):
                raise PollError("protocol", self._not_recognised(page))
            if self._had_foreign_pools:
                raise PollError("protocol", "the page is empty, and it had pools before")
        elif reading.has_nan and not any(pool.has_values for pool in reading.pools.values()):
            raise PollError("protocol", "no value of a pool on the page is a number (all are NaN)")
        size = len(reading.series)
        before, accepted = self._sizes
        self._sizes = size, accepted
        # A page that has become smaller for good is read at the next poll.
        if not length_known and size < accepted and size != before:
            raise PollError(
                "protocol",
                "the page has lost series, and the server announces no length: it may be cut",
            )
        self._sizes = size, size

    def _lacks_pools(self, page: bytes, reading: _Reading) -> bool:
        return not reading.has_pools and bool(self._table.formats) and not _is_empty(page)

    def _not_recognised(self, page: bytes) -> str:
        if other := _other_content(page):
            return (
                f"the page is {other}, not Prometheus' text format: is its path right? "
                "Spring Boot's is /actuator/prometheus"
            )
        formats = self._table.formats
        looked_for = ", ".join(form.name for form in formats)
        if self._table.native_alone:
            looked_for = f"{NATIVE_NAME}, {looked_for}"
        names = frozenset(pool_like_names(page))
        if self._hint is None or self._hint[0] != names:
            # Each poll fails alike, and the comparison takes up to 20 ms.
            self._hint = names, _nearest(names, formats)
        return (
            f"no series of a pool is on the page. {self._hint[1]} If the page is right, describe "
            "its names under `formats` and name that as the app's `format`. Looked for: "
            f"{looked_for}"
        )

    def _snapshot(self, reading: _Reading) -> Snapshot:
        now = self._clock()
        pools = combined(reading.pools, self._table.formats, native_alone=self._table.native_alone)
        names = self._names.choose(pools)
        named = self._pools.choose(dict.fromkeys(names.values(), 0.0), now)
        sites = {key: self._sites.get(key) or site_limiters(self._max_sites) for key in named}
        samples: list[PoolSample] = []
        folded = len(reading.left_out)
        for pool, builders in pools.items():
            key = names[pool]
            if key not in named:
                folded += 1
                continue
            parts: list[PoolSample] = []
            for builder in builders:
                reading.at = builder.at
                sample, others = builder.sample(key, sites[key], now)
                parts.append(sample)
                folded += others
            samples.append(self._defaults.complete(overlaid(parts)))
        self._sites = sites
        if reading.pools:
            self._had_foreign_pools = any(pool.format != NATIVE_NAME for pool in reading.pools)
        return Snapshot(pools=tuple(samples), folded=folded)


def _is_empty(page: bytes) -> bool:
    """Whether it is empty: an application without pools so far."""
    return page.strip().removeprefix(b"# EOF") == b""


def _other_content(page: bytes) -> str:
    """What the page is instead of metrics; empty where nothing says so."""
    text = page.strip()
    if text.startswith(b"<"):
        return "HTML"
    return "JSON" if text.startswith((b"{", b"[")) and text.endswith((b"}", b"]")) else ""


def _nearest(names: Iterable[str], formats: Sequence[Format]) -> str:
    """Which formats come nearest, in a sentence."""
    found = nearest(names, formats)
    if not found:
        return "No name on it is like those of a format."
    listed = (f"{form} (without {', '.join(missing)})" for form, missing in found)
    return f"Nearest: {'; '.join(listed)}."


class _Reading:
    """One page being read."""

    def __init__(
        self,
        table: Table,
        defaults: TargetDefaults,
        former: Mapping[bytes, tuple[FieldTarget, ...] | None],
        known: Mapping[PoolId, int],
        max_pools: int,
    ) -> None:
        self.pools: dict[PagePool, PoolSampleBuilder] = {}
        """In the order of the page: up to `MAX_PARTS` of each that is `known` (by key, with how
        many have it), and up to `max_pools` more."""
        self.left_out: set[PagePool] = set()
        self.series: _Series = {}
        """All series of the page."""
        self.has_nan = False
        """Whether a value is not a number."""
        self.at = 0
        """Where on the page the reading is."""
        self.wrong_line: tuple[int, Malformed] | None = None
        """The first line of ours that is wrong, and where."""
        self.wrong_type: int | None = None
        """Where a metric of ours has another type. Exporters of other languages do that."""
        self._table = table
        self._defaults = defaults
        self._former = former
        self._left = {key: pools * MAX_PARTS for key, pools in known.items()}
        self._max_more = max_pools

    def read(self, lines: Iterable[re.Match[bytes]]) -> None:
        """Collect the values of all wanted lines."""
        table, series, former = self._table, self.series, self._former
        for match in lines:
            self.at = match.start()
            line = match[1]
            if line.startswith(TYPE):
                self._check_type(line)
                continue
            key, _, text = line.rpartition(b" ")
            found, targets = former.get(key), None
            if found is not None:
                if not is_plain_value(text):
                    text = value_at(line, len(key))
            elif targets := table.of(name := metric_name(line)):
                key, labels, text = series_line(line, name)
            else:
                continue
            if key in series:
                raise Malformed("the same series twice")
            series[key] = None
            if len(series) > MAX_SERIES:
                raise PollError("too_large", f"more than {MAX_SERIES} series of pools")
            try:
                if targets is not None:
                    found = targets(labels, self._defaults)
                # Nearly always one, for which a list would cost as much as reading the number.
                values: Iterable[tuple[FieldTarget, float | None]] = (
                    ((found[0], found[0].number(text)),)
                    if found and len(found) == 1
                    else [(one, one.number(text)) for one in found or ()]
                )
            except Malformed as error:
                if metric_name(line) not in NATIVE.targets:
                    raise
                self.wrong_line = self.wrong_line or (self.at, error)
                continue
            series[key] = found
            for target, value in values:
                builder = self.pools.get(target.pool) or self._new(target)
                if builder is None:
                    break
                builder.put(target, value)
                if value is None and text.lower() == b"nan":
                    self.has_nan = True

    @property
    def has_pools(self) -> bool:
        """Whether the page has a pool in a format that is looked for."""
        if self._table.native_alone:
            return bool(self.pools)
        return any(pool.format != NATIVE_NAME for pool in self.pools)

    @property
    def has_pools_of_our_client(self) -> bool:
        """Whether the page is one that our client writes, or has no pool at all."""
        return not self.pools or any(pool.is_of_our_client for pool in self.pools)

    @property
    def has_ours_beside(self) -> bool:
        """Whether our series were added to another library's page."""
        return not self.has_pools_of_our_client and any(
            pool.format != NATIVE_NAME for pool in self.pools
        )

    def _new(self, target: FieldTarget) -> PoolSampleBuilder | None:
        pool = target.pool
        if pool in self.left_out:
            return None
        key = pool.key(self._defaults)
        if self._left.get(key):
            self._left[key] -= 1
        elif self._max_more:
            self._max_more -= 1
        else:
            self.left_out.add(pool)
            return None
        builder = PoolSampleBuilder(self.at, pool, target.alias.info)
        return self.pools.setdefault(pool, builder)

    def _check_type(self, line: bytes) -> None:
        words = line.split(maxsplit=4)
        expected = self._table.types.get(words[2]) if len(words) > 2 else None
        if expected is not None and words[3:] != [expected] and self.wrong_type is None:
            self.wrong_type = self.at
