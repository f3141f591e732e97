"""What a fleet of applications costs the exporter, and whether it keeps the schedule.

    python -m bench.fleet [--endpoints 1000] [--hanging 10] [--seconds 60]
    python -m bench.fleet --endpoints 10000 --interval 60 --timeout 5 --seconds 180 \
        --servers 300 --shards 5

Each endpoint serves a Spring Boot Actuator's page of 2,000 lines and is polled at the interval, 5 s
by default, with a timeout of 1 s; some take the connection and never answer. The exporter is the
real command; the endpoints are other processes, which note when they are asked and are not counted.
A scrape every 5 s comes on top. Prints a Markdown table: the exporter's CPU time as a share of one
core, and how late its polls were by its own schedule. It fails where more than a tenth of the polls
that were due are missing.

With `--shards` several exporters have the same file and each its part (`--shard`). It fails where a
part is more than a tenth above the mean, or an endpoint is polled by two of them. The servers that
the applications belong to refuse connections: they only decide who polls what.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

from pg_pool_exporter.polling.poller import next_poll
from support.actuator_page import LINES, actuator_page
from support.postgres import wait_until
from support.programs import answers, free_port

SCRAPE_INTERVAL = 5.0
PATH = "/actuator/prometheus"
PAGES = 8
"""Different pages that are served in turns, so that each poll has something new to write."""
MOST_ENDPOINTS = 5_000
"""Of one process: each has two descriptors, and hosts allow some 20,000."""
TICKS = os.sysconf("SC_CLK_TCK")


class Endpoint(asyncio.Protocol):
    """One connection to an endpoint."""

    def __init__(self, number: int, answers: list[bytes] | None, asked: list[float]) -> None:
        self._number = number
        self._answers = answers
        self._asked = asked
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._asked.append(time.monotonic())
        if self._answers is not None:
            turn = len(self._asked) + self._number
            self._transport.write(self._answers[turn % len(self._answers)])


async def serve(endpoints: int, hanging: int, pipe: Connection) -> None:
    """Serve until the pipe is written to; then give the times at which each port was asked."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;version=0.0.4;charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
        for page in map(actuator_page, range(PAGES))
    ]
    asked: dict[int, list[float]] = {}
    loop = asyncio.get_running_loop()
    for number in range(endpoints):
        times: list[float] = []
        connected = partial(Endpoint, number, None if number < hanging else answers, times)
        server = await loop.create_server(connected, "127.0.0.1", 0)
        asked[server.sockets[0].getsockname()[1]] = times
    pipe.send([*asked])
    await loop.run_in_executor(None, pipe.recv)
    pipe.send(asked)


def endpoints_process(endpoints: int, hanging: int, pipe: Connection) -> None:
    """A process with some of the endpoints."""
    asyncio.run(serve(endpoints, hanging, pipe))


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def configuration(ports: list[int], interval: float, timeout: float, servers: int) -> str:
    """One application an endpoint; with servers one a server, which has its share of them.

    So 10,000 endpoints fit into a file of the size that the exporter reads.
    """
    listed = "".join(
        f"  - {{name: server-{number}, dsn: 'host=127.0.0.1 port=1'}}\n"
        for number in range(servers)
    )
    groups = [ports[number :: servers or len(ports)] for number in range(servers or len(ports))]
    apps = "".join(
        f"  - name: app-{number}\n    interval: {interval:g}s\n    timeout: {timeout:g}s\n"
        + (f"    server: server-{number}\n" if servers else "")
        + "    targets:\n"
        + "".join(f"      - http://127.0.0.1:{port}{PATH}\n" for port in group)
        for number, group in enumerate(groups)
    )
    return f"socket_dir: ''\nservers:\n{listed or '  []'}\napps:\n{apps}"


def latest(
    asked: Mapping[int, list[float]], arguments: argparse.Namespace, begin: float, end: float
) -> tuple[float, float]:
    """The 99th percentile and the most that a poll was late, by the schedule of its target."""
    apps, interval = arguments.servers or len(asked), arguments.interval
    late = []
    for number, (port, times) in enumerate(asked.items()):
        target = f"app-{number % apps}@127.0.0.1:{port}{PATH}"
        for polls, (last, at) in enumerate(pairwise(times), 1):
            if begin <= at <= end:
                late.append(at - next_poll(target, interval, last, last, polls))
    if not late:
        sys.exit("no endpoint was polled in the time that is measured")
    late.sort()
    return late[len(late) * 99 // 100], late[-1]


def scrape(address: str) -> str:
    """The exporter's page."""
    with urlopen(f"http://{address}/metrics") as answer:
        return str(answer.read(), "utf-8")


def start(path: Path, address: str, *flags: str) -> subprocess.Popen[bytes]:
    """The real command."""
    return subprocess.Popen(
        [sys.executable, "-m", "pg_pool_exporter", f"--config.file={path}",
         f"--web.listen-address={address}", "--log.level=error", *flags]
    )  # fmt: skip


class Fleet:
    """All endpoints, in as many processes as they need."""

    def __init__(self, endpoints: int, hanging: int) -> None:
        self._processes: list[tuple[multiprocessing.Process, Connection]] = []
        for first in range(0, endpoints, MOST_ENDPOINTS):
            ours, theirs = multiprocessing.Pipe()
            count = min(MOST_ENDPOINTS, endpoints - first)
            process = multiprocessing.Process(
                target=endpoints_process, args=(count, min(count, max(0, hanging - first)), theirs)
            )
            process.start()
            self._processes.append((process, ours))
        self.ports: list[int] = [port for _, pipe in self._processes for port in pipe.recv()]

    def stop(self) -> dict[int, list[float]]:
        """The times at which each port was asked."""
        asked: dict[int, list[float]] = {}
        for process, pipe in self._processes:
            pipe.send("enough")
            asked |= pipe.recv()
            process.join()
        return asked


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run has cost and shown."""

    seconds: float
    polls: int
    used: list[float]
    """Processor time of each exporter."""
    memory: list[float]
    """Of each exporter, in MiB."""
    pages: list[str]
    """The last page of each."""
    late: tuple[float, float]
    most_polls: int
    """Of one endpoint."""


def measured(arguments: argparse.Namespace) -> Measured:
    """Run it."""
    fleet = Fleet(arguments.endpoints, arguments.hanging)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.yaml")
        path.write_text(
            configuration(fleet.ports, arguments.interval, arguments.timeout, arguments.servers)
        )
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(arguments.shards)]
        exporters = [
            start(path, address, f"--shard={number}/{arguments.shards}")
            for number, address in enumerate(addresses, 1)
        ]
        pids = [one.pid for one in exporters]
        try:
            for address in addresses:
                wait_until(partial(answers, f"http://{address}/-/healthy"), "it answers", 300)
            time.sleep(arguments.interval + 10)  # the first polls read all names
            begin, used = time.monotonic(), [*map(processor_seconds, pids)]
            while time.monotonic() < begin + arguments.seconds:
                time.sleep(SCRAPE_INTERVAL)
                pages = [*map(scrape, addresses)]
            end = time.monotonic()
            used = [
                after - before
                for before, after in zip(used, map(processor_seconds, pids), strict=True)
            ]
            memory = [*map(resident_mib, pids)]
        finally:
            for one in exporters:
                one.terminate()
            for one in exporters:
                one.wait()
            asked = fleet.stop()
    polls = [sum(begin <= at <= end for at in times) for times in asked.values()]
    late = latest(asked, arguments, begin, end)
    return Measured(end - begin, sum(polls), used, memory, pages, late, max(polls))


def targets(page: str, *, up: bool) -> int:
    """How many applications an exporter polls, or of these how many are up."""
    return sum(
        line.startswith("pg_pool_exporter_target_up{")
        and 'kind="app"' in line
        and (not up or line.endswith(" 1"))
        for line in page.splitlines()
    )


def main() -> int:
    """Run it, and print the tables; 1 where polls are missing or the work is divided badly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--hanging", type=int, default=10)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--timeout", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--servers", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.seconds < 3 * arguments.interval:
        parser.error("--seconds must be three intervals at least")  # two pollers are seen by then
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    run = measured(arguments)
    percentile, most = run.late
    up = sum(targets(page, up=True) for page in run.pages)
    print(
        f"{arguments.endpoints} endpoints of {LINES:,} lines, {arguments.hanging} of them hanging; "
        f"{run.polls} polls in {run.seconds:.0f} s; at the end {up} are up.\n"
    )
    print("| share of a core | ms a poll | late, 99 % | late, at most | resident |")
    print("|---:|---:|---:|---:|---:|")
    print(
        f"| {sum(run.used) / run.seconds:.0%} | {sum(run.used) / run.polls * 1e3:.2f} "
        f"| {percentile:.2f} s | {most:.2f} s | {sum(run.memory):.0f} MiB |"
    )
    sound = arguments.shards == 1 or divided(arguments, run)
    due = arguments.endpoints * run.seconds / arguments.interval
    return 0 if sound and run.polls > 0.9 * due else 1


def divided(arguments: argparse.Namespace, run: Measured) -> bool:
    """Print what each shard does; false where one has too much, or two do the same."""
    parts = [targets(page, up=False) for page in run.pages]
    mean: float = arguments.endpoints / arguments.shards
    print("\n| shard | endpoints | above the mean | share of a core | resident |")
    print("|---:|---:|---:|---:|---:|")
    for number, (part, used, memory) in enumerate(zip(parts, run.used, run.memory, strict=True), 1):
        print(
            f"| {number} | {part} | {part / mean - 1:+.0%} | {used / run.seconds:.0%} "
            f"| {memory:.0f} MiB |"
        )
    allowed = run.seconds / arguments.interval + 1
    print(f"\nAn endpoint was polled {run.most_polls} times at most; {allowed:.0f} are due.")
    once: bool = sum(parts) == arguments.endpoints and run.most_polls <= allowed + 1
    return once and max(parts) <= 1.1 * mean


if __name__ == "__main__":
    sys.exit(main())
