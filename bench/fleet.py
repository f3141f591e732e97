"""What a fleet of applications costs the exporter, and whether it keeps the schedule.

    python -m bench.fleet [--endpoints 1000] [--hanging 10] [--seconds 60]

Each endpoint serves a Spring Boot Actuator's page of 2,000 lines and is polled every 5 s with a
deadline of 1 s; some take the connection and never answer. The exporter is the real command; the
endpoints are another process, which notes when it is asked and is not counted. A scrape every 5 s
comes on top. Prints a Markdown table: the exporter's processor time as a share of one core, and
the longest that a poll came after its time.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

from support.actuator_page import LINES, actuator_page

INTERVAL = 5.0
DEADLINE = 1.0
PAGES = 8
"""Different pages that are served in turns, so that each poll has something new to write."""
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
    """Serve until the pipe is written to; then give the times at which each one was asked."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;version=0.0.4;charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
        for page in map(actuator_page, range(PAGES))
    ]
    asked: dict[int, list[float]] = defaultdict(list)
    loop = asyncio.get_running_loop()
    ports = []
    for number in range(endpoints):
        mine = None if number < hanging else answers

        def connected(number: int = number, mine: list[bytes] | None = mine) -> Endpoint:
            return Endpoint(number, mine, asked[number])

        server = await loop.create_server(connected, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    pipe.send(ports)
    await loop.run_in_executor(None, pipe.recv)
    pipe.send(dict(asked))


def endpoints_process(endpoints: int, hanging: int, pipe: Connection) -> None:
    """The other process."""
    asyncio.run(serve(endpoints, hanging, pipe))


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def configuration(ports: list[int]) -> str:
    """One application an endpoint, as a fleet has."""
    apps = "".join(
        f"  - name: app-{number}\n    interval: {INTERVAL:g}s\n    timeout: {DEADLINE:g}s\n"
        f"    targets: ['http://127.0.0.1:{port}/actuator/prometheus']\n"
        for number, port in enumerate(ports)
    )
    return f"socket_dir: ''\napps:\n{apps}"


def latest(asked: dict[int, list[float]], begin: float, end: float) -> tuple[float, float]:
    """The 99th percentile and the most that a poll in the time was late."""
    late = sorted(
        after - before - INTERVAL
        for times in asked.values()
        for before, after in pairwise(times)
        if begin <= before and after <= end
    )
    return late[len(late) * 99 // 100], late[-1]


def scrape(address: str) -> str:
    """The exporter's page."""
    with urlopen(f"http://{address}/metrics") as answer:
        return str(answer.read(), "utf-8")


def main() -> None:
    """Run it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--hanging", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ours, theirs = multiprocessing.Pipe()
    peer = multiprocessing.Process(
        target=endpoints_process, args=(arguments.endpoints, arguments.hanging, theirs)
    )
    peer.start()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.yaml")
        path.write_text(configuration(ours.recv()))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        exporter = subprocess.Popen(
            [sys.executable, "-m", "pg_pool_exporter", f"--config.file={path}",
             f"--web.listen-address={address}", "--log.level=error"]
        )  # fmt: skip
        try:
            time.sleep(3 * INTERVAL)  # the first polls open the connections
            begin, used = time.monotonic(), processor_seconds(exporter.pid)
            while time.monotonic() < begin + arguments.seconds:
                time.sleep(INTERVAL)
                page = scrape(address)
            end = time.monotonic()
            used = processor_seconds(exporter.pid) - used
            memory = resident_mib(exporter.pid)
        finally:
            exporter.terminate()
            exporter.wait()
            ours.send("enough")
            asked: dict[int, list[float]] = ours.recv()
            peer.join()
    up = sum(
        line.startswith("pg_pool_exporter_target_up{") and line.endswith(" 1")
        for line in page.splitlines()
    )
    percentile, worst = latest(asked, begin, end)
    polls = sum(begin <= at <= end for times in asked.values() for at in times)
    print(
        f"{arguments.endpoints} endpoints of {LINES:,} lines, {arguments.hanging} of them hanging; "
        f"{polls} polls in {end - begin:.0f} s; at the end {up} are up.\n"
    )
    print("| share of a core | ms a poll | late, 99 % | late, at most | resident |")
    print("|---:|---:|---:|---:|---:|")
    print(
        f"| {used / (end - begin):.0%} | {used / polls * 1e3:.2f} | {percentile:.3f} s "
        f"| {worst:.3f} s | {memory:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
