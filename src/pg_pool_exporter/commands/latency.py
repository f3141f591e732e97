"""Settings of the interpreter that keep the event loop responsive."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A thread that computes gives way to the loop after a tenth of Python's 5 ms.
_SWITCH_SECONDS = 0.0005
# A collection holds all threads. Python's collects the middle generation after ten of the youngest:
# 7 ms with 2,000 pools, half of it after four. A full one takes 60 ms there, and by default comes
# whenever a quarter of the objects is new, so every few seconds. The exporter makes few reference
# cycles: the younger generations find most of them. Python 3.14.0 to 3.14.4 collect in
# increments: a lower second threshold makes their pauses longer, and the third is always 0.
_MIDDLE_COLLECTION_EVERY = 4
_FULL_COLLECTION_EVERY = 2500


@contextmanager
def responsive() -> Iterator[None]:
    """Keep holds of the loop by other threads and by the garbage collector short."""
    seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_SWITCH_SECONDS)
    if thresholds[2] > 0:
        gc.set_threshold(thresholds[0], _MIDDLE_COLLECTION_EVERY, _FULL_COLLECTION_EVERY)
    # Imported objects stay forever: no collection has to visit them again.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(seconds)
