"""Settings of the interpreter that keep the event loop responsive."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A thread that computes gives way to the loop after a tenth of Python's 5 ms.
_SWITCH_SECONDS = 0.0005
# A collection holds all threads, for 0.5 ms with 1,000 objects. Python's collects the youngest
# generation at 700 objects, or 2,000 since 3.13, and the middle one at ten times that.
_YOUNG_OBJECTS = 350
_MIDDLE_COLLECTION_EVERY = 2
# A full one takes 100 ms with 2,000 pools. By default it comes whenever a quarter of the objects is
# new: every few seconds, as each poll replaces its target's. It would find next to nothing: our own
# values form no cycles, and those of asyncio and aiohttp die young. Python 3.14.0 to 3.14.4 collect
# in increments, and their third threshold is always 0; later ones have generations again.
_NEVER = 2**31 - 1

_FULL_SECONDS = 60.0
# A full collection of as many objects takes less than 10 ms.
_FEW_OBJECTS = 20_000
_GROWTH = 1.5
_STATM = Path("/proc/self/statm")


class Collector:
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
        self._size: tuple[int, int] | None = None

    def collect(self) -> None:
        """Make the collections that are due. To be called every second or so."""
        if self._clock() >= self._full_at:
            self._full_at = self._clock() + _FULL_SECONDS
            self._collect_all()
        elif _has_generations():
            gc.collect(1)

    def _collect_all(self) -> None:
        size, former = _size(), self._size
        has_grown = former is not None and any(
            now > _GROWTH * then for now, then in zip(size, former, strict=True)
        )
        if has_grown or size[0] <= _FEW_OBJECTS:
            gc.collect()
            self._size = _size()
        elif former is None:
            self._size = size


def _has_generations() -> bool:
    return gc.get_threshold()[2] > 0


def _size() -> tuple[int, int]:
    """Objects that a full collection visits, and resident memory in pages: garbage of few objects
    can hold much. Where the system does not show the memory it is 0.
    """
    objects = len(gc.get_objects())
    try:
        return objects, int(_STATM.read_text().split()[1])
    except OSError:
        return objects, 0


@contextmanager
def responsive() -> Iterator[None]:
    """Keep holds of the loop by other threads and by the garbage collector short.

    Cyclic garbage that outlives the young generations is left to a `Collector`.
    """
    seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_SWITCH_SECONDS)
    if _has_generations():
        gc.set_threshold(_YOUNG_OBJECTS, _MIDDLE_COLLECTION_EVERY, _NEVER)
    # Imported objects stay forever: no collection has to visit them again.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(seconds)
