"""The lines of one target: written once a poll, and again only where something has changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pg_pool_exporter.exposition.page_lines import Parts
from pg_pool_exporter.metrics.series import (
    Series,
    of_bouncer,
    of_health,
    of_log,
    of_pools,
    of_server,
)
from pg_pool_exporter.metrics.text_format import blocks
from pg_pool_exporter.model import PoolId, Snapshot
from pg_pool_exporter.polling.views import View

# Series that are written in one go: some milliseconds, in which no scrape is answered.
_STEP = 500


class TargetLines:
    """What is written of one state of a target.

    `former` are those of the state before it, whose snapshot it has when its poll failed.
    """

    def __init__(self, former: TargetLines | None) -> None:
        self._hidden: frozenset[PoolId] = former._hidden if former else frozenset()
        self._snapshot: Snapshot | None = former._snapshot if former else None
        self._of_snapshot: Parts = former._of_snapshot if former else ()
        self._folded: int | None = None
        self._of_health: Parts = ()
        self._all: Parts = ()

    def parts(self, view: View) -> Parts:
        """All lines that `view` shows of the state: the same object as long as they are.

        Pools that were hidden until now are left to the next poll, which writes them ahead.
        """
        if view.snapshot is self._snapshot and view.hidden < self._hidden:
            view = view._replace(hidden=self._hidden)
        for _ in self.write(view):
            pass
        return self._all if view.snapshot else self._of_health

    def write(self, view: View) -> Iterator[None]:
        """Write what is not written yet. It yields after each step of bounded length."""
        key = view.state.key
        if self._folded != view.folded:
            self._folded = view.folded
            health = of_health(key.label, key.kind, view.state.health, view.folded)
            self._of_health = (blocks(health),)
            self._all = self._of_health + self._of_snapshot
        snapshot = view.snapshot
        if snapshot is None or (snapshot is self._snapshot and view.hidden == self._hidden):
            return
        series = _series(key.name, snapshot, view.hidden)
        parts = []
        while step := list(islice(series, _STEP)):
            parts.append(blocks(step))
            yield
        self._snapshot, self._hidden, self._of_snapshot = snapshot, view.hidden, tuple(parts)
        self._all = self._of_health + self._of_snapshot


def _series(name: str, snapshot: Snapshot, hidden: frozenset[PoolId]) -> Iterator[Series]:
    if snapshot.server is not None:
        yield from of_server(name, snapshot.server)
    if snapshot.log is not None:
        yield from of_log(name, snapshot.log)
    if snapshot.bouncer is not None:
        yield from of_bouncer(name, snapshot.bouncer)
    yield from of_pools(pool for pool in snapshot.pools if pool.key not in hidden)
