"""The store to pages: each snapshot is written once, each page once per change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from weakref import WeakKeyDictionary

import structlog

from pg_pool_exporter.discovery import ProviderStatus
from pg_pool_exporter.exposition import self_metrics
from pg_pool_exporter.exposition.compression import Compressor
from pg_pool_exporter.exposition.page_lines import PageLines
from pg_pool_exporter.exposition.self_metrics import ProcessMetrics, ReloadStatus
from pg_pool_exporter.exposition.target_lines import TargetLines
from pg_pool_exporter.metrics.series import of_joined
from pg_pool_exporter.metrics.text_format import Blocks, blocks, page
from pg_pool_exporter.model import Joined, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.polling.views import Owners, View, foreseen, views

log = structlog.get_logger(__name__)

# The place of the exporter's own series among those of the targets.
_OWN = TargetId("server", "")


class Exposition:
    """The pages of `store`, made from memory alone.

    `clock` is monotonic, in seconds: the one that the states' times are on.
    """

    def __init__(
        self, store: Store, reload: ReloadStatus, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reload = reload
        """How the last load of the configuration went: replaced by who loads it."""
        self.discovered: tuple[ProviderStatus, ...] = ()
        """How looking up targets goes: replaced by who does it."""
        self._store = store
        self._clock = clock
        self._process = ProcessMetrics(clock)
        self._lines: WeakKeyDictionary[TargetState, TargetLines] = WeakKeyDictionary()
        self._page = PageLines()
        self._owners: Owners = {}
        self._with_hidden: set[TargetId] = set()
        self._joined = blocks(of_joined(Joined()))
        self._edition = _Edition(-1, reload, self._joined, -inf)
        self._compressed = {
            openmetrics: Compressor(partial(self.plain, openmetrics=openmetrics))
            for openmetrics in (False, True)
        }
        store.before_publishing(self._write_ahead)

    def show_joined(self, joined: Joined) -> None:
        """Show what both sides tell together."""
        self._joined = blocks(of_joined(joined))

    def plain(self, *, openmetrics: bool) -> bytes:
        """The whole page; the same object until something changes."""
        begun = self._clock()
        edition = self._current(begun)
        if openmetrics not in edition.plain:
            pieces = self._page.page(openmetrics=openmetrics)
            own = self._process.page(openmetrics=openmetrics)
            edition.plain[openmetrics] = "".join([own, *pieces]).encode()
            # Kept for as long as it took to make: so making pages takes half the time at most,
            # however many targets are polled and however many clients scrape.
            made = self._clock()
            edition.kept_until = made + (made - begun)
        return edition.plain[openmetrics]

    async def compressed(self, *, openmetrics: bool) -> bytes:
        """The whole page, gzip."""
        return await self._compressed[openmetrics].get()

    def of_targets(self, keys: tuple[TargetId, ...], *, openmetrics: bool) -> bytes:
        """A page with nothing but the series of these targets; the same object until something
        changes.
        """
        probed = self._current(self._clock()).probed
        if (keys, openmetrics) not in probed:
            text = page(self._page.of_targets(keys), openmetrics=openmetrics)
            probed[keys, openmetrics] = text.encode()
        return probed[keys, openmetrics]

    def _current(self, now: float) -> _Edition:
        edition = self._edition
        unchanged = (
            edition.version == self._store.version
            and edition.joined is self._joined
            and now < edition.expires
        )
        if edition.reload is not self.reload or not (unchanged or now < edition.kept_until):
            self._edition = self._assemble(now)
        return self._edition

    def _assemble(self, now: float) -> _Edition:
        states = self._store.states()
        shown, self._owners = views(states, self._owners, now)
        self._tell(shown)
        self._process.refresh()
        parts = {view.state.key: self._lines_of(view.state).parts(view) for view in shown}
        about_us = blocks(self_metrics.series(self.reload, self.discovered))
        own = about_us, self._joined
        self._page.show({_OWN: own, **parts})
        expiries = [view.state.expires for view in shown if view.snapshot is not None]
        expires = min([self._process.expires, *expiries])
        return _Edition(self._store.version, self.reload, self._joined, expires)

    def _lines_of(self, state: TargetState) -> TargetLines:
        if state not in self._lines:
            former = self._store.get(state.key)
            self._lines[state] = TargetLines(self._lines.get(former) if former else None)
        return self._lines[state]

    async def _write_ahead(self, state: TargetState) -> None:
        # Each poll pays for its own lines, so that no scrape pays for those of all targets.
        view = foreseen(state, self._owners, self._store.get, self._clock())
        for _ in self._lines_of(state).write(view):
            await asyncio.sleep(0)

    def _tell(self, shown: Iterable[View]) -> None:
        with_hidden = {view.state.key: len(view.hidden) for view in shown if view.hidden}
        for key in with_hidden.keys() - self._with_hidden:
            log.warning(
                "pools left out: another target gives them already",
                target=key.label,
                kind=key.kind,
                pools=with_hidden[key],
            )
        self._with_hidden = set(with_hidden)


@dataclass(slots=True)
class _Edition:
    """What the page was made of, and its text by whether it is OpenMetrics.

    `probed` has the pages of single targets.
    """

    version: int
    reload: ReloadStatus
    joined: Blocks
    expires: float
    plain: dict[bool, bytes] = field(default_factory=dict)
    probed: dict[tuple[tuple[TargetId, ...], bool], bytes] = field(default_factory=dict)
    kept_until: float = -inf
