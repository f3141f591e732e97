"""Checkouts of one pool, recorded without a lock and read at any moment."""

from __future__ import annotations

import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from pg_pool_exporter.client.sites import describe
from pg_pool_exporter.client.tracker import Reading, Tracker
from support.client import no_collection
from support.interruption import Interruptions
from support.tracking import HERE, Clock, Connection, tracker


def test_a_checkout_is_active_until_its_return() -> None:
    clock = Clock()
    one = tracker(clock)
    connection = Connection()
    clock.now = 1002.0
    one.acquired(connection, asked=1001.5, site=HERE)
    clock.now = 1005.0
    during = one.read()
    assert (during.active, during.oldest_active, during.active_seconds) == (1, 3.0, 3.0)
    assert (during.acquire.count, during.acquire.total, during.hold.count) == (1, 0.5, 0)
    clock.now = 1006.0
    ended = one.returning(connection)
    assert ended is not None
    assert ended.ended == 1006.0
    clock.now = 1009.0
    after = one.read()
    assert (after.active, after.oldest_active, after.active_seconds) == (0, None, 4.0)
    assert (after.hold.count, after.hold.total) == (1, 4.0)
    assert after.leaked == 0


def test_only_what_is_checked_out_can_be_returned() -> None:
    one = tracker(Clock())
    connection = Connection()
    assert one.returning(connection) is None
    assert one.returning(None) is None
    one.acquired(connection, 1000.0, HERE)
    assert one.returning(connection) is not None
    assert one.returning(connection) is None
    assert one.read().hold.count == 1


def test_a_dropped_connection_is_a_leak_with_the_line_that_checked_it_out() -> None:
    one = tracker(Clock())
    with no_collection():
        one.acquired(Connection(), 1000.0, HERE)
        reading = one.read()
    assert (reading.leaked, reading.active) == (1, 1)
    assert list(reading.leaked_slots.values()) == [1]
    assert next(iter(reading.leaked_slots)) == describe(HERE)
    assert reading.oldest_active is None
    assert one.read().leaked == 1


def test_in_a_pool_without_a_limit_a_dropped_connection_costs_nothing() -> None:
    clock = Clock()
    one = tracker(clock, limit=float("inf"))
    one.acquired(Connection(), 1000.0, HERE)
    clock.now += 5
    reading = one.read()
    assert (reading.leaked, reading.active, reading.active_seconds) == (0, 0, 5.0)
    clock.now += 5
    assert one.read().active_seconds == 5.0


def test_a_return_of_what_the_application_dropped_is_counted_by_its_line() -> None:
    """SQLAlchemy returns its record of a connection when the application's object is collected."""
    one = tracker(Clock())
    record, held, kept = Connection(), Connection(), Connection()
    one.acquired(record, 1000.0, HERE, weakref.ref(held))
    one.returning(record)
    assert one.read().reclaimed == {}
    one.acquired(record, 1000.0, HERE, weakref.ref(held))
    del held
    one.returning(record)
    one.acquired(kept, 1000.0, HERE)
    one.returning(kept)
    reading = one.read()
    assert reading.reclaimed == {describe(HERE): 1}
    assert (reading.active, reading.leaked, reading.hold.count) == (0, 0, 3)
    assert one.read().reclaimed == {describe(HERE): 1}


def test_a_leak_is_still_found_when_another_connection_comes_to_the_same_address() -> None:
    one = tracker(Clock())
    with no_collection():
        for _ in range(100):
            one.acquired(Connection(), 1000.0, HERE)
    assert one.read().leaked == 100


def test_returning_a_strangers_connection_at_a_dropped_ones_address_hides_no_leak() -> None:
    one = tracker(Clock())
    with no_collection():
        dropped = Connection()
        address = id(dropped)
        one.acquired(dropped, 1000.0, HERE)
        del dropped
        strangers = [Connection()]
        while id(strangers[-1]) != address and len(strangers) < 10_000:
            strangers.append(Connection())
        assert id(strangers[-1]) == address
        one.returning(strangers[-1])
    assert one.read().leaked == 1


def test_a_kept_connection_is_overdue_from_the_threshold_to_its_return() -> None:
    clock = Clock()
    one = tracker(clock, leak_after=60)
    connection = Connection()
    one.acquired(connection, 1000.0, HERE)
    clock.now += 59.9
    assert not one.read().overdue
    clock.now += 0.1
    assert list(one.read().overdue.values()) == [1]
    one.returning(connection)
    assert not one.read().overdue


def test_a_checkout_declared_long_lived_is_never_overdue() -> None:
    clock = Clock()
    one = tracker(clock)
    connection = Connection()
    assert not one.exempt(connection)
    one.acquired(connection, 1000.0, HERE)
    assert one.exempt(connection)
    clock.now += 1e6
    assert not one.read().overdue
    one.returning(connection)
    one.acquired(connection, clock.now, HERE)
    clock.now += 1e6
    assert one.read().overdue, "the next checkout is another one"


def test_overdue_lines_beyond_the_cap_are_counted_as_other() -> None:
    clock = Clock()
    one = tracker(clock)
    kept = [Connection() for _ in range(40)]
    for number, connection in enumerate(kept):
        code = compile(f"\n\n{number}", f"file{number}.py", "exec")
        one.acquired(connection, 1000.0, (code, 0))
    clock.now += 100
    overdue = one.read().overdue
    assert sum(overdue.values()) == 40
    assert len(overdue) == 31
    assert overdue["other"] == 10


@contextmanager
def memory_kept() -> Iterator[list[int]]:
    """Bytes that were allocated in the block and are still there at its end."""
    kept: list[int] = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield kept
        kept.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()


def test_failures_are_kept_within_bounds_while_nobody_reads() -> None:
    one = tracker(Clock())
    with memory_kept() as kept:
        for _ in range(10_000):
            one.note("timeout")
    assert kept[0] < 50_000
    assert one.read().noted["timeout"] == 10_000


def test_dropped_connections_are_kept_within_bounds_while_nobody_reads() -> None:
    one = tracker(Clock(), limit=float("inf"))
    with memory_kept() as kept:
        for _ in range(10_000):
            one.acquired(Connection(), 1000.0, HERE)
    assert kept[0] < 200_000
    assert one.read().acquire.count == 10_000


def test_a_return_that_was_cut_short_by_an_exception_leaves_nothing_behind() -> None:
    clock = Clock()
    one = tracker(clock, limit=1)
    one.acquired(connection := Connection(), 1000.0, HERE)
    one.read()
    clock.now += 10
    interruptions = Interruptions({"returning"})
    while one.has(connection):
        interruptions.attempt(one.returning, connection)
    assert one.read().saturated_seconds == 10.0
    clock.now += 10
    after = one.read()
    assert (after.active, after.leaked, after.saturated_seconds) == (0, 0, 10.0)
    del connection
    assert one.read().leaked == 0


def test_events_of_eight_threads_are_all_counted_while_others_read() -> None:
    one = Tracker(limit=8, leak_after=60)
    stop = threading.Event()
    readings: list[list[Reading]] = [[], []]

    def work() -> None:
        connection = Connection()
        for _ in range(2000):
            one.acquired(connection, one.clock(), HERE)
            one.returning(connection)

    def look(into: list[Reading]) -> None:
        while not stop.is_set():
            into.append(one.read())

    readers = [threading.Thread(target=look, args=(into,)) for into in readings]
    workers = [threading.Thread(target=work) for _ in range(8)]
    for thread in readers + workers:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    last = one.read()
    assert (last.acquire.count, last.hold.count, last.leaked, last.active) == (16_000, 16_000, 0, 0)
    for series in readings:
        reported = [
            [one.active_seconds, one.saturated_seconds, one.hold.total, *one.acquire.counts]
            for one in series
        ]
        for earlier, later in pairwise(reported):
            assert all(b >= a for a, b in zip(earlier, later, strict=True))


def test_a_fork_leaves_nothing_of_the_parents_also_when_another_thread_has_our_lock() -> None:
    held, release = threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            held.set()
            release.wait(10)
        return 1000.0

    one = Tracker(limit=5, leak_after=60, clock=clock)
    reader = threading.Thread(target=one.read)
    kept = Connection()
    one.acquired(kept, 990.0, HERE)
    one.acquired(Connection(), 990.0, HERE)
    one.note("timeout")
    reader.start()
    assert held.wait(10)
    woken: list[None] = []
    one.forked(lambda: woken.append(None))
    reading = one.read()
    assert (reading.active, reading.leaked, reading.active_seconds) == (0, 0, 0.0)
    assert (reading.acquire.count, reading.noted["timeout"]) == (0, 0)
    assert not woken
    assert one.returning(kept) is None
    for connection in (Connection(), Connection()):
        one.acquired(connection, 1000.0, HERE)
        one.returning(connection)
    assert woken == [None], (
        "the first checkout in the child, and only that, wakes the parent's page"
    )
    assert one.read().hold.count == 2
    release.set()
    reader.join()


def test_a_checkout_keeps_nothing_alive() -> None:
    one = tracker(Clock())
    with no_collection():
        connection = Connection()
        one.acquired(connection, 1000.0, HERE)
        reference = weakref.ref(connection)
        del connection
        assert reference() is None
