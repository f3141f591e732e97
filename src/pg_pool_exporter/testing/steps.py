"""Does the steps of a generator, in this thread or in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Steps = Generator[Callable[[], Any] | None, Any, Result]
"""Yields what is to be called, and gets its result or its error; None is a moment's pause.

An interrupt or a cancellation ends it where it is: what must be done then is its caller's to do.
"""
_PAUSE_SECONDS = 0.01


def do(steps: Steps[Result]) -> Result:
    """Do the steps in this thread. Returns what the generator does, and raises what it raises."""
    result: Any = None
    failure: Exception | None = None
    while True:
        ended, step = _next(steps, result, failure)
        if ended:
            returned: Result = step
            return returned
        result = failure = None
        try:
            result = time.sleep(_PAUSE_SECONDS) if step is None else step()  # type: ignore[func-returns-value]
        except Exception as error:  # noqa: BLE001 - the generator's to handle
            failure = error


async def do_in_loop(steps: Steps[Result], *, in_thread: bool = False) -> Result:
    """The same in a loop, whose other tasks run meanwhile; `in_thread`: the steps block.

    Cancelling takes effect after the call that is under way.
    """
    result: Any = None
    failure: Exception | None = None
    while True:
        ended, step = _next(steps, result, failure)
        if ended:
            returned: Result = step
            return returned
        result = failure = None
        try:
            if step is None:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                result = await to_the_end(asyncio.to_thread(step) if in_thread else step())
        except Exception as error:  # noqa: BLE001 - the generator's to handle
            failure = error


def _next(steps: Steps[Any], result: Any, failure: Exception | None) -> tuple[bool, Any]:
    """Whether the generator has ended, and what it returned then, else its next step.

    It gets the result of its last step, or its failure.
    """
    try:
        return False, steps.send(result) if failure is None else steps.throw(failure)
    except StopIteration as end:
        return True, end.value


async def to_the_end(work: Awaitable[Result]) -> Result:
    """The result of `work`, which is not cancelled: a cancellation is raised when it has ended."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    task.exception()  # else asyncio logs it
    raise cancelled
