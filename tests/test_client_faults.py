"""Whatever goes wrong in measuring costs the application nothing: no error, no connection."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import sqlalchemy
from psycopg_pool import ConnectionPool, PoolTimeout

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.client.sites import calling_site, describe
from pg_pool_exporter.client.tracker import Tracker
from support.client import Watched
from support.interruption import TimeLimitError
from support.postgres import Cluster
from support.tracking import HERE, Connection


class Hostile(str):
    """A text that can be asked nothing."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise ZeroDivisionError("hostile")

    def startswith(self, *args: Any) -> bool:
        raise ZeroDivisionError("hostile")


@pytest.mark.parametrize("entry", [b"/srv/shop", None, 7, Path("/srv")])
def test_an_odd_entry_in_pythons_path_costs_no_checkout_and_hides_no_leak(
    pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch, entry: object
) -> None:
    """A batch of events, among them a dropped connection, is added up inside a checkout."""
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    watched = Watched(pool)
    pool.getconn()
    for _ in range(300):
        pool.putconn(pool.getconn())
    sample = watched.sample()
    assert (sample.acquired, sample.returned, sample.leaked) == (301, 300, 1)
    assert [site.rpartition(":")[0].rpartition("/")[2] for site in sample.leaked_slots] == [
        Path(__file__).name
    ]


def test_a_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(300):
        absorb(ValueError("x"), "testing that a fault is logged once")
    assert [record.name for record in caplog.records] == ["pg_pool_exporter.client"]


def test_a_site_that_cannot_be_named_is_unknown_and_counted() -> None:
    one = Tracker(limit=5, leak_after=60)
    code = compile("", "", "exec").replace(co_filename=Hostile("nowhere-else.py"))
    for _ in range(300):
        one.acquired(Connection(), one.clock(), (code, 0))
    reading = one.read()
    assert (reading.leaked, reading.leaked_slots) == (300, {"unknown": 300})


def test_frames_of_hostile_files_are_harmless() -> None:
    def asks() -> Any:
        return calling_site()

    asks.__code__ = asks.__code__.replace(co_filename=Hostile("x.py"))

    def inner() -> Any:
        return asks()

    inner.__code__ = inner.__code__.replace(co_filename=Hostile("y.py"))
    assert isinstance(describe(inner()), str)


def test_a_connection_that_takes_no_weak_reference_is_still_handed_out() -> None:
    one = Tracker(limit=5, leak_after=60)
    one.acquired((), one.clock(), HERE)
    assert one.returning(()) is None
    assert one.read().active == 0


def test_a_process_that_cannot_show_itself_after_a_fork_works_on() -> None:
    def fail() -> None:
        raise OSError("no directory")

    one = Tracker(limit=5, leak_after=60)
    one.forked(fail)
    connection = Connection()
    one.acquired(connection, one.clock(), HERE)
    assert one.returning(connection) is not None


def test_a_log_handler_of_the_application_that_fails_is_harmless() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError

    log = logging.getLogger("pg_pool_exporter.client")
    handler = Broken()
    log.addHandler(handler)
    try:
        absorb(ValueError("x"), "testing a broken log handler")
    finally:
        log.removeHandler(handler)


class HostileError(Exception):
    """An error of an application that can't be looked at."""

    @property  # type: ignore[misc]  # hostile
    def __class__(self) -> Any:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError


def test_a_hostile_error_of_a_request_reaches_the_application_as_it_is(postgres: Cluster) -> None:
    class Failing(ConnectionPool[Any]):
        def getconn(self, timeout: float | None = None) -> Any:
            raise HostileError

    with Failing(postgres.dsn(), min_size=1, open=True) as pool:
        watched = Watched(pool)
        with pytest.raises(HostileError):
            pool.getconn()
        assert watched.sample().acquired == 0


def test_a_hostile_error_of_a_statement_reaches_the_application_as_it_is(
    client_process: Process, postgres: Cluster
) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: (_ for _ in ()).throw(HostileError())
    )
    instrument(engine, app="shop")
    with pytest.raises(HostileError):
        engine.connect()


@pytest.fixture
def time_limit() -> Iterator[Callable[[], object]]:
    """A signal that raises, as a task queue's soft time limit does."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise TimeLimitError

    before = signal.signal(signal.SIGUSR1, handler)
    yield functools.partial(signal.raise_signal, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_a_time_limit_that_comes_inside_our_code_reaches_the_application(
    time_limit: Callable[[], object],
) -> None:
    def clock() -> float:
        if limited:
            time_limit()
        return 1000.0

    limited = False
    one = Tracker(limit=5, leak_after=60, clock=clock)
    one.acquired(connection := Connection(), 1000.0, HERE)
    limited = True
    with pytest.raises(TimeLimitError):
        one.returning(connection)
    with pytest.raises(TimeLimitError):
        one.acquired(Connection(), 1000.0, HERE)
    limited = False
    assert one.returning(connection) is not None


def test_an_error_that_another_thread_throws_in_is_the_applications() -> None:
    """As `PyThreadState_SetAsyncExc` does: it comes from no line of anybody else."""
    raising: CodeType = compile("raise error", f"{Path(absorb.__code__.co_filename)}", "exec")
    error = TimeLimitError()
    try:
        exec(raising, {"error": error})
    except TimeLimitError as thrown:
        thrown.__traceback__ = thrown.__traceback__ and thrown.__traceback__.tb_next
        with pytest.raises(TimeLimitError):
            absorb(thrown, "testing a broken log handler")


class At:
    """Runs something once, before a line of a function, in the thread that runs it."""

    def __init__(self, function: str, marker: str, then: Callable[[], object]) -> None:
        self._function, self._marker, self._then = function, marker, then
        self.reached = False

    def __enter__(self) -> At:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_name != self._function:
            return None
        if event == "line" and not self.reached:
            lines = Path(frame.f_code.co_filename).read_text().splitlines()
            if self._marker in lines[frame.f_lineno - 1]:
                self.reached = True
                self._then()
        return self._trace


@pytest.mark.parametrize("marker", ["return [", "ended is not None", "_remove_dead", "checkouts ="])
def test_a_connection_at_a_dropped_ones_address_can_come_and_go_while_readers_tidy_up(
    marker: str,
) -> None:
    """Its return was lost between the removal and the putting back of its checkout."""
    one = Tracker(limit=500, leak_after=60)
    dropped = Connection()
    address = id(dropped)
    one.acquired(dropped, one.clock(), HERE)
    del dropped
    kept = []
    while id(successor := Connection()) != address:
        kept.append(successor)
        assert len(kept) < 10_000

    def come_and_go() -> None:
        one.acquired(successor, one.clock(), HERE)
        assert one.returning(successor) is not None, "it is checked out here"

    def come() -> None:
        one.acquired(successor, one.clock(), HERE)

    with At("_tidy", marker, come) as at:
        one.read()
    assert at.reached
    assert one.read().active == 2, "the lost one and the one that is out"
    assert one.returning(successor) is not None
    come_and_go()
    reading = one.read()
    assert (reading.active, reading.leaked) == (1, 1)
    assert (reading.acquire.count, reading.hold.count) == (3, 2)


class RaisingPool(ConnectionPool[Any]):
    """Is interrupted by a time limit inside the library's own work."""

    where = ""

    def putconn(self, conn: Any) -> None:
        if self.where == "before":
            raise TimeLimitError
        super().putconn(conn)
        if self.where == "after":
            raise TimeLimitError

    def getconn(self, timeout: float | None = None) -> Any:
        connection = super().getconn(timeout)
        if self.where == "taken":
            raise TimeLimitError
        return connection


@pytest.fixture
def raising(postgres: Cluster) -> Iterator[RaisingPool]:
    with RaisingPool(postgres.dsn(), min_size=2, max_size=2, open=True, timeout=0.2) as pool:
        pool.wait()
        yield pool


def balance(watched: Watched) -> tuple[int, int, int]:
    """Active and leaked connections, and by how much the books don't balance."""
    sample = watched.sample()
    assert sample.acquired is not None
    assert sample.returned is not None
    assert sample.active is not None
    active, leaked = int(sample.active), int(sample.leaked or 0)
    return active, leaked, int(sample.acquired - sample.returned - active)


def test_a_return_that_a_time_limit_cuts_short_leaves_the_connection_checked_out(
    raising: RaisingPool,
) -> None:
    watched = Watched(raising)
    connection = raising.getconn()
    raising.where = "before"
    with pytest.raises(TimeLimitError):
        raising.putconn(connection)
    assert balance(watched) == (1, 0, 0)
    raising.where = ""
    raising.putconn(connection)
    assert balance(watched) == (0, 0, 0)


def test_a_connection_lost_in_a_return_that_was_cut_short_is_a_leak(raising: RaisingPool) -> None:
    watched = Watched(raising)
    connection = raising.getconn()
    raising.where = "before"
    with pytest.raises(TimeLimitError):
        raising.putconn(connection)
    del connection
    assert balance(watched) == (1, 1, 0)


def test_a_return_that_ended_before_the_time_limit_is_one(raising: RaisingPool) -> None:
    watched = Watched(raising)
    connection = raising.getconn()
    raising.where = "after"
    with pytest.raises(TimeLimitError):
        raising.putconn(connection)
    assert balance(watched) == (0, 0, 0)


def test_a_checkout_that_a_time_limit_cuts_short_is_a_failed_request(raising: RaisingPool) -> None:
    watched = Watched(raising)
    raising.where = "taken"
    for _ in range(2):
        with pytest.raises(TimeLimitError):
            raising.getconn()
    raising.where = ""
    with pytest.raises(PoolTimeout):
        raising.getconn()
    assert balance(watched) == (0, 0, 0)
    sample = watched.sample()
    assert (sample.requests, sample.acquired, sample.timeouts["pool"]) == (3, 0, 1)
