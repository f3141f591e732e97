"""Takes connections from pools of each library, and returns them.

No library is imported before one of its pools is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pg_pool_exporter.client.libraries.adapter import PoolAdapter
from pg_pool_exporter.client.registry import known

# A pool that is asked may have to make the connection first.
_PATIENCE_SECONDS = 0.2


class NoneFreeError(Exception):
    """The pool has no free connection now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Takes connections from one pool."""

    limit: float
    """The pool's maximum; infinity without one."""
    is_async: bool
    """Whether the two functions must be awaited."""
    take: Callable[[], Any]
    """A connection. Raises `NoneFreeError`, after a moment at the latest."""
    give_back: Callable[[Any], Any]
    """Takes a connection back."""


def taker(given: Any) -> Taker:
    """That of a pool or an engine. Raises `TypeError` for anything else, or one that can't be
    measured."""
    adapter_class, pool = known(given)
    adapter = adapter_class(pool, leak_after=1.0, server="")
    return _TAKERS[adapter.library](pool, adapter)


def _of_psycopg(pool: Any, adapter: PoolAdapter) -> Taker:
    from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

    refusals = PoolTimeout, TooManyRequests

    def take() -> Any:
        try:
            return pool.getconn(_PATIENCE_SECONDS)
        except refusals:
            raise NoneFreeError from None

    async def take_async() -> Any:
        try:
            return await pool.getconn(_PATIENCE_SECONDS)
        except refusals:
            raise NoneFreeError from None

    is_async = isinstance(pool, AsyncConnectionPool)
    return Taker(
        limit=adapter.limit(pool),
        is_async=is_async,
        take=take_async if is_async else take,
        give_back=pool.putconn,
    )


def _of_psycopg2(pool: Any, adapter: PoolAdapter) -> Taker:
    from psycopg2.pool import PoolError

    def take() -> Any:
        try:
            return pool.getconn()
        except PoolError:
            raise NoneFreeError from None

    limit = adapter.limit(pool)
    return Taker(limit=limit, is_async=False, take=take, give_back=pool.putconn)


def _of_asyncpg(pool: Any, adapter: PoolAdapter) -> Taker:
    async def take() -> Any:
        try:
            return await pool.acquire(timeout=_PATIENCE_SECONDS)
        except TimeoutError:
            raise NoneFreeError from None

    return Taker(limit=adapter.limit(pool), is_async=True, take=take, give_back=pool.release)


def _of_sqlalchemy(pool: Any, adapter: PoolAdapter) -> Taker:
    from sqlalchemy.pool import AsyncAdaptedQueuePool
    from sqlalchemy.util import greenlet_spawn

    limit = adapter.limit(pool)

    def take() -> Any:
        # The pool would let us wait for half a minute.
        if pool.checkedout() >= limit:
            raise NoneFreeError
        return pool.connect()

    def give_back(connection: Any) -> None:
        connection.close()

    is_async = isinstance(pool, AsyncAdaptedQueuePool)
    return Taker(
        limit=limit,
        is_async=is_async,
        take=partial(greenlet_spawn, take) if is_async else take,
        give_back=partial(greenlet_spawn, give_back) if is_async else give_back,
    )


_TAKERS: dict[str, Callable[[Any, PoolAdapter], Taker]] = {
    "psycopg_pool": _of_psycopg,
    "psycopg2": _of_psycopg2,
    "asyncpg": _of_asyncpg,
    "sqlalchemy": _of_sqlalchemy,
}
