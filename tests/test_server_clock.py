"""A server's clock that is set while sessions wait: their ages go on as time does."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from conftest import require
from pg_pool_exporter.analysis.correlate.sessions import AppSessions
from pg_pool_exporter.model import ServerSample
from pg_pool_exporter.sources.postgres.server_clock import ServerClock
from support.polling import source_of, until
from support.postgres import EMBEDDED_16, Cluster
from support.wall_clock import LIBFAKETIME, WallClock

HOUR = 3600.0


class World:
    """A server whose clock was set at some time, polled every five seconds."""

    def __init__(self) -> None:
        self.clock = ServerClock()
        self.now, self.set_by = 100.0, 1e9
        self.noticed: list[float] = []
        self.poll()

    def poll(self, took: float = 0.01) -> None:
        found = self.clock.follow(self.now + self.set_by, self.now - took / 2, self.now + took / 2)
        if found is not None:
            self.noticed.append(found)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 5, end)
            self.poll()

    def stamp(self) -> float:
        """What the server notes when something begins now."""
        return self.now + self.set_by

    def age(self, stamp: float) -> float:
        return self.clock.age(self.now + self.set_by - stamp)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 20.0, -20.0, 20 * 365 * 86400, -20 * 365 * 86400])
def test_an_age_goes_on_when_the_clock_is_set(jump: float) -> None:
    world = World()
    before = world.stamp()
    world.wait(300)
    world.set_by += jump
    world.wait(5)
    assert world.noticed == pytest.approx([jump], abs=0.1)
    if jump > -300:
        assert world.age(before) == pytest.approx(305, abs=0.1)
    after = world.stamp()
    world.wait(60)
    assert world.age(after) == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 7.0, -7.0])
def test_no_age_is_longer_than_the_time_that_has_passed(jump: float) -> None:
    """Also where times before and after it look alike, and when the clock is set repeatedly."""
    world = World()
    begun: list[tuple[float, float]] = []
    for number in range(40):
        if number % 8 == 3:
            world.set_by += jump if number % 3 else -jump / 2
        begun.append((world.now, world.stamp()))
        world.wait(13)
        for at, stamp in begun:
            assert 0 <= world.age(stamp) <= world.now - at + 0.5
    assert world.noticed


def test_a_clock_that_is_corrected_slowly_or_read_slowly_was_not_set() -> None:
    world = World()
    for _ in range(50):
        world.set_by += 0.02
        world.wait(5)
    world.now += 2
    world.poll(took=4.0)
    world.wait(30)
    assert world.noticed == []


def test_a_server_of_years_keeps_the_last_times_its_clock_was_set() -> None:
    world = World()
    for _ in range(30):
        world.set_by += HOUR
        world.wait(10)
    old = world.stamp()
    world.wait(10)
    assert world.age(old) == pytest.approx(10, abs=0.1)
    assert world.age(0.0) <= world.now + world.set_by


def test_a_real_server_whose_clock_is_set_shows_the_time_that_has_passed() -> None:
    require(LIBFAKETIME is not None, "Debian's package faketime")
    cluster = Cluster(EMBEDDED_16)
    clock = WallClock(cluster.directory / "clock")
    cluster.environment.update(clock.environment)
    begun = time.monotonic()
    with cluster:
        shown, noticed = asyncio.run(_poll_while_it_is_set(cluster, clock))
    passed = time.monotonic() - begun
    assert noticed == [3600, -7200, 867600]
    for sample in shown:
        sessions = AppSessions(sample.groups.values())
        waits = [one.oldest_waiting for one in sample.groups.values() if one.waiting]
        ages = [*waits, sessions.oldest_transaction, sessions.oldest("active"), sample.last_login]
        assert [age for age in ages if age is None or not 0 <= age < passed] == []


async def _poll_while_it_is_set(
    cluster: Cluster, clock: WallClock
) -> tuple[list[ServerSample], list[float]]:
    """What is shown while one session waits for another, and by how much the clock was set."""
    source = source_of(cluster)
    shown: list[ServerSample] = []

    async def poll() -> None:
        sample = (await source.poll()).server
        assert sample is not None
        shown.append(sample)

    async def waits_for_the_lock() -> bool:
        await poll()
        return any(one.oldest_waiting is not None for one in shown[-1].groups.values())

    with (
        cluster.connect(application_name="keeps") as keeps,
        cluster.connect(application_name="waits") as waits,
        ThreadPoolExecutor(1) as beside,
        capture_logs() as logs,
    ):
        keeps.execute("BEGIN; LOCK TABLE pg_catalog.pg_description")
        waiting = beside.submit(waits.execute, "BEGIN; LOCK TABLE pg_catalog.pg_description")
        await until(waits_for_the_lock)
        shown.clear()
        for offset in ("+3600", "-3600", "+10d"):
            await poll()
            clock.set(offset)
            await poll()
        keeps.rollback()
        waiting.result()
    await source.close()
    return shown, [round(one["set_by_seconds"]) for one in logs if "set_by_seconds" in one]
