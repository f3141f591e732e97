"""Lanes: work that hangs delays no other kind, and never the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pg_pool_exporter.blocking import files, threads
from pg_pool_exporter.blocking.files import FileError
from pg_pool_exporter.blocking.secrets import PasswordError, read_password_file, run_command
from pg_pool_exporter.blocking.threads import Lane, LaneFullError, NoThreadError
from pg_pool_exporter.config import HttpClientConfig
from pg_pool_exporter.discovery.socket_directory import SocketDirectory
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.libpq_files import read_inputs
from pg_pool_exporter.sources.http.request_options import request_options
from pg_pool_exporter.web.config import WebConfigFile


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hung work goes on when it is set."""
    event = threading.Event()
    yield event
    event.set()


def test_results_and_errors_reach_the_caller() -> None:
    async def check() -> None:
        lane = Lane("test")
        assert await lane.run(lambda: 6 * 7) == 42
        with pytest.raises(ValueError, match="x"):
            await lane.run(lambda: int("x"))

    asyncio.run(check())


def test_jobs_run_in_order_with_the_given_number_of_threads(gate: threading.Event) -> None:
    ran: list[int] = []

    async def check() -> None:
        lane = Lane("test", threads=1)
        first = asyncio.create_task(lane.run(gate.wait))
        others = [
            asyncio.create_task(lane.run(lambda number=number: ran.append(number)))  # type: ignore[misc]
            for number in range(20)
        ]
        await asyncio.sleep(0.05)
        assert ran == []
        gate.set()
        await asyncio.gather(first, *others)
        assert ran == list(range(20))

    asyncio.run(check())


def test_hung_jobs_leave_the_other_threads_of_a_lane(gate: threading.Event) -> None:
    async def check() -> None:
        lane = Lane("test", threads=4)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await lane.run(gate.wait, seconds=0.05)
        assert await lane.run(lambda: "done", seconds=5) == "done"

    asyncio.run(check())


def test_one_key_hangs_in_one_thread_however_often_it_is_asked_for(gate: threading.Event) -> None:
    async def check() -> None:
        lane = Lane("test", threads=2)
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await lane.run(gate.wait, key="slow", seconds=0.01)
        assert list(lane.under_way) == ["slow"]
        assert await lane.run(lambda: "done", key="other", seconds=5) == "done"
        late = asyncio.create_task(lane.run(lambda: False, key="slow", seconds=5))
        await asyncio.sleep(0)
        gate.set()
        assert await late is True, "the result of the job that was under way"
        assert not lane.under_way

    asyncio.run(check())


def test_a_cancelled_job_that_has_not_begun_never_begins(gate: threading.Event) -> None:
    ran: list[str] = []

    async def check() -> None:
        lane = Lane("test")
        first = asyncio.create_task(lane.run(gate.wait))
        second = asyncio.create_task(lane.run(lambda: ran.append("second")))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        await first
        await lane.run(lambda: ran.append("third"))
        assert ran == ["third"]

    asyncio.run(check())


def test_waiting_from_a_thread_has_a_deadline(gate: threading.Event) -> None:
    lane = Lane("test", threads=2)
    with pytest.raises(TimeoutError):
        lane.wait(gate.wait, key="slow", seconds=0.05)
    assert lane.wait(lambda: 1, seconds=5) == 1


def test_the_queue_is_bounded(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_WAITING", 3)

    async def check() -> None:
        lane = Lane("test")
        tasks = [asyncio.create_task(lane.run(gate.wait)) for _ in range(1)]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(lane.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(LaneFullError):
            await lane.run(gate.wait)
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(check())


def test_without_a_new_thread_those_of_a_lane_do_the_work(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has a limit of processes."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def check() -> None:
        lane = Lane("test", threads=2)
        hung = asyncio.create_task(lane.run(gate.wait))
        await asyncio.sleep(0)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        later = asyncio.create_task(lane.run(lambda: "done"))
        await asyncio.sleep(0)
        with pytest.raises(NoThreadError, match="raise the limit of processes"):
            await Lane("other").run(gate.wait)
        gate.set()
        assert await hung
        assert await later == "done"

    asyncio.run(check())


def refuse(_lane: Lane, *_job: object) -> None:
    """In place of taking a job."""
    raise NoThreadError("no thread can be started")


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: read_password_file("password"), id="password file"),
        pytest.param(lambda: run_command(["true"]), id="password command"),
        pytest.param(lambda: read_inputs({}), id="libpq's files"),
        pytest.param(
            lambda: request_options(HttpClientConfig.model_construct(header_files={"A": "token"})),
            id="credentials of a request",
        ),
        pytest.param(lambda: asyncio.to_thread(files.read, "list", 10), id="another file"),
    ],
)
def test_a_missing_thread_is_not_called_a_hung_file_system(
    read: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        await read()

    monkeypatch.setattr(Lane, "_submit", refuse)
    with pytest.raises((PasswordError, PollError, FileError), match="no thread can be started"):
        asyncio.run(main())


def test_a_missing_thread_is_a_problem_of_the_directory_and_of_the_web_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("{}")
    sockets, web = SocketDirectory(tmp_path), WebConfigFile(file)

    async def main() -> None:
        await sockets.look()
        await web.refresh()

    monkeypatch.setattr(Lane, "_submit", refuse)
    asyncio.run(main())
    for problem in (sockets.problem, web.problem):
        assert "no thread can be started" in str(problem)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.05)
    lane = Lane("short-lived")
    assert lane.wait(lambda: 1, seconds=5) == 1
    end = time.monotonic() + 5
    while any(thread.name == "short-lived" for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert lane.wait(lambda: 2, seconds=5) == 2, "a new thread when there is work again"


def test_the_process_ends_while_work_hangs() -> None:
    program = """
import asyncio, threading
from pg_pool_exporter.blocking.threads import Lane
async def main():
    try:
        await Lane("hung").run(threading.Event().wait, seconds=0.05)
    except TimeoutError:
        print("timed out")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "timed out\n"
    assert done.stderr == ""
