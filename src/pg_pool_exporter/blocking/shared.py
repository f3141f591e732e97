"""One result for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from pg_pool_exporter.blocking.threads import Lane

S = TypeVar("S")
T = TypeVar("T")


class SharedResult(Generic[S, T]):
    """The result of `make` for the latest `source`, made in a thread of `lane`.

    `source` returns the same object as long as its content holds; then the last result is returned.
    It is called, and its object freed, on the loop, so the object must be small.
    However many callers there are, at most one result is under way, and one is to follow it.
    """

    def __init__(self, source: Callable[[], S], make: Callable[[S], T], lane: Lane) -> None:
        self._source = source
        self._make = make
        self._lane = lane
        self._of: S | None = None
        self._task: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The result for the source as it is during this call, or later. Raises what `make` does;
        the next call tries again.
        """
        task = self._task
        if task is None or self._of is not self._source() or _has_failed(task):
            # One that is under way may lack the latest change. The next one serves all who have
            # waited for its end.
            if task is not None and not task.done():
                await asyncio.wait({task})
            if self._task is task:
                self._of = self._source()
                self._task = asyncio.create_task(self._lane.run(partial(self._make, self._of)))
            task = self._task
        assert task is not None
        # A cancelled caller does not cancel it for the others.
        return await asyncio.shield(task)


def _has_failed(task: asyncio.Task[T]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
