"""Makes a pool slow to give its connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from pg_pool_exporter.client.registry import known


@dataclass(slots=True)
class _Delay:
    """How long each request waits now; objects with the slow class look here."""

    seconds: float

    def within(self, timeout: float | None) -> tuple[float, bool]:
        """How long to wait, and whether the request has then timed out."""
        limit = inf if timeout is None else timeout
        return min(self.seconds, limit), 0 < self.seconds >= limit


@contextmanager
def slow(pool: Any, seconds: float) -> Iterator[None]:
    """Let each request of a pool (or an engine) wait that long before it is served.

    Where its own timeout is shorter it fails after that one, with the library's error. Works for
    synchronous and asynchronous pools alike. Raises `ValueError` for negative seconds, `TypeError`
    for what is no pool that can be measured.
    """
    if seconds < 0:
        raise ValueError(f"seconds must not be negative: {seconds}")
    adapter, found = known(pool)
    delay = _Delay(seconds)
    before = type(found)
    methods = _SLOW[adapter.library](before, delay)
    names = {"__module__": before.__module__, "__qualname__": before.__qualname__, "__slots__": ()}
    subclass = type(before.__name__, (before,), {**names, **methods})
    found.__class__ = subclass
    try:
        yield
    finally:
        # An engine that was disposed of in the block has a successor of the same class.
        delay.seconds = 0.0
        if type(found) is subclass:
            found.__class__ = before


def _psycopg(cls: Any, delay: _Delay) -> dict[str, Callable[..., Any]]:
    from psycopg_pool import AsyncConnectionPool, PoolTimeout

    def expired(timeout: float) -> PoolTimeout:
        return PoolTimeout(f"couldn't get a connection after {timeout:.2f} sec")

    def getconn(self: Any, timeout: float | None = None) -> Any:
        timeout = self.timeout if timeout is None else timeout
        pause, is_over = delay.within(timeout)
        time.sleep(pause)
        if is_over:
            raise expired(pause)
        return cls.getconn(self, timeout - pause)

    async def getconn_async(self: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg_pool's
        timeout = self.timeout if timeout is None else timeout
        pause, is_over = delay.within(timeout)
        await asyncio.sleep(pause)
        if is_over:
            raise expired(pause)
        return await cls.getconn(self, timeout - pause)

    return {"getconn": getconn_async if issubclass(cls, AsyncConnectionPool) else getconn}


def _psycopg2(cls: Any, delay: _Delay) -> dict[str, Callable[..., Any]]:
    def getconn(self: Any, key: Any = None) -> Any:
        time.sleep(delay.seconds)
        return cls.getconn(self, key)

    return {"getconn": getconn}


def _asyncpg(cls: Any, delay: _Delay) -> dict[str, Callable[..., Any]]:
    async def _acquire(self: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        pause, is_over = delay.within(timeout)
        await asyncio.sleep(pause)
        if is_over:
            raise TimeoutError
        return await cls._acquire(self, None if timeout is None else timeout - pause)

    return {"_acquire": _acquire}


def _sqlalchemy(cls: Any, delay: _Delay) -> dict[str, Callable[..., Any]]:
    from sqlalchemy.exc import TimeoutError as PoolTimeout
    from sqlalchemy.pool import AsyncAdaptedQueuePool
    from sqlalchemy.util import await_only

    is_async = issubclass(cls, AsyncAdaptedQueuePool)

    def connect(self: Any) -> Any:
        pause, is_over = delay.within(getattr(self, "_timeout", None))
        if is_async:
            await_only(asyncio.sleep(pause))
        else:
            time.sleep(pause)
        if is_over:
            raise PoolTimeout(f"connection timed out, timeout {pause:.2f}", code="3o7r")
        return cls.connect(self)

    return {"connect": connect}


_SLOW: dict[str, Callable[[Any, _Delay], dict[str, Callable[..., Any]]]] = {
    "psycopg_pool": _psycopg,
    "psycopg2": _psycopg2,
    "asyncpg": _asyncpg,
    "sqlalchemy": _sqlalchemy,
}
