"""The pages: what is on them, and how often they are made."""

from __future__ import annotations

import asyncio
import gzip
import re
import threading
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import structlog
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.config import Config, Shard
from pg_pool_exporter.exposition import pages
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.metrics import text_format as textformat
from pg_pool_exporter.model import Health, PoolId, PoolSample, Snapshot, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
from support.busy import within
from support.sources import snapshot


class Clock:
    """A monotonic clock that is moved by hand, and by `step` with each reading."""

    now = 1000.0
    step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Page:
    """An exposition whose targets are polled by hand."""

    def __init__(self) -> None:
        self.clock, self.store = Clock(), Store()
        self.analyzer = Analyzer(self.store, Config())
        self.exposition = Exposition(self.store, self.analyzer, self.clock)

    def polled(self, name: str, found: Snapshot, up: bool = True) -> None:
        self.store.put(self.state(name, found, up))

    def state(self, name: str, found: Snapshot, up: bool = True) -> TargetState:
        return TargetState(
            key=TargetId("process", name),
            interval=5.0,
            health=Health(up=up, polls=1),
            snapshot=found,
            taken=self.clock.now,
        )

    def text(self) -> str:
        return self.exposition.plain(openmetrics=False).decode()

    def value(self, series: str) -> float | None:
        """The value of a series as it is written on the page; None when it isn't there."""
        for line in self.text().splitlines():
            if line.startswith(series + " "):
                return float(line.removeprefix(series))
        return None


ACTIVE = 'pg_pool_connections{app="orders",pool="main",process="web:0",state="active"}'
FOLDED = 'pg_pool_exporter_series_folded{target="%s",kind="process"}'
UP = 'pg_pool_exporter_target_up{target="%s",kind="process"}'


@pytest.fixture
def page() -> Page:
    return Page()


def test_a_page_holds_the_pools_the_targets_health_and_the_exporter_itself(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0", active=3))
    assert page.value(ACTIVE) == 3
    assert page.value(UP % "a") == 1
    assert f'pg_pool_exporter_build_info{{version="{__version__}",' in page.text()
    assert page.value("pg_pool_exporter_config_last_reload_successful") == 1
    assert page.value("process_resident_memory_bytes")


def test_a_shard_shows_its_number_and_how_many_there_are(page: Page) -> None:
    assert "pg_pool_exporter_shards" not in page.text()
    page.analyzer.exporter = ExporterStatus(shard=Shard(2, 5))
    assert page.value('pg_pool_exporter_shards{shard="2"}') == 5


def test_both_formats_are_valid_and_hold_the_same_values(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0", 'q"\n\\/é/\udcff'))
    openmetrics = page.exposition.plain(openmetrics=True).decode()
    assert openmetrics.endswith("# EOF\n")
    assert openmetrics.count("# EOF") == 1
    parsed = [
        parse_text(page.text()),
        parse_openmetrics(openmetrics),  # type: ignore[no-untyped-call] # it has no types
    ]
    samples = [
        {(s.name, *s.labels.values(), s.value) for family in families for s in family.samples}
        for families in parsed
    ]
    assert samples[0] == samples[1]


def test_a_page_is_made_anew_only_when_something_has_changed(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0", active=1))
    first = page.exposition.plain(openmetrics=False)
    assert page.exposition.plain(openmetrics=False) is first
    page.polled("a", snapshot("orders/main/web:0", active=2))
    assert page.value(ACTIVE) == 2


def test_a_page_that_takes_long_to_make_is_kept_as_long_as_it_took(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0", active=1))
    page.clock.step = 0.01
    first = page.exposition.plain(openmetrics=False)
    page.clock.step = 0.0
    page.polled("a", snapshot("orders/main/web:0", active=2))
    assert page.exposition.plain(openmetrics=False) is first
    page.clock.now += 0.03
    assert page.value(ACTIVE) == 2


def test_making_both_formats_takes_half_the_time_at_most(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = []

    def slow(parts: Any, *, openmetrics: bool) -> str:
        page.clock.now += 10
        seconds.append(10)
        return textformat.page(parts, openmetrics=openmetrics)

    async def scrape(*, openmetrics: bool) -> None:
        page.polled("a", snapshot("orders/main/web:0"))
        await page.exposition.page(openmetrics=openmetrics)

    async def scrapes() -> None:
        await asyncio.gather(scrape(openmetrics=False), scrape(openmetrics=True))

    monkeypatch.setattr(pages, "page", slow)
    begun = page.clock.now
    while page.clock.now < begun + 1000:
        asyncio.run(scrapes())
        page.clock.now += 1
    assert 0.4 < sum(seconds) / (page.clock.now - begun) <= 0.52


def test_a_failed_poll_leaves_the_last_values_and_shows_the_target_down(page: Page) -> None:
    found = snapshot("orders/main/web:0", active=3)
    page.polled("a", found)
    page.polled("a", found, up=False)
    assert page.value(ACTIVE) == 3
    assert page.value(UP % "a") == 0


def test_values_older_than_three_intervals_go_although_nothing_is_polled(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0"))
    page.clock.now += 15.9
    assert page.value(ACTIVE) is not None
    page.clock.now += 0.1
    assert page.value(ACTIVE) is None
    assert page.value(UP % "a") == 1


def test_a_target_that_is_gone_leaves_nothing_on_the_page(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0"))
    assert "orders" in page.text()
    page.store.remove(TargetId("process", "a"))
    assert "orders" not in page.text()
    assert UP % "a" not in page.text()


def test_a_pool_that_two_targets_give_is_written_once_and_told_once(page: Page) -> None:
    with structlog.testing.capture_logs() as lines:
        for active in range(3):
            page.polled("a", snapshot("orders/main/web:0", active=active))
            page.polled("b", snapshot("orders/main/web:0", "orders/main/web:1", active=7))
            assert page.text().count(ACTIVE) == 1
            assert page.value(ACTIVE) == active
            assert (page.value(FOLDED % "a"), page.value(FOLDED % "b")) == (0, 1)
    assert [(line["target"], line["pools"]) for line in lines] == [("b", 1)]
    page.store.remove(TargetId("process", "a"))
    assert page.value(ACTIVE) is None
    assert page.value(FOLDED % "b") == 1
    page.polled("b", snapshot("orders/main/web:0", "orders/main/web:1", active=7))
    assert page.value(ACTIVE) == 7
    assert page.value(FOLDED % "b") == 0


@pytest.mark.parametrize("first", ["page", "socket"])
def test_a_page_that_yields_to_its_process_is_no_fault(page: Page, first: str) -> None:
    found = snapshot("orders/main/web:0")
    key = TargetId("app", "127.0.0.1:8080/actuator/prometheus", "orders")
    states = [replace(page.state("a", found), key=key), page.state("a", found)]
    with structlog.testing.capture_logs() as lines:
        for state in states if first == "page" else states[::-1]:
            page.store.put(state)
            assert page.text().count(ACTIVE) == 1
    assert not any("left out" in line["event"] for line in lines)
    assert f'series_folded{{target="{key.label}",kind="app"}} 0\n' in page.text()


def test_what_is_shown_of_pools_that_two_targets_give_is_written_at_their_polls(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []

    def counted(series: Any) -> Any:
        series = list(series)
        written.extend(one for one in series if one.metric.name == "pg_pool_connections")
        return textformat.blocks(series)

    monkeypatch.setattr(pages, "blocks", counted)

    def polled(name: str, found: Snapshot) -> None:
        asyncio.run(page.store.publish(page.state(name, found)))

    def shown() -> int:
        written.clear()
        count = page.text().count('state="active"')
        assert written == []
        return count

    polled("a", large(1))
    assert shown() == 2000
    polled("b", snapshot("orders/main/web:0", "orders/main/only-b:0"))
    assert shown() == 2001
    polled("c", large(2))
    assert shown() == 2001
    page.store.remove(TargetId("process", "a"))
    assert shown() == 1
    polled("b", snapshot("orders/main/web:0", "orders/main/only-b:0"))
    assert shown() == 2
    polled("c", large(3))
    assert shown() == 2001


def test_the_readings_of_the_process_are_at_most_a_second_old(page: Page) -> None:
    first = page.text()
    ballast = bytearray(64 * 1024 * 1024)
    page.clock.now += 0.9
    assert page.text() == first
    page.clock.now += 0.1
    assert page.text() != first
    del ballast


def test_a_reload_is_shown_at_once(page: Page) -> None:
    assert page.value("pg_pool_exporter_config_last_reload_successful") == 1
    page.analyzer.exporter = ExporterStatus(config_problem="is not YAML", config_loaded=1.7e9)
    assert page.value("pg_pool_exporter_config_last_reload_successful") == 0
    assert page.value("pg_pool_exporter_config_last_reload_success_timestamp_seconds") == 1.7e9


def test_a_page_of_one_target_holds_nothing_else(page: Page) -> None:
    page.polled("a", snapshot("orders/main/web:0"))
    page.polled("b", snapshot("billing/main/web:0"))
    probed = page.exposition.of_targets((TargetId("process", "b"),), openmetrics=False)
    text = asyncio.run(probed).decode()
    names = {line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert "billing" in text
    assert "orders" not in text
    assert 'target="a"' not in text
    assert not any(name.startswith(("process_", "pg_pool_exporter_build")) for name in names)


def large(version: int) -> Snapshot:
    """Large enough to be compressed in a thread."""
    return Snapshot(
        pools=tuple(
            PoolSample(key=PoolId("orders", "main", f"web:{number}"), active=version)
            for number in range(2000)
        )
    )


def test_writing_a_large_snapshot_never_keeps_a_scrape_waiting(page: Page) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        publishing = asyncio.create_task(page.store.publish(page.state("a", large(1))))
        turns = [loop.time()]
        while not publishing.done():
            await asyncio.sleep(0)
            turns.append(loop.time())
        return [later - earlier for earlier, later in pairwise(turns)]

    turns = asyncio.run(main())
    assert len(turns) >= 4
    assert max(turns) < within(0.5)
    started = time.perf_counter()
    assert page.value(ACTIVE) == 1
    assert time.perf_counter() - started < within(0.5)


@pytest.mark.parametrize("found", [snapshot("orders/main/web:0"), large(1)], ids=["small", "large"])
def test_the_compressed_page_is_the_same_page(page: Page, found: Snapshot) -> None:
    page.polled("a", found)
    compressed = asyncio.run(page.exposition.page(openmetrics=True, compressed=True))
    assert gzip.decompress(compressed) == page.exposition.plain(openmetrics=True)


def test_scrapes_at_the_same_time_share_one_compression(page: Page) -> None:
    page.polled("a", large(1))

    async def scrapes() -> list[bytes]:
        many = [page.exposition.page(openmetrics=False, compressed=True) for _ in range(20)]
        return await asyncio.gather(*many)

    pages = asyncio.run(scrapes())
    assert len({id(compressed) for compressed in pages}) == 1


def test_a_compressed_page_is_as_new_as_the_scrape_that_asks_for_it(page: Page) -> None:
    async def scrape() -> tuple[bytes, list[bytes]]:
        page.polled("a", large(1))
        before = asyncio.create_task(page.exposition.page(openmetrics=False, compressed=True))
        await asyncio.sleep(0)
        page.polled("a", large(2))
        scrape = partial(page.exposition.page, openmetrics=False, compressed=True)
        after: list[Any] = [scrape() for _ in range(5)]
        return await before, await asyncio.gather(*after)

    before, after = asyncio.run(scrape())
    # The page shows the states of the moment at which it is written.
    assert re.search(re.escape(ACTIVE) + " [12]\n", gzip.decompress(before).decode())
    assert (ACTIVE + " 2\n").encode() in gzip.decompress(after[0])
    assert len({id(compressed) for compressed in after}) == 1


def test_a_scrape_that_is_given_up_takes_nothing_from_the_others(page: Page) -> None:
    page.polled("a", large(1))

    async def scrape() -> bytes:
        given_up = asyncio.create_task(page.exposition.page(openmetrics=False, compressed=True))
        other = asyncio.create_task(page.exposition.page(openmetrics=False, compressed=True))
        await asyncio.sleep(0)
        given_up.cancel()
        return await other

    assert gzip.decompress(asyncio.run(scrape()))


def test_a_compressed_page_does_not_wait_for_the_threads_of_others(page: Page) -> None:
    page.polled("a", large(1))
    release = threading.Event()

    async def scrape() -> bytes:
        hung = [asyncio.create_task(asyncio.to_thread(release.wait, 10)) for _ in range(40)]
        try:
            async with asyncio.timeout(5):
                return await page.exposition.page(openmetrics=False, compressed=True)
        finally:
            release.set()
            await asyncio.wait(hung)

    assert (ACTIVE + " 1\n").encode() in gzip.decompress(asyncio.run(scrape()))
