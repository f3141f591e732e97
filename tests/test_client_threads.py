"""Pools of several libraries used by threads, signal handlers and the collector at any moment."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import FrameType
from typing import Any

import psycopg2.pool
import pytest
from sqlalchemy import create_engine

from support.client import Watched
from support.interruption import CRITICAL, collected_at_each_line, interrupted_at_each_line
from support.pools import url
from support.postgres import Cluster

_THREADS = 6
# The measuring methods of all adapters, besides those of the tracker.
_METHODS = CRITICAL | {"connect", "_do_return_conn", "get", "getconn", "_putconn", "request",
                       "returned", "standing", "sample", "samples", "since"}  # fmt: skip

Use = Callable[[], None]


@pytest.fixture(params=["sqlalchemy", "sqlalchemy that waits", "psycopg2"])
def use(request: pytest.FixtureRequest, postgres: Cluster) -> Iterator[tuple[Watched, Use]]:
    """An instrumented pool, and a checkout with its return."""
    if request.param == "psycopg2":
        pool = psycopg2.pool.ThreadedConnectionPool(_THREADS, _THREADS, postgres.dsn())
        yield Watched(pool), lambda: pool.putconn(pool.getconn())
        pool.closeall()
        return
    size = 2 if "waits" in request.param else _THREADS
    engine = create_engine(
        url("postgresql+psycopg", postgres.dsn()), pool_size=size, max_overflow=0
    )
    yield Watched(engine), lambda: engine.connect().close()
    engine.dispose()


def test_of_all_checkouts_by_threads_none_is_lost_and_no_counter_ever_falls(
    use: tuple[Watched, Use],
) -> None:
    watched, once = use

    def work() -> None:
        for _ in range(500):
            once()

    threads = [threading.Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    readings: list[Any] = []
    for thread in threads:
        while thread.is_alive():
            sample = watched.sample()
            readings.append((sample.acquired, sample.returned, sample.queued or 0, sample.held))
            thread.join(0.005)
    last = watched.sample()
    total = _THREADS * 500
    assert (last.acquired, last.returned, last.requests) == (total, total, total)
    assert (last.active, last.waiting or 0) == (0, 0)
    assert 0 <= (last.queued or 0) <= total
    assert all(b >= a for old, new in pairwise(readings) for a, b in zip(old, new, strict=True))
    assert watched.is_clean()


# Not psycopg2's: a signal handler that uses it while its own lock is held waits forever, also
# without us.
@pytest.mark.parametrize("use", ["sqlalchemy", "sqlalchemy that waits"], indirect=True)
def test_a_signal_handler_may_use_the_pool_at_any_line_of_ours(use: tuple[Watched, Use]) -> None:
    watched, once = use
    handled = 0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal handled
        once()
        handled += 1

    once()
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with interrupted_at_each_line(_METHODS, lambda: signal.raise_signal(signal.SIGUSR1)):
            for _ in range(130):
                once()
            watched.sample()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled > 50
    sample = watched.sample()
    assert (sample.acquired, sample.returned) == (131 + handled, 131 + handled)
    assert watched.is_clean()


def test_dropped_connections_of_an_engine_are_given_back_inside_our_own_code(
    postgres: Cluster,
) -> None:
    engine = create_engine(url("postgresql+psycopg", postgres.dsn()), pool_size=8, max_overflow=0)
    watched = Watched(engine)

    class Request:
        def __init__(self) -> None:
            self.connection = engine.connect()
            self.me = self

    with collected_at_each_line({"returning", "_do_return_conn", "acquired", "_tidy"}):
        for _ in range(8):
            Request()
        watched.sample()
    gc.collect()
    sample = watched.sample()
    assert (sample.acquired, sample.returned, sample.leaked) == (8, 8, 0)
    assert watched.is_clean()
    engine.dispose()
