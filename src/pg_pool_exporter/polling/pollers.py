"""One running poller for each target."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import NamedTuple

import structlog

from pg_pool_exporter.discovery import Target
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.log_limit import LogLimit
from pg_pool_exporter.polling.poller import Poller, unforeseen
from pg_pool_exporter.polling.store import Store

log = structlog.get_logger(__name__)

# Sources close at once; one that does not must not delay the others, or the end. Thousands of them
# take longer on a busy host, so they are waited for while some end in each of these periods.
_STOP_SECONDS = 1.0
_STOP_PERIODS = 10

# Lines about processes at once, and seconds until there may be one more: every application can make
# sockets that come and go.
_BURST = 1000
_SECONDS_PER_LINE = 1.0


class _Running(NamedTuple):
    target: Target
    task: asyncio.Task[None]


class Pollers:
    """Starts and stops pollers as targets come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[TargetId, _Running] = {}
        self._changing = asyncio.Lock()
        self._process_lines = LogLimit(_BURST, _SECONDS_PER_LINE)

    async def follow(self, targets: Iterable[Target]) -> None:
        """Poll exactly `targets`; those that are polled already go on undisturbed.

        A target that has ended (`TargetGoneError`) is not tried again while it is listed: only
        another target in its place is. Any other poller that has ended is restarted.
        """
        wanted = {target.id: target for target in targets}
        async with self._changing:
            await self._stop(
                [
                    key
                    for key, running in self._running.items()
                    if wanted.get(key) != running.target or self._has_broken(key, running.task)
                ]
            )
            for key, target in wanted.items():
                if key not in self._running:
                    self._start(key, target)
                    # A thousand first polls at once would delay a scrape.
                    await asyncio.sleep(0)
        if left_out := self._process_lines.left_out():
            log.warning("processes come and go too often to log all", left_out=left_out)

    async def close(self) -> None:
        """Stop all pollers."""
        async with self._changing:
            await self._stop(list(self._running))

    def _has_broken(self, key: TargetId, task: asyncio.Task[None]) -> bool:
        return task.done() and self._store.get(key) is not None

    def _start(self, key: TargetId, target: Target) -> None:
        limit = self._process_lines if key.kind == "process" else None
        poller = Poller(target, target.source(), self._store, limit)
        task = asyncio.create_task(poller.run(), name=f"poll {key.title}")
        self._running[key] = _Running(target, task)

    async def _stop(self, keys: Collection[TargetId]) -> None:
        # The former poller ends before another one of the same target begins: a target never has
        # two connections of ours.
        if not keys:
            return
        leaving = {key: self._running.pop(key) for key in keys}
        for running in leaving.values():
            running.task.cancel()
        ending = {running.task for running in leaving.values()}
        for _ in range(_STOP_PERIODS):
            ended, ending = await asyncio.wait(ending, timeout=_STOP_SECONDS)
            if not ended or not ending:
                break
        for key, running in leaving.items():
            self._log(key, running.task)
            self._store.remove(key)

    def _log(self, key: TargetId, task: asyncio.Task[None]) -> None:
        if not task.done():
            log.error("poller does not stop", target=key.label, kind=key.kind)
        elif not task.cancelled() and (error := task.exception()) is not None:
            failure = unforeseen(error)
            log.error(
                "poller failed",
                target=key.label,
                kind=key.kind,
                error=failure.error,
                stack=failure.stack,
            )
