"""Where answers are read that take long: beside the loop, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# One thread: each that computes takes its share from the scrapes.
_READING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-page")


async def read_aside(read: Callable[[bytes], Result], content: bytes) -> Result:
    """What `read` makes of the content. Cancelling gives the reading up, which then still ends."""
    return await asyncio.get_running_loop().run_in_executor(_READING, read, content)
