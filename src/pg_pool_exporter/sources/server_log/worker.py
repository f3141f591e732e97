"""Blocking work in a thread of its own, one job at a time.

A job that hangs (a file on a dead network disk) must hold up neither the loop, nor other logs, nor
the end of the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


class Worker:
    """Runs jobs one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: Future[object] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._last is not None and not self._last.done()

    async def run(self, job: Callable[[], Result]) -> Result:
        """The outcome of the job, which begins once the one before is done.

        Cancelling takes effect at once; a job that has begun goes on.
        """
        if self._last is not None and not self._last.done():
            former = asyncio.wrap_future(self._last)
            former.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait({former})
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        self._last = future  # type: ignore[assignment] # only asked whether it is done
        Thread(target=_work, args=(job, future), name=self._name, daemon=True).start()
        return await asyncio.wrap_future(future)


def _work(job: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        future.set_exception(error)
