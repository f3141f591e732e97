"""Garbage collections at the right time."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

_FULL_SECONDS = 60.0
# Of as many blocks, some 20,000 objects, a full collection takes less than 10 ms.
_FEW_BLOCKS = 50_000
_GROWTH = 1.5
_STATM = Path("/proc/self/statm")


class GarbageCollections:
    """The garbage collections that Python would not make in time, or too often.

    Python counts new objects less freed ones. Where polls replace what the polls before them made,
    that stays near 0, and what is young grows to 30,000 objects. So the young generations are
    collected every second. A full collection is made every minute where that is short; else only
    when the process has grown by half since the last one. `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # In the first minute targets come in: that growth is no garbage.
        self._full_at = clock() + _FULL_SECONDS
        # Of what is imported and configured: no collection visits it.
        self._first_blocks = sys.getallocatedblocks()
        self._size: tuple[int, int] | None = None

    def collect(self) -> None:
        """Make the collections that are due. To be called every second or so."""
        if self._clock() >= self._full_at:
            self._full_at = self._clock() + _FULL_SECONDS
            self._collect_all()
        elif has_generations():
            gc.collect(1)

    def _collect_all(self) -> None:
        size, former = self._size_now(), self._size
        has_grown = former is not None and any(
            now > _GROWTH * then for now, then in zip(size, former, strict=True)
        )
        if has_grown or size[0] <= _FEW_BLOCKS:
            gc.collect()
            self._size = self._size_now()
        elif former is None:
            self._size = size

    def _size_now(self) -> tuple[int, int]:
        """New blocks of memory, which are counted faster than objects, and resident memory in
        pages: few blocks can be large. Where the system does not show the memory it is 0.
        """
        blocks = sys.getallocatedblocks() - self._first_blocks
        try:
            return blocks, int(_STATM.read_text().split()[1])
        except OSError:
            return blocks, 0


def has_generations() -> bool:
    """Whether this Python collects by generations, and not in increments."""
    return gc.get_threshold()[2] > 0
