"""The whole daemon: real targets on real sockets, scraped over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import structlog

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.blocking import files
from pg_pool_exporter.commands import daemon
from pg_pool_exporter.commands.daemon import Daemon, Settings
from pg_pool_exporter.commands.finding_log import FindingLog
from pg_pool_exporter.commands.garbage import GarbageCollections
from pg_pool_exporter.commands.single_poll import poll_once
from pg_pool_exporter.config import Config, ConfigError, load
from pg_pool_exporter.web import config as web_config
from pg_pool_exporter.web.server import ListenError, parse_address
from support import pages
from support.busy import within
from support.daemons import exporting
from support.pages import Peer, good, nothing
from support.postgres import Cluster
from support.programs import answers, exporter, fetch, free_port, running, seconds_until

INTERVAL, TIMEOUT = 0.5, 0.3
FAILED_EVENTS = "pg_pool_exporter_analysis_failures_total", 'analysis="events"'


def write(directory: Path, *urls: str) -> Path:
    """A configuration of these pages; each is an application named by its port."""
    path = directory / "exporter.yaml"
    apps = [
        f"  - {{name: app-{url.split(':')[2].split('/')[0]}, targets: ['{url}'],"
        f" interval: {INTERVAL * 1000:.0f}ms, timeout: {TIMEOUT * 1000:.0f}ms}}\n"
        for url in urls
    ]
    path.write_text(f"socket_dir: sockets\napps:{'' if apps else ' []'}\n{''.join(apps)}")
    return path


def name(url: str) -> str:
    """The target of the page at `url`."""
    address = url.split("/")[2]
    return f"app-{address.partition(':')[2]}@{address}"


@pytest.mark.parametrize(("interval", "timeout"), [("500ms", "300ms"), ("60s", "50s")])
def test_a_scrape_answers_at_once_while_every_target_hangs(
    tmp_path: Path, interval: str, timeout: str
) -> None:
    """It waits for no poll, however long that takes, and costs little where many fail at once.

    How long it takes by the clock is the machine's matter: at a load of 20 it is ten times the CPU
    time.
    """

    async def main() -> list[tuple[float, float]]:
        times: list[tuple[float, float]] = []
        async with pages.serving(nothing) as hung:
            urls = [hung.url + f"?n={number}" for number in range(50)]
            path = tmp_path / "exporter.yaml"
            path.write_text(
                f"socket_dir: ''\napps: [{{name: hung, interval: {interval}, timeout: {timeout},"
                f" targets: {urls}}}]\n"
            )
            async with exporting(path) as scraper:
                while len(times) < 200:
                    started, used = time.perf_counter(), time.thread_time()
                    status, text = await scraper.get()
                    times.append((time.perf_counter() - started, time.thread_time() - used))
                    assert status == 200
                    await asyncio.sleep(0.005)
                assert text.count("pg_pool_exporter_target_up{") == 50
        return times

    taken, used = map(sorted, zip(*asyncio.run(main()), strict=True))
    assert taken[-1] < 20
    # Of the loop, whatever it did meanwhile.
    assert used[int(len(used) * 0.95)] < 0.1


class Switch:
    """An answer that can be turned off: then the page hangs."""

    hanging = False

    async def __call__(self, peer: Peer) -> None:
        await (nothing if self.hanging else good)(peer)


def test_a_target_that_starts_to_hang_is_shown_down_in_time_and_up_soon_after(
    tmp_path: Path,
) -> None:
    switch = Switch()

    async def main() -> None:
        async with pages.serving(switch) as page, exporting(write(tmp_path, page.url)) as scraper:

            async def up() -> bool:
                return await scraper.value("pg_pool_exporter_target_up", name(page.url)) == 1

            async def down() -> bool:
                return not await up()

            await scraper.until(up)
            switch.hanging = True
            assert await scraper.until(down) < INTERVAL + TIMEOUT + 1
            switch.hanging = False
            assert await scraper.until(up) < 2 * INTERVAL + 0.2

    asyncio.run(main())


def test_values_go_after_three_intervals_of_failures_and_the_health_stays(tmp_path: Path) -> None:
    switch = Switch()

    async def main() -> None:
        async with pages.serving(switch) as page, exporting(write(tmp_path, page.url)) as scraper:

            async def shown() -> bool:
                return await scraper.value("pg_pool_max_connections") == 5

            async def gone() -> bool:
                return not await shown()

            await scraper.until(shown)
            switch.hanging = True
            took = await scraper.until(gone)
            assert 2 * INTERVAL - 0.1 < took < within(3 * INTERVAL + 0.2)
            assert await scraper.value("pg_pool_exporter_target_up", name(page.url)) == 0

    asyncio.run(main())


def test_it_is_ready_when_each_target_has_been_polled_whatever_the_outcome(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            pages.serving(nothing) as hung,
            pages.serving(good) as page,
            exporting(write(tmp_path, hung.url, page.url)) as scraper,
        ):
            status, text = await scraper.get("/-/ready")
            assert status == 503
            assert name(hung.url) in text

            async def ready() -> bool:
                return (await scraper.get("/-/ready"))[0] == 200

            assert await scraper.until(ready) > TIMEOUT - 0.1

    asyncio.run(main())


def test_processes_are_polled_while_their_sockets_are_in_the_directory(tmp_path: Path) -> None:
    path = tmp_path / "sockets" / "orders-0.sock"
    path.parent.mkdir()

    async def main() -> None:
        async with exporting(write(tmp_path)) as scraper:

            async def up() -> bool:
                return await scraper.value("pg_pool_exporter_target_up", "orders-0") == 1

            async def gone() -> bool:
                return "orders-0" not in (await scraper.get())[1]

            for _ in range(2):
                async with pages.serving(good, path):
                    assert await scraper.until(up) < 1.5
                    # It is not known from the configuration, and readiness is about the start.
                    assert (await scraper.get("/probe?target=orders-0"))[0] == 404
                    assert (await scraper.get("/-/ready"))[0] == 200
                    path.unlink()
                    assert await scraper.until(gone) < 1.5

    asyncio.run(main())


def test_a_reload_leaves_targets_that_stay_alone_and_follows_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            pages.serving(good) as stays,
            pages.serving(good) as leaves,
            pages.serving(good) as comes,
            exporting(write(tmp_path, stays.url, leaves.url)) as scraper,
        ):

            async def polled_thrice() -> bool:
                return (await scraper.value(polls, name(stays.url)) or 0) >= 3

            async def new_one_is_up() -> bool:
                return await scraper.value("pg_pool_exporter_target_up", name(comes.url)) == 1

            polls = "pg_pool_exporter_polls_total"
            await scraper.until(polled_thrice)
            write(tmp_path, stays.url, comes.url)
            assert await scraper.post("/-/reload") == 200
            assert (await scraper.value(polls, name(stays.url)) or 0) >= 3
            assert await scraper.value(polls, name(leaves.url)) is None
            await scraper.until(new_one_is_up)

    asyncio.run(main())


def test_a_threshold_that_is_reloaded_holds_from_then_on(tmp_path: Path) -> None:
    async def main() -> None:
        path = write(tmp_path)
        configured = path.read_text()
        async with exporting(path) as scraper:

            async def waits_for_longer() -> bool:
                metric, label = "pg_pool_exporter_threshold", 'threshold="lock_wait"'
                return await scraper.value(metric, label) == 90

            assert not await waits_for_longer()
            path.write_text(f"{configured}thresholds: {{lock_wait: 90s}}\n")
            assert await scraper.post("/-/reload") == 200
            await scraper.until(waits_for_longer)

    asyncio.run(main())


def test_intervals_that_are_too_long_to_prove_a_leak_are_reported_at_start_and_reload(
    tmp_path: Path,
) -> None:
    path = write(tmp_path)
    slow = 'socket_dir: ""\napps: [{name: NAME, targets: ["http://127.0.0.1:1/"], interval: 1m}]\n'

    async def main() -> list[str]:
        with structlog.testing.capture_logs() as lines:
            path.write_text(slow.replace("NAME", "first"))
            async with exporting(path) as scraper:
                path.write_text(slow.replace("NAME", "second"))
                assert await scraper.post("/-/reload") == 200
        return [line["event"] for line in lines if line["log_level"] == "warning"]

    reported = [sentence.partition(":")[0] for sentence in asyncio.run(main())]
    assert [one for one in reported if one.startswith("app ")] == ["app first", "app second"]


def test_a_wrong_file_keeps_the_former_configuration_and_says_so(tmp_path: Path) -> None:
    successful = "pg_pool_exporter_config_last_reload_successful"
    when = "pg_pool_exporter_config_last_reload_success_timestamp_seconds"

    async def main() -> None:
        async with pages.serving(good) as page:
            path = write(tmp_path, page.url)
            async with exporting(path) as scraper:
                first = await scraper.value(when)
                assert await scraper.value(successful) == 1
                path.write_text("servers: password=hunter2\n")
                with structlog.testing.capture_logs() as lines:
                    assert await scraper.post("/-/reload") == 500
                assert await scraper.value(successful) == 0
                assert await scraper.value(when) == first
                assert await scraper.value("pg_pool_exporter_polls_total") is not None
                wrong = [line for line in lines if line["log_level"] == "error"]
                assert len(wrong) == 1
                assert "exporter.yaml:1: servers: must be a list" in wrong[0]["error"]
                write(tmp_path, page.url)
                os.kill(os.getpid(), signal.SIGHUP)

                async def reloaded() -> bool:
                    return await scraper.value(successful) == 1

                await scraper.until(reloaded)
                assert (await scraper.value(when) or 0) > (first or 0)

    asyncio.run(main())


def test_a_file_that_breaks_its_reader_is_refused_like_a_wrong_one(tmp_path: Path) -> None:
    path = write(tmp_path)
    loads = iter([load])

    secret = "password=hunter2"

    def breaking() -> Config:
        return next(loads, fail)(path)

    def fail(_path: Path) -> Config:
        raise RuntimeError(secret)

    async def main() -> None:
        async with exporting(path, breaking) as scraper:
            with structlog.testing.capture_logs() as lines:
                assert await scraper.post("/-/reload") == 500
            assert await scraper.value("pg_pool_exporter_config_last_reload_successful") == 0
            assert lines[0]["error"] == "RuntimeError"
            assert "in fail" in lines[0]["stack"]
            assert "hunter2" not in str(lines)

    asyncio.run(main())


class SlowLoad:
    """Reads the file; at its second call it hands over what it read only after `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls = 0
        self._release = threading.Event()

    def __call__(self) -> Config:
        config = load(self._path)
        self._calls += 1
        if self._calls == 2:
            self._release.wait(10)
        return config

    def release(self) -> None:
        self._release.set()

    async def begun(self) -> bool:
        """Whether the second call has read the file."""
        return self._calls == 2


def test_of_two_reloads_the_one_that_read_the_file_last_holds(tmp_path: Path) -> None:
    async def main() -> None:
        async with pages.serving(good) as first, pages.serving(good) as second:
            slow = SlowLoad(write(tmp_path))
            async with exporting(tmp_path / "exporter.yaml", slow) as scraper:
                write(tmp_path, first.url)
                reloads = [asyncio.create_task(scraper.post("/-/reload"))]
                await scraper.until(slow.begun)
                write(tmp_path, second.url)
                reloads.append(asyncio.create_task(scraper.post("/-/reload")))
                # It has time to overtake the first one.
                await asyncio.wait(reloads, timeout=0.3)
                slow.release()
                assert await asyncio.gather(*reloads) == [200, 200]
                _, text = await scraper.get()
                assert name(second.url) in text
                assert name(first.url) not in text

    asyncio.run(main())


def test_a_reload_goes_on_when_whoever_asked_for_it_hangs_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with pages.serving(good) as page:
            slow = SlowLoad(write(tmp_path))
            async with exporting(tmp_path / "exporter.yaml", slow) as scraper:
                write(tmp_path, page.url)
                asking = asyncio.create_task(scraper.post("/-/reload"))
                await scraper.until(slow.begun)
                asking.cancel()
                await asyncio.wait({asking})
                await scraper.get("/-/healthy")
                slow.release()

                async def polled() -> bool:
                    return name(page.url) in (await scraper.get())[1]

                await scraper.until(polled)

    asyncio.run(main())


def test_a_wrong_configuration_at_the_start_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yaml"
    path.write_text("server: []\n")

    async def main() -> None:
        async with exporting(path):
            pass

    with pytest.raises(ConfigError, match="did you mean servers"):
        asyncio.run(main())


def test_an_address_that_is_taken_ends_it_and_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = parse_address(f"127.0.0.1:{taken.getsockname()[1]}")
            path = write(tmp_path)
            own = Daemon(Settings(load=lambda: load(path), listen=(address,)))
            with pytest.raises(ListenError, match="in use"):
                await own.run()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


# The system allows no thread of this name.
WITHOUT_THREAD = """
import sys, threading
real, (refused, *arguments) = threading.Thread.start, sys.argv[1:]
def start(thread):
    if thread.name == refused:
        raise RuntimeError("can't start new thread")
    real(thread)
threading.Thread.start = start
from pg_pool_exporter.__main__ import main
sys.exit(main(arguments))
"""


@pytest.mark.parametrize("thread", ["load", "web-configuration", "analysis"])
def test_a_limit_of_processes_is_named_where_it_prevents_the_start(
    tmp_path: Path, thread: str
) -> None:
    web = tmp_path / "web.yml"
    web.write_text("{}\n")
    arguments = [
        *("run", f"--config.file={write(tmp_path)}", f"--web.config.file={web}"),
        f"--web.listen-address=127.0.0.1:{free_port()}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREAD, thread, *arguments],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "pg-pool-exporter: no thread can be started: raise the limit of processes (TasksMax, pids)"
    )


def test_a_limit_of_processes_ends_nothing_later_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        if thread.name == "events":
            raise RuntimeError("can't start new thread")
        start(thread)

    async def main() -> None:
        async with exporting(path) as scraper:

            async def counted() -> bool:
                return bool(await scraper.value(*FAILED_EVENTS))

            await scraper.until(counted)

    path = write(tmp_path)
    monkeypatch.setattr(threading.Thread, "start", start_some)
    asyncio.run(main())


def test_reloads_that_are_asked_for_at_once_share_one_reading(tmp_path: Path) -> None:
    """Of a flood of SIGHUP or of requests each reads what was written before it was sent."""
    path = write(tmp_path)
    loads: list[str] = []

    async def main() -> None:
        loop, reads = asyncio.get_running_loop(), asyncio.Event()

        def loading() -> Config:
            loads.append(path.read_text())
            loop.call_soon_threadsafe(reads.set)
            return load(path)

        own = Daemon(Settings(load=loading, listen=()))
        await asyncio.sleep(0)
        reads.clear()  # of the start
        begun = asyncio.ensure_future(own.reload())
        await reads.wait()
        changed = path.with_suffix(".new")
        changed.write_text(path.read_text() + "# changed\n")
        changed.replace(path)  # at once, as it is being read
        assert all(await asyncio.gather(*(own.reload() for _ in range(1000)), begun))

    asyncio.run(main())
    assert len(loads) == 3
    assert loads[-1].endswith("# changed\n")


def test_at_the_end_no_task_and_no_socket_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        path = write(tmp_path, f"http://127.0.0.1:{hung.getsockname()[1]}/metrics")
        before = _sockets()

        async def main() -> None:
            async with exporting(path) as scraper:
                await scraper.get("/-/healthy")
                assert _sockets() > before
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
        assert _sockets() == before


def _sockets() -> int:
    """How many sockets this process has open."""
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_quickly_while_targets_and_clients_hang(
    tmp_path: Path, ending: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hung:
        path = write(tmp_path, f"http://127.0.0.1:{hung.getsockname()[1]}/metrics")
        port = free_port()
        command = exporter("run", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}")
        with running(command, log=tmp_path / "log") as process:
            seconds_until(lambda: answers(f"http://127.0.0.1:{port}/metrics"), "it answers", 10)
            with socket.create_connection(("127.0.0.1", port)) as idle:
                idle.sendall(b"GET /metrics HTTP/1.1\r\n")
                started = time.monotonic()
                process.send_signal(ending)
                assert process.wait(10) == 0
                assert time.monotonic() - started < within(2)
    assert "Traceback" not in (tmp_path / "log").read_text()


# Look-ups of some names never end, as with a name server that gets lost.
HUNG_LOOKUPS = """
import socket, sys, time
look_up = socket.getaddrinfo
def hang(host, *args, **kwargs):
    if str(host).endswith(".hung"):
        time.sleep(60)
    return look_up(host, *args, **kwargs)
socket.getaddrinfo = hang
from pg_pool_exporter.__main__ import main
sys.exit(main())
"""


def test_it_answers_and_ends_quickly_while_name_lookups_hang(tmp_path: Path) -> None:
    path, port = tmp_path / "exporter.yaml", free_port()
    servers = [f"  - {{name: s{n}, dsn: 'postgresql://u@h{n}.hung/x'}}\n" for n in range(20)]
    apps = [f"  - {{name: a{n}, targets: ['http://a{n}.hung/']}}\n" for n in range(20)]
    path.write_text(f"socket_dir: ''\nservers:\n{''.join(servers)}apps:\n{''.join(apps)}")
    command = [
        *(sys.executable, "-c", HUNG_LOOKUPS),
        *("run", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with running(command, log=tmp_path / "log") as process:
        url = f"http://127.0.0.1:{port}"
        seconds_until(lambda: answers(f"{url}/-/healthy"), "it is served", 15)

        def all_polled() -> bool:
            targets = json.loads(fetch(f"{url}/api/v1/findings"))["targets"]
            return len(targets) == 40 and all(target["polls"] for target in targets)

        seconds_until(all_polled, "each was polled once", 15)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - started < within(2)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_polling_once_gives_the_page_and_whether_all_answered(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        outcomes = []
        async with pages.serving(good) as page, pages.serving(nothing) as hung:
            for urls in ([page.url], [page.url, hung.url], []):
                config: Config = load(write(tmp_path, *urls))
                outcomes.append(await poll_once(config))
        # The application's configured name wins over the page's own.
        app = name(page.url).partition("@")[0]
        assert f'pg_pool_max_connections{{app="{app}",pool="main",process="web:0"}} 5' in (
            outcomes[1].page
        )
        return [outcome.successful for outcome in outcomes]

    assert asyncio.run(main()) == [True, False, True]


def test_polling_once_joins_what_pools_ask_of_their_server(
    tmp_path: Path, postgres: Cluster
) -> None:
    path = tmp_path / "exporter.yaml"

    async def main() -> str:
        async with pages.serving(good) as page:
            path.write_text(
                "socket_dir: ''\n"
                f"servers: [{{name: main, dsn: '{postgres.dsn()}'}}]\n"
                f"apps: [{{name: orders, server: main, targets: ['{page.url}']}}]\n"
            )
            return (await poll_once(load(path))).page

    assert '\npg_server_pools_max_connections{server="main"} 5\n' in asyncio.run(main())


@contextmanager
def named_pipe(path: Path) -> Iterator[None]:
    """A pipe that nobody writes into, in place of the file, until the end."""
    away = path.with_suffix(".away")
    path.rename(away)
    os.mkfifo(path)
    try:
        yield
    finally:
        path.unlink()
        away.rename(path)


def test_a_named_pipe_in_place_of_the_configuration_is_reported_and_a_later_reload_works(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        path = write(tmp_path)
        async with exporting(path) as scraper:
            with structlog.testing.capture_logs() as lines, named_pipe(path):
                assert await scraper.post("/-/reload") == 500
            assert str(path) in lines[0]["error"]
            assert "not a regular file" in lines[0]["error"]
            assert await scraper.value("pg_pool_exporter_config_last_reload_successful") == 0
            assert await scraper.post("/-/reload") == 200
            assert await scraper.value("pg_pool_exporter_config_last_reload_successful") == 1

    asyncio.run(main())


class HungFiles:
    """A file system that hangs: files below a directory `hung` can't be opened until `answer`."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self._real = os.open

    def open(self, path: str | Path, *arguments: int, **options: int) -> int:
        if "/hung/" in str(path):
            self.answer.wait(10)
        return self._real(path, *arguments, **options)


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungFiles]:
    hanging = HungFiles()
    monkeypatch.setattr(os, "open", hanging.open)
    yield hanging
    hanging.answer.set()


def hung_configuration(directory: Path) -> Path:
    """A configuration that names a password file on a file system that hangs."""
    (directory / "hung").mkdir()
    (directory / "hung" / "password").write_text("hunter2")
    path = directory / "exporter.yaml"
    path.write_text(
        "socket_dir: ''\nservers:\n"
        "  - {name: main, dsn: host=127.0.0.1, password_file: hung/password}\n"
    )
    return path


@pytest.mark.parametrize("which", ["one file", "the whole load"])
def test_a_reload_that_hangs_names_its_file_and_a_later_one_works(
    tmp_path: Path, hung: HungFiles, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    module, deadline = (files, "SECONDS") if which == "one file" else (daemon, "LOAD_SECONDS")

    async def main() -> None:
        path = write(tmp_path)
        async with exporting(path) as scraper:
            monkeypatch.setattr(module, deadline, 0.2)
            hung_configuration(tmp_path)
            with structlog.testing.capture_logs() as lines:
                for _ in range(3):
                    assert await scraper.post("/-/reload") == 500
            for line in lines:
                found = "servers[0].password_file" if which == "one file" else "hung/password"
                assert found in line["error"]
                assert " s" in line["error"], "how long it was waited for"
            assert (await scraper.get())[0] == 200
            write(tmp_path)
            assert await scraper.post("/-/reload") == 200

    asyncio.run(main())


def test_scrapes_and_polls_go_on_while_the_web_configuration_hangs(
    tmp_path: Path, hung: HungFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_config, "RECHECK", 0.05)
    (tmp_path / "hung").mkdir()
    file = tmp_path / "hung" / "web.yml"
    hung.answer.set()
    file.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")

    async def main() -> None:
        async with pages.serving(good) as page:
            path = write(tmp_path, page.url)
            async with exporting(path, web_config_file=file) as scraper:
                hung.answer.clear()
                file.write_text("{}\n")

                async def polled() -> bool:
                    polls = await scraper.value("pg_pool_exporter_polls_total", name(page.url))
                    return (polls or 0) > 5

                assert await scraper.until(polled) < 3
                assert await scraper.post("/-/reload") == 200

    asyncio.run(main())


def test_findings_are_compared_for_the_log_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []

    def follow(_log: FindingLog, _analysis: Analysis) -> None:
        seen.append(threading.current_thread())

    monkeypatch.setattr(FindingLog, "follow", follow)

    async def main() -> None:
        async with exporting(write(tmp_path)) as scraper:

            async def followed() -> bool:
                return bool(seen)

            assert await scraper.until(followed) < 10

    asyncio.run(main())
    assert threading.main_thread() not in seen


def test_a_fault_in_the_log_of_findings_stops_no_garbage_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[GarbageCollections] = []

    def fail(_log: FindingLog, _analysis: Analysis) -> None:
        raise KeyError("a bug")

    def collect(collections: GarbageCollections) -> None:
        collected.append(collections)

    monkeypatch.setattr(FindingLog, "follow", fail)
    monkeypatch.setattr(GarbageCollections, "collect", collect)

    async def main() -> None:
        async with exporting(write(tmp_path)) as scraper:

            async def counted() -> bool:
                return bool(collected and await scraper.value(*FAILED_EVENTS))

            await scraper.until(counted)

    asyncio.run(main())


# Opening a file below a directory `hung` never ends, as on a dead network mount.
HUNG_FILES = """
import os, sys, time
real = os.open
def hang(path, *args, **kwargs):
    if "/hung/" in str(path):
        time.sleep(60)
    return real(path, *args, **kwargs)
os.open = hang
from pg_pool_exporter.__main__ import main
sys.exit(main())
"""


def test_it_ends_quickly_while_a_reload_hangs(tmp_path: Path) -> None:
    path, port = write(tmp_path), free_port()
    command = [
        *(sys.executable, "-c", HUNG_FILES),
        *("run", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with running(command, log=tmp_path / "log") as process:
        seconds_until(lambda: answers(f"http://127.0.0.1:{port}/metrics"), "it answers", 10)
        hung_configuration(tmp_path)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert answers(f"http://127.0.0.1:{port}/metrics")
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - started < within(2)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_hangup_before_it_listens_is_a_reload_and_not_the_end(tmp_path: Path) -> None:
    path, port = write(tmp_path), free_port()
    command = exporter("run", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}")
    with running(command, log=tmp_path / "log") as process:
        seconds_until(lambda: holds_back(process.pid, signal.SIGHUP), "it has begun", 10)
        process.send_signal(signal.SIGHUP)
        seconds_until(lambda: answers(f"http://127.0.0.1:{port}/metrics"), "it answers", 10)
        seconds_until(
            lambda: "configuration loaded" in (tmp_path / "log").read_text(), "it reloads", 5
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def holds_back(pid: int, number: signal.Signals) -> bool:
    """Whether the signal is blocked in the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(mask & 1 << (number - 1))


USERS = f"basic_auth_users: {{prometheus: '{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}'}}\n"


@pytest.mark.parametrize(
    ("web_configuration", "everywhere"),
    [(None, False), ("http_server_config: {http2: true}\n", False), (USERS, True)],
    ids=["none", "no authentication", "users"],
)
def test_it_listens_beyond_this_host_only_with_authentication_or_by_the_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web_configuration: str | None, everywhere: bool
) -> None:
    path = write(tmp_path)
    monkeypatch.setattr(daemon, "DEFAULT_PORT", 0)
    file = None
    if web_configuration is not None:
        file = tmp_path / "web.yml"
        file.write_text(web_configuration)

    async def main(*listen: str) -> set[str | None]:
        addresses = (*map(parse_address, listen),)
        own = Daemon(Settings(load=lambda: load(path), listen=addresses, web_config_file=file))
        await own.server.start()
        await asyncio.sleep(0)
        try:
            return {address.host for address in own.server.bound}
        finally:
            await own.server.close()

    assert asyncio.run(main()) == ({"0.0.0.0", "::"} if everywhere else {"127.0.0.1"})
    assert asyncio.run(main(":0")) >= {"0.0.0.0"}
