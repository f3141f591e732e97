"""Takes the connections of a pool, so that a test sees its application's answer."""

from __future__ import annotations

import time
from collections import Counter
from math import isfinite
from typing import Any

from pg_pool_exporter.testing.steps import Steps, do, do_in_loop, to_the_end
from pg_pool_exporter.testing.takers import NoneFreeError, taker
from pg_pool_exporter.testing.watch import Watch

WAIT_SECONDS = 5.0


class _Saturated:
    """See `saturated`."""

    def __init__(self, pool: Any, leave: int, wait: float) -> None:
        self._pool = pool
        self._taker = taker(pool)
        limit = self._taker.limit
        if not isfinite(limit):
            raise ValueError("the pool has no maximum, so that it can't be saturated")
        if not 0 <= leave < limit:
            raise ValueError(f"leave must be from 0 to {limit - 1:.0f}, not {leave}")
        self._wanted = int(limit) - leave
        self._wait = wait
        self._taken: list[Any] = []

    def __enter__(self) -> None:
        if self._taker.is_async:
            raise TypeError("this pool is asynchronous: use `async with saturated(…)`")
        try:
            do(self._take_all())
        except BaseException:
            do(self._return_all())
            raise

    def __exit__(self, *_exception: object) -> None:
        do(self._return_all())

    async def __aenter__(self) -> None:
        try:
            await self._run_in_loop(self._take_all())
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_exception: object) -> None:
        await to_the_end(self._run_in_loop(self._return_all()))

    def _take_all(self) -> Steps[None]:
        deadline = time.monotonic() + self._wait
        others = _sites_of(self._pool)
        while len(self._taken) < self._wanted:
            try:
                yield self._take
            except NoneFreeError:
                if time.monotonic() > deadline:
                    raise TimeoutError(self._refusal(others)) from None
                yield None

    def _take(self) -> Any:
        # Kept by the call itself: an interrupt after it must not lose the connection.
        if self._taker.is_async:
            return self._take_in_loop()
        self._taken.append(self._taker.take())
        return None

    async def _take_in_loop(self) -> None:
        self._taken.append(await self._taker.take())

    def _return_all(self) -> Steps[None]:
        failed: Exception | None = None
        while self._taken:
            connection = self._taken.pop()
            try:
                yield lambda: self._taker.give_back(connection)  # noqa: B023 - called before the next
            except Exception as error:  # noqa: BLE001 - raised once the others are returned
                failed = failed or error
        if failed is not None:
            raise failed

    def _refusal(self, others: Counter[str]) -> str:
        missing = self._wanted - len(self._taken)
        lines = ", ".join(f"{site} ({count})" for site, count in sorted(others.items()))
        return (
            f"{missing} of the {self._wanted} connections that were to be taken were not returned "
            f"within {self._wait:g} s; checked out before at: {lines or 'unknown lines'}"
        )

    async def _run_in_loop(self, steps: Steps[None]) -> None:
        await do_in_loop(steps, in_thread=not self._taker.is_async)


def _sites_of(pool: Any) -> Counter[str]:
    """The lines that have connections of the pool checked out, as far as that was seen."""
    watch = Watch()
    try:
        return Counter(one.site for one in watch.held([watch.instrument(pool)]))
    finally:
        watch.close()


def saturated(pool: Any, *, leave: int = 0, wait: float = WAIT_SECONDS) -> _Saturated:
    """A block in which all connections of a pool (or an engine) are taken, but for `leave`.

    `with` for a synchronous pool, `async with` for either kind. Connections that are checked out
    when the block begins have `wait` seconds to come back, as only what is taken here surely stays
    away. They are all returned at the end.

    Raises `TimeoutError` where the connections can't be had, with the lines that have them;
    `ValueError` for a pool without a maximum and for a wrong `leave`; `TypeError` for what is no
    pool that can be measured.
    """
    return _Saturated(pool, leave, wait)
