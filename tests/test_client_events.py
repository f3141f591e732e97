"""Leaks and overdue checkouts in the application's log: once each, and when they come back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.events import Event, EventLog, PoolEvents
from pg_pool_exporter.client.sites import describe
from pg_pool_exporter.client.tracker import Tracker
from support.client import own_process, page_of
from support.postgres import Cluster, wait_until
from support.tracking import HERE, Clock, Connection, tracker

LOGGER = "pg_pool_exporter.client"


class Pool:
    """A pool that is looked at from time to time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tracker: Tracker = tracker(self.clock, limit=10, leak_after=60)
        self._events = PoolEvents()

    def check_out(self) -> Connection:
        connection = Connection()
        self.tracker.acquired(connection, self.clock(), HERE)
        return connection

    def look(self, after: float = 0.0) -> list[tuple[str, int, float | None]]:
        """What is reported after these seconds, which must be at one line of code."""
        self.clock.now += after
        events = self._events.look(self.tracker)
        assert {event.site for event in events} <= {describe(HERE)}
        return [(event.what, event.checkouts, event.seconds) for event in events]


def test_overdue_checkouts_are_reported_once_and_when_they_come_back() -> None:
    pool = Pool()
    kept = [pool.check_out(), pool.check_out()]
    assert pool.look(59) == []
    assert pool.look(1) == [("checkouts overdue", 2, 60)]
    assert pool.look(100) == []
    pool.tracker.returning(kept[0])
    assert pool.look(5) == [("overdue checkouts returned", 1, 160)]
    assert pool.look(5) == []
    pool.tracker.returning(kept[1])
    assert pool.look() == [("overdue checkouts returned", 1, 170)]


def test_a_lost_slot_is_reported_once_and_does_not_come_back() -> None:
    pool = Pool()
    pool.check_out()
    assert pool.look() == [("slots lost", 1, None)]
    assert pool.look(100) == []
    kept = pool.check_out()
    assert pool.look(61) == [("checkouts overdue", 1, 61)]
    del kept
    assert pool.look() == [("slots lost", 1, None)]
    assert pool.look(100) == []


def test_a_checkout_that_comes_back_in_time_is_no_event() -> None:
    pool = Pool()
    for _ in range(10):
        pool.tracker.returning(pool.check_out())
        assert pool.look(61) == []


def test_one_that_is_declared_long_lived_later_has_not_come_back() -> None:
    pool = Pool()
    kept = pool.check_out()
    assert pool.look(61) == [("checkouts overdue", 1, 61)]
    pool.tracker.exempt(kept)
    assert pool.look(61) == []


def test_lines_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    log = EventLog()
    for number in range(500):
        event = Event(logging.WARNING, "slots lost", f"shop.py:{number} f", 1)
        log.write("shop", "main", [event])
    wait_until(lambda: len(caplog.records) >= 20, "they are written")
    assert len(caplog.records) == 20


@pytest.fixture
def pool(postgres: Cluster, tmp_path: Path) -> Iterator[ConnectionPool[Any]]:
    with (
        ConnectionPool(postgres.dsn(), min_size=2, open=True) as pool,
        own_process(tmp_path),
    ):
        pool.wait()
        instrument(pool, app="shop", name="main", leak_after=0.05)
        yield pool


def test_the_log_names_pool_line_and_age(
    pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    kept = pool.getconn()
    wait_until(lambda: "checkouts overdue" in caplog.text, "it is reported")
    (record,) = caplog.records
    assert (record.name, record.levelname) == (LOGGER, "WARNING")
    for fact in ("app=shop", "pool=main", "test_client_events.py", "count=1", "longest="):
        assert fact in record.getMessage()
    pool.putconn(kept)
    wait_until(lambda: "overdue checkouts returned" in caplog.text, "it has come back")
    assert [one.levelname for one in caplog.records] == ["WARNING", "INFO"]


def test_a_log_handler_that_needs_a_connection_of_the_pool_holds_nothing_up(
    pool: ConnectionPool[Any], tmp_path: Path
) -> None:
    waits, release = threading.Event(), threading.Event()

    class ToDatabase(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()
            release.wait(30)

    logger, handler = logging.getLogger(LOGGER), ToDatabase()
    logger.addHandler(handler)
    try:
        kept = [pool.getconn(), pool.getconn()]
        assert waits.wait(30)
        assert "pg_pool_overdue_connections" in page_of(tmp_path / "shop-0.sock")
    finally:
        release.set()
        logger.removeHandler(handler)
    for connection in kept:
        pool.putconn(connection)
