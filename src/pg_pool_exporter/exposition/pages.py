"""The pages of metrics: each snapshot is written once, each page once per change."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from math import inf
from typing import NamedTuple

import structlog

from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.blocking.shared import SharedResult
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.exposition import advice, findings, self_metrics
from pg_pool_exporter.exposition.self_metrics import ProcessMetrics
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import (
    Series,
    of_analyses,
    of_bouncer,
    of_evidence,
    of_health,
    of_log,
    of_pools,
    of_server,
)
from pg_pool_exporter.metrics.text_format import Blocks, blocks, page
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.store import Store, TargetState

log = structlog.get_logger(__name__)

# Series written without a pause for the loop: one or two milliseconds.
_STEP = 500


class _Written(NamedTuple):
    """The lines of one state of a target."""

    state: TargetState
    of_snapshot: tuple[Blocks, ...]
    of_health: Blocks


class Exposition:
    """The pages of the targets in `store` and of their analysis, from memory alone.

    `clock` is monotonic, in seconds: the one that the states' times are on.
    """

    def __init__(
        self,
        store: Store,
        analyzer: Analyzer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._analyzer = analyzer
        self._clock = clock
        self._process = ProcessMetrics(clock)
        # The loop and the lane share it: single operations only, and an entry is checked before
        # it is used.
        self._written: dict[TargetId, _Written] = {}
        self._with_hidden: set[TargetId] = set()
        self._edition = _Edition(_Content(-1, -1, ExporterStatus()))
        # The edition is kept until then although the content has changed: each text defers the
        # next edition by twice the time that it took. So making texts takes half the time at most,
        # however many targets, scrapes and formats there are.
        self._kept_until = -inf
        self._lane = Lane("metrics page")
        self._shared = {
            (openmetrics, compressed): SharedResult(
                self._current,
                partial(self._made, openmetrics=openmetrics, compressed=compressed),
                self._lane,
            )
            for openmetrics in (False, True)
            for compressed in (False, True)
        }
        store.before_publishing(self._write_ahead)

    async def page(self, *, openmetrics: bool, compressed: bool = False) -> bytes:
        """The whole page, made off the loop; the same object until something changes."""
        return await self._shared[openmetrics, compressed].get()

    def plain(self, *, openmetrics: bool) -> bytes:
        """The whole page, made at once."""
        return self._text(self._current(), openmetrics=openmetrics)

    async def of_targets(self, keys: tuple[TargetId, ...], *, openmetrics: bool) -> bytes:
        """A page with nothing but the series of these targets, made off the loop; the same object
        until something changes.
        """
        edition = self._current()
        task = edition.probed.get((keys, openmetrics))
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            made = self._lane.run(partial(self._probed, edition, keys, openmetrics=openmetrics))
            task = edition.probed[keys, openmetrics] = asyncio.create_task(made)
        return await asyncio.shield(task)

    def _current(self) -> _Edition:
        content = _Content(self._store.version, self._analyzer.version, self._analyzer.exporter)
        now, edition = self._clock(), self._edition
        holds = content == edition.content and now < edition.expires
        kept = content.exporter == edition.content.exporter and now < self._kept_until
        if not (holds or kept):
            self._edition = _Edition(content)
        return self._edition

    # From here to `_report_hidden`: for any one thread.

    def _made(self, edition: _Edition, *, openmetrics: bool, compressed: bool) -> bytes:
        text = self._text(edition, openmetrics=openmetrics)
        return gzipped(text) if compressed else text

    def _text(self, edition: _Edition, *, openmetrics: bool) -> bytes:
        if openmetrics not in edition.texts:
            begun, states = self._clock(), self._store.states()
            self._forget_others(states)
            self._report_hidden(states)
            self._process.refresh()
            edition.expire(self._process.expires)
            parts = chain(
                _of_analysis(self._analyzer.analysis),
                [
                    blocks(self_metrics.series(self._analyzer.exporter)),
                    blocks(of_analyses(self._analyzer.faults.counts)),
                ],
                self._lines(edition, states, begun),
            )
            text = page(parts, openmetrics=openmetrics)
            process = self._process.page(openmetrics=openmetrics)
            edition.texts[openmetrics] = (process + text).encode()
            self._kept_until = max(self._kept_until, begun) + 2 * (self._clock() - begun)
        return edition.texts[openmetrics]

    def _probed(self, edition: _Edition, keys: Iterable[TargetId], *, openmetrics: bool) -> bytes:
        states = (state for key in keys if (state := self._store.get(key)) is not None)
        lines = self._lines(edition, states, self._clock())
        return page(lines, openmetrics=openmetrics).encode()

    def _lines(
        self, edition: _Edition, states: Iterable[TargetState], now: float
    ) -> Iterator[Blocks]:
        for state in states:
            written = self._written.get(state.key)
            if written is None or not _is_of(written, state):
                parts = self._former(state)
                if parts is None:
                    parts = ()
                    with self._analyzer.faults.contained("exposition"):
                        parts = tuple(_of_snapshot(state))
                written = self._written[state.key] = _Written(state, parts, _of_health(state))
            yield written.of_health
            if now < (expires := state.expires):
                edition.expire(expires)
                yield from written.of_snapshot

    def _forget_others(self, states: Iterable[TargetState]) -> None:
        for key in set(self._written.copy()).difference(state.key for state in states):
            self._written.pop(key, None)

    async def _write_ahead(self, state: TargetState) -> None:
        # Each poll pays for its own lines, so no scrape pays for those of all targets.
        parts = self._former(state)
        if parts is None:
            parts = ()
            with self._analyzer.faults.contained("exposition"):
                for part in _of_snapshot(state):
                    if parts:
                        await asyncio.sleep(0)
                    parts += (part,)
        self._written[state.key] = _Written(state, parts, _of_health(state))

    def _former(self, state: TargetState) -> tuple[Blocks, ...] | None:
        """The lines of the same snapshot, when the poll since then failed."""
        former = self._written.get(state.key)
        if former is None or not _same_snapshot(former.state, state):
            return None
        return former.of_snapshot

    def _report_hidden(self, states: Iterable[TargetState]) -> None:
        with_hidden = {state.key: state.left_out for state in states if state.left_out}
        for key in with_hidden.keys() - self._with_hidden:
            log.warning(
                "pools left out: another target reports them, too",
                target=key.label,
                kind=key.kind,
                pools=with_hidden[key],
            )
        self._with_hidden = set(with_hidden)


class _Content(NamedTuple):
    """What a page is made of. Versions only: states and analysis take milliseconds to free, so the
    loop must never have the last reference to them.
    """

    states: int
    """Version of the store."""
    analysis: int
    """Version of the analysis."""
    exporter: ExporterStatus


@dataclass(slots=True, eq=False)
class _Edition:
    """The pages of one content, or of a newer one; each is made when it is asked for first."""

    content: _Content
    expires: float = inf
    """Monotonic; set by what has been made."""
    texts: dict[bool, bytes] = field(default_factory=dict)
    """By whether they are OpenMetrics."""
    probed: dict[tuple[tuple[TargetId, ...], bool], asyncio.Task[bytes]] = field(
        default_factory=dict
    )
    """Pages of some of the targets, by these and by whether they are OpenMetrics."""

    def expire(self, at: float) -> None:
        """Hold until `at` at most."""
        self.expires = min(self.expires, at)


def gzipped(body: bytes) -> bytes:
    """The body of an answer, gzip; the same bytes for the same body."""
    # Level 1 is several times faster than the default, and pages still shrink by a factor of 12.
    return gzip.compress(body, 1, mtime=0)


def _is_of(written: _Written, state: TargetState) -> bool:
    return written.state.health is state.health and _same_snapshot(written.state, state)


def _same_snapshot(one: TargetState, other: TargetState) -> bool:
    return one.snapshot is other.snapshot and one.hidden == other.hidden


def _of_analysis(analysis: Analysis) -> Iterator[Blocks]:
    fleet = analysis.fleet
    if analysis.made is not None:
        yield blocks([Series(c.LAST_ANALYSIS, (), analysis.made)])
    yield blocks(self_metrics.of_thresholds(fleet.thresholds))
    yield blocks(of_evidence(fleet.evidence, fleet.pools_max))
    yield blocks(findings.of_trends(fleet.pools))
    yield blocks(advice.series(analysis.advice))
    yield blocks(findings.series(analysis.findings))


def _of_health(state: TargetState) -> Blocks:
    return blocks(of_health(state.key.label, state.key.kind, state.health, state.folded))


def _of_snapshot(state: TargetState) -> Iterator[Blocks]:
    """The lines of the snapshot, in steps of bounded length."""
    series = _series(state)
    while step := list(islice(series, _STEP)):
        yield blocks(step)


def _series(state: TargetState) -> Iterator[Series]:
    name, snapshot = state.key.name, state.snapshot
    if snapshot is None:
        return iter(())
    return chain(
        of_server(name, snapshot.server) if snapshot.server is not None else (),
        of_log(name, snapshot.log) if snapshot.log is not None else (),
        of_bouncer(name, snapshot.bouncer) if snapshot.bouncer is not None else (),
        of_pools(state.pools, pid=False),
    )
