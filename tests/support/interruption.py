"""Things that happen at the worst moment: in the same thread, inside our own code."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

CRITICAL = {"read", "_add_up", "_add_up_if_free", "_find_leaks", "_take", "add", "leak",
             "acquired", "returning", "note"}  # fmt: skip
"""The functions of a tracker, and what they call while its lock is held."""


@contextmanager
def interrupted_at_each_line(of: set[str], then: Callable[[], object]) -> Iterator[list[str]]:
    """Call `then` before each line of the functions named `of`, in the thread that runs them.

    Only the first three times at a line: what `then` does is itself added up there.
    """
    where: list[str] = []
    busy = False

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal busy
        if frame.f_code.co_name not in of:
            return None
        line = f"{frame.f_code.co_name}:{frame.f_lineno}"
        if event == "line" and not busy and where.count(line) < 3:
            busy = True
            where.append(line)
            then()
            busy = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield where
    finally:
        sys.settrace(before)


@contextmanager
def collected_at_each_line(of: set[str]) -> Iterator[None]:
    """Run the cyclic collector before each line, and as often as Python can besides."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with interrupted_at_each_line(of, gc.collect):
            yield
    finally:
        gc.set_threshold(*before)
