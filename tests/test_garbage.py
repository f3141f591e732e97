"""Garbage collections while the exporter runs."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_pool_exporter.commands.garbage import GarbageCollections
from pg_pool_exporter.commands.latency import responsive


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Those of the tests' own process are as they were."""
    kept = gc.get_threshold()
    yield
    gc.set_threshold(*kept)


class Cycle:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def old_garbage() -> weakref.ref[Cycle]:
    """To a cycle that the collections of the young generations no longer find."""
    cycle = Cycle()
    gc.collect(1)
    return weakref.ref(cycle)


class Minutes:
    """The minutes of a process that runs."""

    def __init__(self) -> None:
        self._now = 0.0
        self._collections = GarbageCollections(lambda: self._now)

    def pass_one(self) -> None:
        self._now += 60
        self._collections.collect()


def many_objects() -> list[list[int]]:
    """More than a full collection visits in 10 ms."""
    return [[] for _ in range(100_000)]


def test_python_makes_no_full_collection_of_its_own() -> None:
    with responsive():
        garbage = old_garbage()
        many_objects()
        assert garbage() is not None


def test_what_is_young_does_not_pile_up_where_polls_replace_what_former_ones_made() -> None:
    with responsive():
        states = many_objects()
        gc.collect(1)
        for number in range(len(states)):
            states[number] = []
        assert len(gc.get_objects(generation=0)) > 50_000, "as Python leaves it"
        GarbageCollections().collect()
        young = gc.get_objects(generation=0) + gc.get_objects(generation=1)
        assert len(young) < 1000


def test_the_size_of_a_large_process_is_found_in_a_moment() -> None:
    with responsive():
        minutes = Minutes()
        fleet = [{number: [number]} for number in range(400_000)]
        seconds = []
        for _ in range(5):
            begun = time.thread_time()
            minutes.pass_one()
            seconds.append(time.thread_time() - begun)
        assert min(seconds) < 0.004, "10 ms and more to list its objects"
        del fleet


def test_a_small_process_is_collected_every_minute() -> None:
    with responsive():
        minutes = Minutes()
        for _ in range(2):
            garbage = old_garbage()
            minutes.pass_one()
            assert garbage() is None


def test_a_large_process_is_collected_when_its_memory_has_grown_by_half() -> None:
    with responsive():
        minutes = Minutes()
        fleet = many_objects()
        garbage = old_garbage()
        for _ in range(3):
            minutes.pass_one()
            assert garbage() is not None, "a fleet that has come in is no garbage"
        step = b"x" * (_resident() // 3)
        minutes.pass_one()
        assert garbage() is not None, "by a third"
        grown = step * 2
        minutes.pass_one()
        assert garbage() is None
        garbage = old_garbage()
        minutes.pass_one()
        assert garbage() is not None, "it has not grown again"
        del fleet, step, grown


def test_a_large_process_is_collected_when_its_objects_are_half_as_many_again() -> None:
    with responsive():
        minutes = Minutes()
        fleet = many_objects()
        minutes.pass_one()
        garbage = old_garbage()
        fleet += many_objects()[:60_000]
        minutes.pass_one()
        assert garbage() is None


def _resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
