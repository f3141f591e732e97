"""Things that happen at the worst moment: in the same thread, inside our own code."""

from __future__ import annotations

import dis
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

CRITICAL = {"read", "_reading", "_tidy", "_add_up", "_add_up_if_free", "drop", "add", "settle",
            "name", "reclaim", "_named", "choose", "_turn", "acquired", "returning",
            "note"}  # fmt: skip
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


class TimeLimitError(Exception):
    """What a signal handler raises, as that of a task queue does."""


class Interruptions:
    """Raises `TimeLimitError` in the functions named `of`, three times at each place that can be.

    Python looks for signals after a call, at the beginning of a function and of a loop's next
    round, and not between any two steps: `with lock` can't be torn apart.
    """

    def __init__(self, of: set[str]) -> None:
        self._of = of
        self.where: list[str] = []

    def attempt(self, call: Callable[..., object], *arguments: object) -> None:
        """Call it; it ends by itself, or by `TimeLimitError`."""
        before, handler = sys.gettrace(), signal.signal(signal.SIGUSR2, _time_is_up)
        sys.settrace(self._trace)
        try:
            call(*arguments)
        except TimeLimitError:
            return
        finally:
            sys.settrace(before)
            signal.signal(signal.SIGUSR2, handler)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_name not in self._of:
            return None
        frame.f_trace_opcodes = True
        place = f"{frame.f_code.co_name}:{frame.f_lasti}"
        handled = frame.f_lasti in _where_signals_are_handled(frame.f_code)
        if event == "opcode" and handled and self.where.count(place) < 3:
            self.where.append(place)
            signal.raise_signal(signal.SIGUSR2)
        return self._trace


def _time_is_up(number: int, frame: FrameType | None) -> None:
    raise TimeLimitError


@lru_cache
def _where_signals_are_handled(code: CodeType) -> set[int]:
    steps = list(dis.get_instructions(code))
    after = {
        following.offset
        for step, following in pairwise(steps)
        if step.opname == "RESUME" or step.opname.startswith("CALL")
    }
    return after | {step.argval for step in steps if step.opname == "JUMP_BACKWARD"}


@contextmanager
def collected_at_each_line(of: set[str]) -> Iterator[None]:
    """Run the cyclic collector before each line, and as often as Python can besides."""
    before = gc.get_threshold()
    # Only what the block makes: some hundred megabytes of the tests' own take seconds each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(1)
    try:
        with interrupted_at_each_line(of, gc.collect):
            yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
