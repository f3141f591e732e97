"""Applications whose pages turn hostile: the others go on, theirs expire, the reason is counted."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic, thread_time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
from support import pages
from support.actuator_page import actuator_page
from support.busy import within
from support.daemons import exporting
from support.pages import MIB, Answer, Peer, Served, answer, head, raw, serving
from support.polling import eventually

TEXT = "Content-Type: text/plain;version=0.0.4;charset=utf-8"
INTERVAL, TIMEOUT = 1.0, 0.8
LINES = 100_000


def page_of(lines: Iterator[str]) -> bytes:
    return "\n".join([*lines, ""]).encode()


def long_page() -> bytes:
    """100,000 lines, of which the pool's are the last."""
    others = (f'cache_size{{c="{number}"}} 1' for number in range(LINES - 40))
    return page_of(others) + (Path(__file__).parent / "pages/hikaricp.txt").read_bytes()


def many_pools() -> bytes:
    """100,000 lines, each of another pool."""
    return page_of(f'jdbc_connections_max{{name="{number}"}} 1' for number in range(LINES))


async def reset_in_the_middle(peer: Peer) -> None:
    await peer.request()
    body = actuator_page()
    await peer.send(head(TEXT, f"Content-Length: {len(body)}") + body[: len(body) // 2])
    peer.reset()


HOSTILE: dict[str, tuple[str, Answer]] = {
    "many-pools": ("too_large", answer(many_pools(), TEXT)),
    "many-lines": ("too_large", answer(b"\n" * (4 * MIB), TEXT)),
    "endless": ("too_large", pages.body_of(None)),
    "tiny-chunks": (
        "protocol",
        pages.body_of(None, "Transfer-Encoding: chunked", line=b"1\r\n#\r\n"),
    ),
    "gzip-bomb": (
        "too_large",
        answer(gzip.compress(bytes(100 * MIB), 9), TEXT, "Content-Encoding: gzip"),
    ),
    "web-page": ("protocol", answer(b"<html></html>", "Content-Type: text/html")),
    "no-format": ("protocol", answer(b"jvm_threads 31\n", TEXT)),
    "elsewhere": ("protocol", answer(b"", "Location: http://127.0.0.2/", status="302 Found")),
    "drip": ("timeout", pages.drip),
    "silence": ("timeout", pages.nothing),
    "reset": ("protocol", pages.hang_up),
    "half": ("protocol", reset_in_the_middle),
    "half-unannounced": ("protocol", raw(head(TEXT) + actuator_page()[:-9])),
    "not-let-in": ("auth", answer(b"", status="403 Forbidden")),
    "damaged": ("protocol", answer(b"hikaricp_connections_max{{ 1\n" + actuator_page(), TEXT)),
    "twice": ("protocol", answer(actuator_page() * 2, TEXT)),
}


class Turning:
    """A good page, until it is switched to be hostile."""

    hostile = False

    def __init__(self, hostile: Answer) -> None:
        self._hostile = hostile

    async def __call__(self, peer: Peer) -> None:
        # One connection a poll, so that turning takes effect at once.
        if self.hostile:
            await self._hostile(peer)
        else:
            await answer(actuator_page(), TEXT, "Connection: close")(peer)


def config(directory: Path, servers: dict[str, Served]) -> Path:
    path = directory / "exporter.yaml"
    apps = "".join(
        f"  - {{name: {name}, targets: ['{served.url}'], interval: {INTERVAL * 1000:.0f}ms,"
        f" timeout: {TIMEOUT * 1000:.0f}ms}}\n"
        for name, served in servers.items()
    )
    path.write_text(f"socket_dir: ''\napps:\n{apps}")
    return path


def test_hostile_pages_cost_nobody_but_themselves(tmp_path: Path) -> None:
    turning = {name: Turning(hostile) for name, (_, hostile) in HOSTILE.items()}

    async def main() -> str:
        async with AsyncExitStack() as stack:
            servers = {
                name: await stack.enter_async_context(serving(server))
                for name, server in turning.items()
            }
            steady = answer(actuator_page(), TEXT, "Connection: close")
            servers["good"] = await stack.enter_async_context(serving(steady))
            async with exporting(config(tmp_path, servers)) as scraper:

                async def shown() -> set[str]:
                    _, text = await scraper.get()
                    return {
                        sample.labels["app"]
                        for family in text_string_to_metric_families(text)
                        for sample in family.samples
                        if sample.name == "pg_pool_max_connections"
                    }

                async def all_are_shown() -> bool:
                    return await shown() == {*HOSTILE, "good"}

                async def only_good_is_shown() -> bool:
                    return await shown() == {"good"}

                await scraper.until(all_are_shown, 20)
                for server in turning.values():
                    server.hostile = True
                took = await scraper.until(only_good_is_shown, 20)
                assert took > INTERVAL, "the last good pages are shown for a while"
                _, text = await scraper.get()
                return text

    text = asyncio.run(main())
    families = {family.name: family for family in text_string_to_metric_families(text)}
    failures: dict[str, set[str]] = {}
    for sample in families["pg_pool_exporter_poll_failures"].samples:
        if sample.value:
            app = sample.labels["target"].partition("@")[0]
            failures.setdefault(app, set()).add(sample.labels["reason"])
    # A machine that others use, too, can let any poll be late.
    failures.pop("good", None)
    assert failures.keys() == HOSTILE.keys()
    for name, (reason, _) in HOSTILE.items():
        assert failures[name] <= {reason, "timeout"}, name
    up = {s.labels["target"].partition("@")[0]: s.value
          for s in families["pg_pool_exporter_target_up"].samples}  # fmt: skip
    assert up == {**dict.fromkeys(HOSTILE, 0), "good": 1}


@pytest.mark.parametrize("name", [name for name, (why, _) in HOSTILE.items() if why != "timeout"])
def test_each_hostile_page_fails_with_its_reason(name: str) -> None:
    reason, hostile = HOSTILE[name]

    async def scenario() -> None:
        async with serving(hostile) as served:
            source = served.source(automatic(), TargetDefaults(app="orders", process="p"))
            try:
                await source.poll()
            finally:
                await source.close()

    with pytest.raises(PollError) as caught:
        asyncio.run(scenario())
    assert caught.value.reason == reason


def time_to_read(body: bytes, clock: Callable[[], float], *, pools: int) -> float:
    """Seconds by a clock that one poll of a page takes, on which there are so many pools."""

    async def scenario() -> float:
        async with serving(answer(body, TEXT)) as served:
            source = served.source(automatic(), TargetDefaults(app="orders", process="p"))
            started = clock()
            snapshot = await source.poll()
            took = clock() - started
            await source.close()
            assert len(snapshot.pools) == pools
            return took

    return asyncio.run(scenario())


@pytest.mark.parametrize("lines", [2_000, 100_000])
def test_a_long_page_is_read_in_time(lines: int) -> None:
    body = actuator_page() if lines == 2_000 else long_page()
    assert abs(body.count(b"\n") - lines) < 10
    assert time_to_read(body, monotonic, pools=1) < within(1)


def test_an_ordinary_page_of_spring_boot_does_not_wait_for_those_that_take_long() -> None:
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    lines = reader.quick_lines(actuator_page())
    assert lines is not None
    assert len(reader.read(actuator_page(), lines).pools) == 1


def test_few_lines_that_are_long_do_not_hold_up_the_others() -> None:
    """They are read beside the loop, whose thread has next to nothing to do with them."""
    labels = ",".join(f'l{number}="1"' for number in range(900))
    body = page_of(
        f'jdbc_connections_max{{name="{n % 50}",n="{n}",{labels}}} 1' for n in range(400)
    )
    assert time_to_read(body, thread_time, pools=100) < 0.1


@pytest.mark.parametrize(
    ("letters", "lines", "last"),
    [
        (1000, 3_900, "up"),
        (400, 9_900, "z_prom_ex_ecto_repo_"),
        (400, 600, "z_prom_ex_ecto_repo_"),
        (400, 600, "jdbc_connections_of_another"),
    ],
)
def test_what_a_page_without_pools_comes_nearest_to_is_found_beside_the_loop(
    letters: int, lines: int, last: str
) -> None:
    body = page_of(iter([*[f"{'x' * letters} 1"] * lines, f"{last} 1"]))

    async def scenario() -> float:
        async with serving(answer(body, TEXT)) as served:
            source = served.source(automatic(), TargetDefaults(app="orders", process="p"))
            took: list[float] = []
            for _ in range(3):
                started = thread_time()
                with pytest.raises(PollError, match=r"describe its names .* Looked for: native, "):
                    await source.poll()
                took.append(thread_time() - started)
            await source.close()
            return min(took)

    assert asyncio.run(scenario()) < 0.015


def test_no_more_series_of_pools_are_parsed_than_can_be_in_time() -> None:
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    page = many_pools()
    for _ in range(2):
        started = thread_time()
        with pytest.raises(PollError, match="more than 20000 series") as caught:
            reader.read(page)
        assert caught.value.reason == "too_large"
        assert thread_time() - started < 2


@pytest.mark.slow
def test_large_pages_of_one_owner_do_not_hold_up_those_of_another() -> None:
    """All of them are too long to be read on the loop, so they are read one after the other."""
    large = page_of(f'jdbc_connections_max{{name="{number}"}} 1' for number in range(19_000))
    fair = page_of(f'jdbc_connections_max{{name="{number}"}} 1' for number in range(600))
    done: list[str] = []

    async def scenario() -> None:
        async with serving(answer(large, TEXT)) as many, serving(answer(fair, TEXT)) as one:

            async def poll(owner: str, url: str) -> None:
                source = ExpositionTextSource(url, automatic(), owner=owner)
                await source.poll()
                done.append(owner)
                await source.close()

            greedy = [asyncio.create_task(poll("greedy", many.url)) for _ in range(8)]
            await eventually(lambda: bool(done), seconds=30)
            await poll("fair", one.url)
            await asyncio.gather(*greedy)

    asyncio.run(scenario())
    assert done.index("fair") <= 3


@pytest.mark.parametrize(
    "series", ['db_client_connection_max{pool_name="main"', 'pg_pool_max_connections{pool="main"']
)
def test_a_pool_in_thousands_of_versions_is_read_in_time(series: str) -> None:
    """Labels of the instrumentation are not in a pool's name, so all of them have a known one."""
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    assert len(reader.read(f"{series}}} 5\n".encode()).pools) == 1
    page = page_of(f'{series},otel_scope_version="{number}"}} 5' for number in range(8_000))
    started = thread_time()
    snapshot = reader.read(page)
    assert thread_time() - started < 2
    assert len(snapshot.pools) == 100
    assert snapshot.folded == 8_000 - 100
