"""Threads for work that blocks or computes for long, away from the event loop.

Each kind of work has its own lane, so work that hangs delays no other kind. All threads are daemon
threads: the end of the process waits for none of them, unlike those of an executor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError
from threading import Condition, Thread
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

IDLE_SECONDS = 10.0
"""An idle thread ends after this time."""
MAX_WAITING = 10_000
"""Jobs of one lane that wait for a thread."""


class LaneFullError(Exception):
    """Too many jobs wait in a lane. The message is for users."""


class NoThreadError(LaneFullError):
    """A lane has no thread, and the system allows no more."""


class _Job(NamedTuple):
    work: Callable[[], Any]
    key: Hashable | None
    future: Future[Any]


class Lane:
    """Runs jobs in order of arrival, at most `threads` at a time."""

    def __init__(self, name: str, *, threads: int = 1) -> None:
        self._name = name
        self._most = threads
        self._changed = Condition()
        self._waiting: deque[_Job] = deque()
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._threads = 0
        self._working = 0

    @property
    def under_way(self) -> tuple[Hashable, ...]:
        """Keys of the jobs with a key that have not ended, oldest first."""
        with self._changed:
            return tuple(self._under_way)

    async def run(
        self, work: Callable[[], T], *, key: Hashable = None, seconds: float | None = None
    ) -> T:
        """The result of `work`, or its exception.

        Raises `TimeoutError` after `seconds`, and `LaneFullError`. A timeout or a cancellation
        takes effect at once; a job that has begun goes on, one that has not never begins. Jobs
        with the same `key` run once: later callers share the one under way, which can't be
        cancelled.
        """
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(self._submit(work, key))

    def wait(self, work: Callable[[], T], *, key: Hashable = None, seconds: float) -> T:
        """`run` for callers that are in a thread, or have no event loop yet."""
        future = self._submit(work, key)
        try:
            return future.result(seconds)
        finally:
            future.cancel()

    def begin(self, work: Callable[[], object]) -> None:
        """Start `work`, which raises nothing, without waiting for it."""
        self._submit(work, None)

    def _submit(self, work: Callable[[], T], key: Hashable) -> Future[T]:
        with self._changed:
            if key is not None and key in self._under_way:
                return self._under_way[key]
            if len(self._waiting) >= MAX_WAITING:
                raise LaneFullError(f"more than {MAX_WAITING} jobs wait for: {self._name}")
            idle = self._threads - self._working
            if len(self._waiting) >= idle and self._threads < self._most:
                self._start_thread()
            future: Future[T] = Future()
            if key is not None:
                future.set_running_or_notify_cancel()
                self._under_way[key] = future
            self._waiting.append(_Job(work, key, future))
            self._changed.notify()
            return future

    def _start_thread(self) -> None:
        try:
            Thread(target=self._work, name=self._name, daemon=True).start()
        except (RuntimeError, MemoryError):
            # Of the host, or of a container with a limit of processes.
            if not self._threads:
                raise NoThreadError(
                    "no thread can be started: raise the limit of processes (TasksMax, pids)"
                ) from None
        else:
            self._threads += 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)
            # The result may be large, and the next job may be long in coming.
            del job

    def _next(self) -> _Job | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, IDLE_SECONDS):
                self._threads -= 1
                return None
            self._working += 1
            return self._waiting.popleft()

    def _do(self, job: _Job) -> None:
        outcome: Any = None
        error: BaseException | None = None
        if job.key is not None or job.future.set_running_or_notify_cancel():
            try:
                outcome = job.work()
            except BaseException as raised:  # noqa: BLE001 - the caller gets it
                error = raised
        # Before the caller goes on: its next job finds this thread idle.
        with self._changed:
            self._working -= 1
            if job.key is not None:
                del self._under_way[job.key]
        try:
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(outcome)
        except InvalidStateError:
            pass  # cancelled before it began


PARSING = Lane("parse")
"""For documents from outside that take long to parse. One thread: each takes its share of the
scrapes' CPU time."""
