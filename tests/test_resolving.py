"""Host names that are looked up: some at once, some never."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pg_pool_exporter.blocking.names import MAX_THREADS, Resolver, getaddrinfo
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
from support import pages
from support.pages import serving
from support.polling import eventually
from support.postgres import wait_until

DEADLINE = 5.0


class HungNames:
    """The system's resolver, but names that end in `.hung` get no answer until `answer` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked: list[str] = []
        self.answered: list[str] = []
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: str, *arguments: Any, **options: Any) -> Any:
        self.asked.append(host)
        if host.endswith(".hung"):
            self.answer.wait(DEADLINE)
        try:
            real = "localhost" if host.endswith(".hung") else host
            return self._real(real, *arguments, **options)
        finally:
            self.answered.append(host)


def threads() -> int:
    """How many look-ups are under way."""
    return sum(thread.name == "resolve" for thread in threading.enumerate())


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungNames]:
    """Put in place of the system's, which can't be made to hang on the loopback alone."""
    names = HungNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.answer.set()
    wait_until(lambda: len(names.answered) == len(names.asked), "all names are looked up")


def test_a_page_is_read_while_other_names_hang(hung: HungNames) -> None:
    async def check() -> None:
        others = [ExpositionTextSource(f"http://h{number}.hung/") for number in range(40)]
        async with serving(pages.good) as served:
            own = ExpositionTextSource(served.url.replace("127.0.0.1", "localhost"))
            hanging = [asyncio.create_task(other.poll()) for other in others]
            await eventually(lambda: len(hung.asked) == len(others))
            assert (await own.poll()).pools
            for source in (own, *others):
                await source.close()
            await asyncio.gather(*hanging, return_exceptions=True)

    asyncio.run(asyncio.wait_for(check(), DEADLINE))
    assert not hung.answer.is_set()


def test_a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for(hung: HungNames) -> None:
    """And when it answers at last, whoever waits has the answer."""

    async def check() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await getaddrinfo("db.hung", 5432)
        late = asyncio.create_task(getaddrinfo("db.hung", 5432))
        await asyncio.sleep(0)
        hung.answer.set()
        assert {info[4][1] for info in await late} == {5432}

    asyncio.run(asyncio.wait_for(check(), DEADLINE))
    assert hung.asked == ["db.hung"]


def test_names_beyond_the_limit_wait_their_turn(hung: HungNames) -> None:
    async def check() -> None:
        names = [f"h{number}.hung" for number in range(MAX_THREADS + 5)]
        tasks = [asyncio.create_task(getaddrinfo(name, 80)) for name in names]
        await eventually(lambda: len(hung.asked) == MAX_THREADS)
        assert threads() == MAX_THREADS
        hung.answer.set()
        assert all(await asyncio.gather(*tasks))

    asyncio.run(asyncio.wait_for(check(), DEADLINE))


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b", "x" * 64, ""])
def test_a_name_that_does_not_exist_is_an_error_of_the_system(name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        asyncio.run(asyncio.wait_for(getaddrinfo(name, 80), DEADLINE))


def test_addresses_are_those_of_the_system() -> None:
    expected = {info[4][0] for info in socket.getaddrinfo("localhost", 80)}

    async def check() -> set[str]:
        found = await Resolver().resolve("localhost", 80, socket.AF_UNSPEC)
        assert all(result["port"] == 80 for result in found)
        return {result["host"] for result in found}

    assert asyncio.run(check()) <= expected


ENDS_WHILE_A_NAME_HANGS = """
import asyncio, socket, time
socket.getaddrinfo = lambda *arguments, **options: time.sleep(60)
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
async def main():
    source = ExpositionTextSource("http://name.hung/")
    try:
        await asyncio.wait_for(source.poll(), 0.1)
    except TimeoutError:
        print("timeout")
    await source.close()
asyncio.run(main())
"""


def test_the_program_ends_while_a_name_hangs() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", ENDS_WHILE_A_NAME_HANGS],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "timeout\n", "")
