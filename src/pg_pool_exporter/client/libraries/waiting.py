"""Requests that wait for a connection now, and since when."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")


class _Request:
    """One request, for as long as its call waits."""

    __slots__ = ("__weakref__", "since")

    def __init__(self, since: float) -> None:
        self.since = since


class Waiting:
    """Requests in the queue of one pool; `clock` returns seconds.

    The caller excludes other callers: it runs under the queue's own lock, or in the one thread of
    its loop.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Weak, as an exception from a signal handler can end a call anywhere.
        self._requests: dict[int, weakref.ref[_Request]] = {}
        self.queued = 0
        """Requests that had to wait since the pool was instrumented."""

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that waits for as long as the block lasts."""
        request = _Request(self._clock())
        self._requests[id(request)] = weakref.ref(request)
        self.queued += 1
        try:
            yield
        finally:
            self._requests.pop(id(request), None)

    def since(self) -> list[float]:
        """When each request that waits now began to."""
        # A copy is made in one step, whatever other threads do.
        requests = [reference() for reference in self._requests.copy().values()]
        return [request.since for request in requests if request is not None]

    def forget(self) -> None:
        """Start over in a forked child: requests of the parent never end here."""
        self._requests.clear()
        self.queued = 0


def copy(queue: deque[_T] | list[_T]) -> list[_T]:
    """A copy of a queue that other threads may change at the same time."""
    while True:
        try:
            return list(queue)
        except RuntimeError:  # changed during iteration
            continue
