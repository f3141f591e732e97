"""The store to pages: each snapshot is written once, each page once per change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

import structlog

from pg_pool_exporter import self_metrics
from pg_pool_exporter.compression import Compressor
from pg_pool_exporter.derive import Owners, View, views
from pg_pool_exporter.model import Health, PoolKey, Snapshot
from pg_pool_exporter.self_metrics import ProcessMetrics, ReloadStatus
from pg_pool_exporter.series import Series, of_health, of_pools, of_server
from pg_pool_exporter.store import Store, TargetKey
from pg_pool_exporter.textformat import Blocks, blocks, page

log = structlog.get_logger(__name__)


class Exposition:
    """The pages of `store`, made from memory alone.

    `clock` is monotonic, in seconds: the one that the states' times are on.
    """

    def __init__(
        self, store: Store, reload: ReloadStatus, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reload = reload
        """How the last load of the configuration went: replaced by who loads it."""
        self._store = store
        self._clock = clock
        self._process = ProcessMetrics(clock)
        self._targets: dict[TargetKey, _TargetLines] = {}
        self._owners: Owners = {}
        self._with_hidden: set[TargetKey] = set()
        self._edition = _Edition(-1, reload, clock(), {}, {})
        self._compressed = {
            openmetrics: Compressor(partial(self.plain, openmetrics=openmetrics))
            for openmetrics in (False, True)
        }
        store.subscribe(self._write_ahead)

    def plain(self, *, openmetrics: bool) -> bytes:
        """The whole page; the same object until something changes."""
        edition = self._current()
        if openmetrics not in edition.plain:
            own = self._process.page(openmetrics=openmetrics)
            edition.plain[openmetrics] = (own + edition.page(openmetrics=openmetrics)).encode()
        return edition.plain[openmetrics]

    async def compressed(self, *, openmetrics: bool) -> bytes:
        """The whole page, gzip."""
        return await self._compressed[openmetrics].get()

    def of_targets(self, keys: Iterable[TargetKey], *, openmetrics: bool) -> bytes:
        """A page with nothing but the series of these targets."""
        lines = self._current().lines
        parts = chain.from_iterable(lines[key] for key in keys if key in lines)
        return page(parts, openmetrics=openmetrics).encode()

    def _current(self) -> _Edition:
        edition, now = self._edition, self._clock()
        if (
            edition.version != self._store.version
            or edition.reload is not self.reload
            or now >= edition.expires
        ):
            edition = self._edition = self._assemble(now)
        return edition

    def _assemble(self, now: float) -> _Edition:
        states = self._store.states()
        shown, self._owners = views(states, self._owners, now)
        self._tell(shown)
        self._process.refresh()
        expiries = [view.state.expires for view in shown if view.snapshot is not None]
        return _Edition(
            self._store.version,
            self.reload,
            min([self._process.expires, *expiries]),
            {view.state.key: self._lines_of(view.state.key).blocks(view) for view in shown},
            blocks(self_metrics.series(self.reload)),
        )

    def _lines_of(self, key: TargetKey) -> _TargetLines:
        return self._targets.setdefault(key, _TargetLines())

    def _write_ahead(self, key: TargetKey) -> None:
        # Each poll pays for its own lines, so that no scrape pays for those of all targets.
        state = self._store.get(key)
        if state is None:
            self._targets.pop(key, None)
            return
        lines = self._lines_of(key)
        lines.blocks(View(state, state.snapshot, lines.hidden))

    def _tell(self, shown: Iterable[View]) -> None:
        with_hidden = {view.state.key: len(view.hidden) for view in shown if view.hidden}
        for key in with_hidden.keys() - self._with_hidden:
            log.warning(
                "pools left out: another target gives them already",
                target=key.name,
                kind=key.kind,
                pools=with_hidden[key],
            )
        self._with_hidden = set(with_hidden)


class _TargetLines:
    """What is written of one target; written again only when it changes."""

    def __init__(self) -> None:
        self.hidden: frozenset[PoolKey] = frozenset()
        self._snapshot: Snapshot | None = None
        self._health: Health | None = None
        self._folded = 0
        self._of_snapshot: Blocks = {}
        self._of_health: Blocks = {}

    def blocks(self, view: View) -> tuple[Blocks, ...]:
        key, health = view.state.key, view.state.health
        if self._health is not health or self._folded != view.folded:
            self._health, self._folded = health, view.folded
            self._of_health = blocks(of_health(key.name, key.kind, health, view.folded))
        if view.snapshot is None:
            return (self._of_health,)
        if self._snapshot is not view.snapshot or self.hidden != view.hidden:
            self._snapshot, self.hidden = view.snapshot, view.hidden
            self._of_snapshot = blocks(_of_view(key.name, view.snapshot, view.hidden))
        return (self._of_health, self._of_snapshot)


def _of_view(name: str, snapshot: Snapshot, hidden: frozenset[PoolKey]) -> Iterable[Series]:
    if snapshot.server is not None:
        yield from of_server(name, snapshot.server)
    yield from of_pools(pool for pool in snapshot.pools if pool.key not in hidden)


class _Edition:
    """The page of one version of the store."""

    def __init__(
        self,
        version: int,
        reload: ReloadStatus,
        expires: float,
        lines: dict[TargetKey, tuple[Blocks, ...]],
        own: Blocks,
    ) -> None:
        self.version = version
        self.reload = reload
        self.expires = expires
        self.lines = lines
        self.plain: dict[bool, bytes] = {}
        self._own = own

    def page(self, *, openmetrics: bool) -> str:
        parts = chain([self._own], chain.from_iterable(self.lines.values()))
        return page(parts, openmetrics=openmetrics)
