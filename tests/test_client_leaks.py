"""Connections that are forgotten or kept: how they are shown, and where they are said to be."""

from __future__ import annotations

import asyncio
import gc
import linecache
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pg_pool_exporter.client import long_lived
from support.client import Watched, no_collection
from support.postgres import Cluster

Pool = ConnectionPool[Any]
AsyncPool = AsyncConnectionPool[Any]


def the_site(watched: Watched) -> tuple[str, str]:
    """Source line and function of the one leak there is, which is counted and its slot lost."""
    sample = watched.sample()
    assert (sample.leaked, sample.active, sample.overdue) == (1, 1, {})
    ((site, slots),) = sample.leaked_slots.items()
    assert slots == 1
    place, function = site.split(" ")
    file, _, line = place.rpartition(":")
    assert Path(file).name == Path(__file__).name, site
    return linecache.getline(__file__, int(line)).strip(), function


def test_a_dropped_connection_is_shown_at_once_with_its_line(pool: Pool) -> None:
    def handler() -> None:
        pool.getconn()  # the leak

    watched = Watched(pool)
    with no_collection():
        handler()
        line, function = the_site(watched)
    assert line == "pool.getconn()  # the leak"
    assert function.endswith("<locals>.handler")
    assert the_site(watched), "it is counted once, and stays lost"


def test_a_connection_that_was_used_closed_and_forgotten_is_a_leak(pool: Pool) -> None:
    """Closing it without `close_returns` doesn't give its slot back."""
    watched = Watched(pool)
    connection = pool.getconn()  # the leak
    connection.execute("select 1")
    connection.close()
    del connection
    assert the_site(watched)[0].endswith("# the leak")


def test_a_context_manager_of_the_applications_own_is_named(pool: Pool) -> None:
    @contextmanager
    def checked_out() -> Iterator[Any]:
        yield pool.getconn()  # and never returned

    watched = Watched(pool)
    with checked_out():
        pass
    line, function = the_site(watched)
    assert line.endswith("# and never returned")
    assert function.endswith("checked_out")


def test_the_line_that_uses_an_installed_helper_is_named_not_the_helper(
    pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "lib/site-packages/dbtools/pool.py"
    path.parent.mkdir(parents=True)
    helper: dict[str, Callable[[Pool], Any]] = {}
    exec(compile("def check_out(pool):\n    return pool.getconn()\n", path, "exec"), helper)

    watched = Watched(pool)
    helper["check_out"](pool)  # through a helper
    assert the_site(watched)[0].endswith("# through a helper")


def test_a_leak_in_a_worker_thread_names_the_function_that_it_runs(pool: Pool) -> None:
    def job() -> None:
        pool.getconn()  # in a thread

    watched = Watched(pool)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(job).result()
    line, function = the_site(watched)
    assert line.endswith("# in a thread")
    assert function.endswith("job")


class DatabaseWrapper:
    """Uses the pool as Django's does: getconn, kept on the wrapper, putconn by the connection."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.connection: Any = None

    def connect(self) -> None:
        self.connection = self.pool.getconn()  # wrapper

    def close(self) -> None:
        self.connection._pool.putconn(self.connection)
        self.connection = None


def test_a_wrapper_like_djangos_is_measured_and_its_leak_found(pool: Pool) -> None:
    watched = Watched(pool)
    wrapper = DatabaseWrapper(pool)
    wrapper.connect()
    wrapper.close()
    assert watched.is_clean()
    wrapper.connect()
    wrapper.connection = None
    line, function = the_site(watched)
    assert line.endswith("# wrapper")
    assert function == "DatabaseWrapper.connect"


async def _in_a_block(pool: AsyncPool) -> None:
    await pool.getconn()  # the leak


async def _in_a_task_of_its_own(pool: AsyncPool) -> None:
    await asyncio.wait_for(pool.getconn(), 5)  # the leak


async def _gathered(pool: AsyncPool) -> None:
    await asyncio.gather(pool.getconn())  # the leak


async def _by_a_nested_coroutine(pool: AsyncPool) -> None:
    await asyncio.create_task(_in_a_block(pool))


@pytest.mark.parametrize(
    "handler", [_in_a_block, _in_a_task_of_its_own, _gathered, _by_a_nested_coroutine]
)
def test_an_asynchronous_leak_names_the_line_that_asked(
    postgres: Cluster, handler: Callable[[AsyncPool], Any]
) -> None:
    async def main() -> None:
        async with AsyncConnectionPool(postgres.dsn(), min_size=2, open=False) as pool:
            await pool.wait()
            watched = Watched(pool)
            await handler(pool)
            await asyncio.sleep(0)  # the loop lets go of the future that has just ended
            gc.collect()  # and futures are cycles
            line, function = the_site(watched)
            assert line.endswith("# the leak")
            assert function in {handler.__name__, "_in_a_block"}

    asyncio.run(main())


def test_a_connection_in_a_cycle_is_a_leak_once_it_is_collected(pool: Pool) -> None:
    class Request:
        def __init__(self) -> None:
            self.connection = pool.getconn()  # in a cycle
            self.me = self

    watched = Watched(pool)
    with no_collection():
        Request()
        assert watched.sample().leaked == 0
    gc.collect()
    assert the_site(watched)[0].endswith("# in a cycle")


@long_lived
def _listen(pool: Pool) -> Any:
    return pool.getconn()


@long_lived
@contextmanager
def _leader(pool: Pool) -> Iterator[Any]:
    connection = pool.getconn()
    yield connection
    pool.putconn(connection)


def test_what_is_declared_long_lived_is_never_overdue_but_still_a_leak_when_dropped(
    pool: Pool,
) -> None:
    now = 1000.0
    watched = Watched(pool, leak_after=30, clock=lambda: now)
    listening = _listen(pool)
    with _leader(pool):
        now += 1e6
        sample = watched.sample()
        assert (sample.active, sample.overdue) == (2, {})
    del listening
    assert watched.sample().leaked == 1


def test_a_leaked_connection_is_not_kept_alive(pool: Pool) -> None:
    Watched(pool)
    with no_collection():
        connection = pool.getconn()
        reference = weakref.ref(connection)
        del connection
        assert reference() is None
