"""The queue of a psycopg_pool's waiting requests, told apart by when they joined it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pg_pool_exporter.client.waiting import copy


class TimedQueue(deque[Any]):
    """Takes the place of the pool's own queue, with what waits in `waiting`.

    The pool touches it under its own lock, and only when no connection is free. `clock` gives
    seconds.
    """

    def __init__(self, waiting: Iterable[Any], clock: Callable[[], float]) -> None:
        super().__init__(waiting)
        self._clock = clock
        # By identity: a request has slots and takes no attribute.
        self._since = {id(request): clock() for request in self}
        self.queued = 0
        """Requests that have joined since the pool was instrumented."""

    def append(self, request: Any) -> None:
        self._since[id(request)] = self._clock()
        self.queued += 1
        super().append(request)

    def popleft(self) -> Any:
        request = super().popleft()
        self._since.pop(id(request), None)
        return request

    def clear(self) -> None:
        super().clear()
        self._since.clear()

    def forget(self) -> None:
        """Start counting anew; those that wait now never end, as a fork has left them behind."""
        self._since.clear()
        self.queued = 0

    def live(self) -> list[float]:
        """When those joined that still wait. One that has given up stays in for a while."""
        known = ((request, self._since.get(id(request))) for request in copy(self))
        return [
            since
            for request, since in known
            if since is not None and request.conn is None and request.error is None
        ]
