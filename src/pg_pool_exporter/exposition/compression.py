"""Compressed pages: one at a time, shared by all who ask, off the loop when they are large."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from functools import partial

from pg_pool_exporter.blocking.threads import Lane

# Compressing less than this takes the loop less than a thread's turn would.
_THREAD_FROM = 64 * 1024
# Level 1 is several times faster than the default, and pages still shrink by a factor of 12.
_LEVEL = 1


class Compressor:
    """The gzip form of a page that changes.

    `source` gives the page as it is now: the same object for as long as it holds.
    """

    def __init__(self, source: Callable[[], bytes]) -> None:
        self._source = source
        self._lane = Lane("gzip")
        self._plain: bytes | None = None
        self._task: asyncio.Task[bytes] | None = None

    async def get(self) -> bytes:
        """The page as `source` gives it during this call, or a later one."""
        task = self._task
        if task is None or self._plain is not self._source():
            # One that runs already began before this call, so it may lack the latest change. The
            # next one serves everybody who has waited for it: under load there are never more
            # than this one running and that one to come, whatever the number of clients.
            if task is not None and not task.done():
                await asyncio.wait({task})
            if self._task is task:
                self._plain = self._source()
                self._task = asyncio.create_task(self._compress(self._plain))
            task = self._task
        assert task is not None
        return await asyncio.shield(task)

    async def _compress(self, plain: bytes) -> bytes:
        compress = partial(gzip.compress, plain, _LEVEL, mtime=0)
        if len(plain) < _THREAD_FROM:
            return compress()
        return await self._lane.run(compress)
