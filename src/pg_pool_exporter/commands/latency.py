"""Settings of the interpreter that keep the event loop responsive."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pg_pool_exporter.commands.garbage import has_generations

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


@contextmanager
def responsive() -> Iterator[None]:
    """Keep holds of the loop by other threads and by the garbage collector short.

    Cyclic garbage that outlives the young generations is left to `GarbageCollections`.
    """
    seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_SWITCH_SECONDS)
    if has_generations():
        gc.set_threshold(_YOUNG_OBJECTS, _MIDDLE_COLLECTION_EVERY, _NEVER)
    # Imported objects stay forever: no collection has to visit them again.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(seconds)
