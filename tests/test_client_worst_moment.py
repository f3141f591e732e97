"""Signals, forks and the cyclic collector inside each line of our own code do no harm."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.client.tracker import Reading, Tracker
from support.client import own_process, values
from support.interruption import (
    CRITICAL,
    Interruptions,
    collected_at_each_line,
    interrupted_at_each_line,
)
from support.postgres import Cluster
from support.tracking import HERE, Clock, Connection, tracker


def test_a_signal_handler_may_use_the_pool_at_any_line_of_ours() -> None:
    one = Tracker(limit=50, leak_after=60)
    used = 0

    def handler() -> None:
        nonlocal used
        connection = Connection()
        one.acquired(connection, one.clock(), HERE)
        one.returning(connection)
        one.note("timeout")
        used += 1

    with interrupted_at_each_line(CRITICAL, handler) as where:
        for _ in range(300):
            connection = Connection()
            one.acquired(connection, one.clock(), HERE)
            one.returning(connection)
        one.read()
    assert len(set(where)) > 25, "it was interrupted in many places"
    last = one.read()
    assert (last.acquire.count, last.hold.count) == (300 + used, 300 + used)
    assert (last.noted["timeout"], last.leaked, last.active) == (used, 0, 0)


def test_a_real_signal_that_arrives_while_our_lock_is_held_never_dead_locks() -> None:
    one = Tracker(limit=50, leak_after=60)
    handled = 0
    readers = [threading.Thread(target=one.read, daemon=True) for _ in range(3)]
    waiting: list[bool] = []

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal handled
        handled += 1
        if len(waiting) < len(readers):
            reader = readers[len(waiting)]
            reader.start()
            reader.join(0.1)
            waiting.append(reader.is_alive())
        connection = Connection()
        one.acquired(connection, one.clock(), HERE)
        one.returning(connection)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with interrupted_at_each_line({"add"}, lambda: signal.raise_signal(signal.SIGUSR1)):
            for _ in range(140):
                connection = Connection()
                one.acquired(connection, one.clock(), HERE)
                one.returning(connection)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled > 10
    assert waiting == [True] * len(readers), "another thread's reading waits for the lock"
    for reader in readers:
        reader.join(5)
        assert not reader.is_alive()


def test_a_signal_handler_that_reads_gets_an_answer_while_our_lock_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pg_pool_exporter.client.tracker.PATIENCE_SECONDS", 0.001)
    one = Tracker(limit=5, leak_after=60)
    one.acquired(kept := Connection(), one.clock(), HERE)
    answers: list[Reading] = []
    with interrupted_at_each_line(CRITICAL, lambda: answers.append(one.read())):
        one.read()
    assert len(answers) > 10
    assert {answer.active for answer in answers} == {1}
    one.returning(kept)


def test_a_reading_within_a_return_never_counts_its_time_twice() -> None:
    clock = Clock()
    one = tracker(clock)
    one.acquired(connection := Connection(), clock(), HERE)
    clock.now += 10
    answers: list[Reading] = []
    with interrupted_at_each_line({"returning"}, lambda: answers.append(one.read())):
        one.returning(connection)
    assert len(answers) > 5
    assert max(answer.active_seconds for answer in answers) == 10.0
    assert one.read().active_seconds == 10.0


def test_a_signal_handler_that_raises_leaves_each_event_recorded_once_or_not_at_all() -> None:
    """As Celery's time limit does, and Ctrl-C."""
    one = Tracker(limit=1, leak_after=0)
    interruptions = Interruptions(CRITICAL)
    recorded = 0
    for number in range(1500):
        connection = Connection()
        interruptions.attempt(one.acquired, connection, one.clock(), HERE)
        recorded += one.has(connection)
        while one.has(connection):
            interruptions.attempt(one.returning, connection)
        interruptions.attempt(one.note, "timeout")
        if number % 20 == 0:
            interruptions.attempt(one.read)
    places = len(interruptions.where)
    assert places > 120, "it was interrupted in many places"
    last = one.read()
    assert 1500 - places < recorded < 1500
    assert (last.acquire.count, last.hold.count) == (recorded, recorded)
    assert 1500 - places < last.noted["timeout"] <= 1500
    assert (last.active, last.leaked, last.overdue) == (0, 0, {})
    assert one.read().saturated_seconds == last.saturated_seconds, "nothing is out"
    for _ in range(300):
        one.acquired(connection, one.clock(), HERE)
        one.returning(connection)
    later = one.read()
    assert later.hold.count - last.hold.count == 300
    assert one.read().saturated_seconds == later.saturated_seconds


def test_a_signal_handler_that_raises_while_leaks_are_counted_makes_none_up() -> None:
    one = Tracker(limit=1, leak_after=60)
    interruptions = Interruptions({"_add_up", "drop", "name", "choose"})
    for _ in range(100):
        one.acquired(Connection(), one.clock(), HERE)
        interruptions.attempt(one.read)
    last = one.read()
    assert (last.active, last.leaked) == (100, 100)
    assert last.saturated_seconds < one.read().saturated_seconds, "no slot is left"


def test_returns_by_the_collector_inside_our_own_code_are_all_counted() -> None:
    """SQLAlchemy's finalizer runs wherever the collector does."""
    one = Tracker(limit=500, leak_after=60)
    interruptions = 0

    def collected() -> None:
        nonlocal interruptions
        interruptions += 1
        record, held = Connection(), Connection()
        one.acquired(record, one.clock(), HERE, weakref.ref(held))
        del held
        one.returning(record)

    with interrupted_at_each_line(CRITICAL, collected):
        for _ in range(20):
            collected()
            one.read()
    assert interruptions > 100
    assert sum(one.read().reclaimed.values()) == interruptions


def test_a_signal_handler_may_fork_while_our_lock_is_held() -> None:
    """In the child the lock is another one, which is not ours to release."""
    one = Tracker(limit=5, leak_after=60)
    with interrupted_at_each_line({"_add_up"}, lambda: one.forked(lambda: None)):
        one.read()
        for _ in range(1000):
            one.note("timeout")
    one.acquired(Connection(), one.clock(), HERE)
    assert one.read().acquire.count == 1, "the lock is free, so the event is added up"


def test_leaked_connections_in_cycles_are_found_when_collected_inside_our_own_code() -> None:
    one = Tracker(limit=500, leak_after=60)
    with collected_at_each_line(CRITICAL):
        for _ in range(60):
            connection = Connection()
            connection.other = connection
            one.acquired(connection, one.clock(), HERE)
        del connection
        one.read()
    gc.collect()
    assert one.read().leaked == 60


@pytest.fixture
def pool(postgres: Cluster) -> Iterator[ConnectionPool[Any]]:
    with ConnectionPool(postgres.dsn(), min_size=8, open=True) as pool:
        pool.wait()
        yield pool


@pytest.fixture
def process(
    tmp_path: Path, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    monkeypatch.setattr("pg_pool_exporter.client.tracker.PATIENCE_SECONDS", 0.01)
    with own_process(tmp_path) as process:
        instrument(pool, app="shop", name="main")
        yield process


def test_a_signal_handler_may_use_the_pool_and_read_the_page_at_any_line_of_ours(
    process: Process, pool: ConnectionPool[Any]
) -> None:
    pages: list[str] = []

    def handler(number: int, frame: FrameType | None) -> None:
        with pool.connection():
            pages.append(process.own_page())

    before = signal.signal(signal.SIGUSR1, handler)
    functions = CRITICAL | {"samples", "sample", "_retire", "live"}
    try:
        with interrupted_at_each_line(functions, lambda: signal.raise_signal(signal.SIGUSR1)):
            for _ in range(130):
                pool.putconn(pool.getconn())
            process.own_page()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(pages) > 100
    last = process.own_page()
    assert values(last, "pg_pool_acquired_total") == [130 + len(pages)]
    assert values(last, "pg_pool_returned_total") == [130 + len(pages)]
    assert values(last, "pg_pool_leaked_connections_total") == [0]


def test_leaked_connections_are_counted_when_they_are_collected_inside_our_own_code(
    process: Process, pool: ConnectionPool[Any]
) -> None:
    class Request:
        def __init__(self) -> None:
            self.connection = pool.getconn()
            self.me = self

    with collected_at_each_line(CRITICAL):
        for _ in range(5):
            Request()
        process.own_page()
    page = process.own_page()
    assert values(page, "pg_pool_leaked_connections_total") == [5]
    assert values(page, "pg_pool_leaked_slots") == [5]
    assert values(page, "pg_pool_connections", state="active") == [5]
