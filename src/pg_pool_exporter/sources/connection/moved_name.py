"""Notices that a host's name has moved to another server than the one in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from math import inf

LOOK_UP_SECONDS = 30.0
"""Between two lookups of a name in use."""
ABSENT_LOOKUPS = 10
"""Lookups in a row with the same answer, without the address, before the name has moved.

The same: some names give one of several addresses each time, as an endpoint for all replicas does.
"""


class MovedName:
    """Looks up a name now and then beside the polls. `clock` is monotonic, in seconds.

    `look_up` gives all addresses of the name. A name without an address has not moved: it cannot be
    looked up.
    """

    def __init__(
        self,
        look_up: Callable[[], Coroutine[None, None, Collection[str]]],
        clock: Callable[[], float],
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._address = ""
        self._answer: Collection[str] = ()
        self._absent = 0
        self._begun = -inf
        self._task: asyncio.Task[Collection[str]] | None = None

    def has_left(self, address: str) -> bool:
        """Whether the name no longer leads to `address`, by the lookups until now: said once.

        Begins the next lookup when it is due. False for the empty address of a local socket.
        """
        if address != self._address:
            self._address, self._absent, self._begun = address, 0, self._clock()
        if not address:
            return False
        self._take_in()
        now = self._clock()
        if self._task is None and now - self._begun >= LOOK_UP_SECONDS:
            self._begun = now
            self._task = asyncio.create_task(self._look_up())
        if self._absent < ABSENT_LOOKUPS:
            return False
        self._absent = 0
        return True

    async def close(self) -> None:
        """End the lookup under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _take_in(self) -> None:
        if self._task is None or not self._task.done():
            return
        task, self._task = self._task, None
        # Such as for want of a thread: no answer, and no reason to fail a poll.
        if task.cancelled() or task.exception() is not None or not (found := task.result()):
            return
        if self._address in found:
            self._absent = 0
        else:
            self._absent = self._absent + 1 if found == self._answer else 1
        self._answer = found
