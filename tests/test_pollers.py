"""Pollers follow the targets that there are. On a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog

from pg_pool_exporter.discovery import targets as discovery
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.pollers import Pollers
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from support import virtual_time
from support.sources import Scripted, hang, snapshot, target


@contextmanager
def sources(monkeypatch: pytest.MonkeyPatch, *script: Any) -> Iterator[list[Scripted]]:
    """Targets are read by sources that follow `script`; yields them as they are made."""
    made: list[Scripted] = []

    def make(*_settings: object) -> Scripted:
        made.append(Scripted(*script))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(discovery, "SOURCES", {"process": make, "server": make})
        yield made


def names(store: Store) -> list[str]:
    return [state.key.name for state in store.states()]


def test_targets_that_stay_are_polled_on_and_others_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        store = Store()
        pollers = Pollers(store)
        await pollers.follow([target("a"), target("b")])
        await asyncio.sleep(20)
        await pollers.follow([target("b"), target("c")])
        assert names(store) == ["b", "c"]
        assert [source.closed for source in made] == [True, False, False]
        await asyncio.sleep(20)
        assert len(made[1].polls) in (8, 9)
        await pollers.close()
        assert names(store) == []
        assert all(source.closed for source in made)

    with sources(monkeypatch, snapshot()) as made:
        virtual_time.run(main())


@pytest.mark.parametrize("script", [snapshot(), hang], ids=["idle", "hung"])
def test_a_changed_target_is_let_go_of_before_it_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, script: Any
) -> None:
    async def main() -> None:
        pollers = Pollers(Store())
        await pollers.follow([target("a")])
        await asyncio.sleep(1)
        changing = asyncio.create_task(pollers.follow([replace(target("a"), interval=1.0)]))
        while len(made) == 1:
            closed_before = made[0].closed
            await asyncio.sleep(0)
        assert closed_before
        await changing
        await pollers.close()

    with sources(monkeypatch, script) as made:
        virtual_time.run(main())
    assert len(made) == 2


def test_a_flood_of_sockets_neither_fills_the_log_nor_hides_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = PollError("refused", "nobody listens")

    async def main() -> None:
        pollers = Pollers(Store())
        for look in range(3):
            await pollers.follow([target(f"{look}-{number}") for number in range(500)])
            await asyncio.sleep(1)
        server = replace(target(), id=TargetId("server", "main"))
        await pollers.follow([server])
        await asyncio.sleep(1)
        await pollers.close()

    with sources(monkeypatch, refused), structlog.testing.capture_logs() as lines:
        virtual_time.run(main())
    down = [line["target"] for line in lines if line["event"] == "target down"]
    assert 1000 <= len(down) < 1100
    assert down[-1] == "main"
    (cut,) = (line for line in lines if line["event"].startswith("processes come and go"))
    assert cut["left_out"] == 1500 - len(down) + 1


def test_a_target_that_was_gone_is_read_again_only_when_another_one_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        store = Store()
        pollers = Pollers(store)
        for _ in range(3):
            await pollers.follow([target("a")])
            await asyncio.sleep(10)
        assert names(store) == []
        assert len(made) == 1
        await pollers.follow([replace(target("a"), settings=("another inode",))])
        assert len(made) == 2
        await pollers.close()

    with sources(monkeypatch, TargetGoneError()) as made:
        virtual_time.run(main())


def test_a_poller_that_breaks_is_reported_and_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(Store):
        async def publish(self, state: Any) -> None:
            raise RuntimeError("a bug")

    async def main() -> None:
        pollers = Pollers(Broken())
        await pollers.follow([target("a")])
        await asyncio.sleep(1)
        await pollers.follow([target("a")])
        await pollers.close()

    with structlog.testing.capture_logs() as lines, sources(monkeypatch, snapshot()) as made:
        virtual_time.run(main())
    assert len(made) == 2
    logged = [line for line in lines if line["event"] == "poller failed"]
    assert logged[0]["error"] == "RuntimeError"
    assert "in publish" in logged[0]["stack"]


def test_a_poller_that_somebody_else_cancelled_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        store = Store()
        pollers = Pollers(store)
        await pollers.follow([target("a")])
        await asyncio.sleep(1)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(1)
        await pollers.follow([target("a")])
        assert len(made) == 2
        assert names(store) == ["a"]
        await pollers.close()

    with sources(monkeypatch, snapshot()) as made:
        virtual_time.run(main())


def test_a_source_that_does_not_let_go_is_reported_and_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stubborn(Scripted):
        async def close(self) -> None:
            await released.wait()

    async def main() -> None:
        pollers = Pollers(Store())
        await pollers.follow([target("a")])
        await asyncio.sleep(1)
        async with asyncio.timeout(2):
            await pollers.follow([target("b")])
        assert len(made) == 2
        released.set()
        await pollers.close()

    released = asyncio.Event()
    made: list[Stubborn] = []

    def make(*_settings: object) -> Stubborn:
        made.append(Stubborn(snapshot()))
        return made[-1]

    monkeypatch.setattr(discovery, "SOURCES", {"process": make})
    with structlog.testing.capture_logs() as lines:
        virtual_time.run(main())
    logged = [line for line in lines if line["event"] == "poller does not stop"]
    assert [line["target"] for line in logged] == ["a"]


@pytest.mark.parametrize(
    ("each", "seconds", "reported"), [(0.1, 5.0, 0), (0.9, 10.0, 39)], ids=["in time", "never"]
)
def test_many_sources_that_take_long_together_are_waited_for_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, each: float, seconds: float, reported: int
) -> None:
    """Thousands of targets on a busy host."""

    class Slow(Scripted):
        async def close(self) -> None:
            async with turn:
                await asyncio.sleep(each)
            await super().close()

    async def main() -> None:
        pollers = Pollers(Store())
        await pollers.follow([target(f"app-{number}") for number in range(50)])
        await asyncio.sleep(1)
        begun = asyncio.get_running_loop().time()
        await pollers.close()
        assert asyncio.get_running_loop().time() - begun == pytest.approx(seconds)

    turn = asyncio.Lock()
    made: list[Slow] = []

    def make(*_settings: object) -> Slow:
        made.append(Slow(snapshot()))
        return made[-1]

    monkeypatch.setattr(discovery, "SOURCES", {"process": make})
    with structlog.testing.capture_logs() as lines:
        virtual_time.run(main())
    left = [line for line in lines if line["event"] == "poller does not stop"]
    assert len(left) == sum(not source.closed for source in made) == reported
