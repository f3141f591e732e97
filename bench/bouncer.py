"""What a poll of a bouncer with many clients costs the bouncer and the exporter, in one run.

    python -m bench.bouncer [--clients 10000] [--polls 10] [--peer PATH] [--pgbouncer PATH]

CPU time of the PgBouncer process, which serves nobody else meanwhile, and of this one, with the
daemon's settings of the interpreter. How long the event loop was held, between two beats: in CPU
time of the process, which others on the machine do not lengthen. With applications, and without (as
above `max_clients`). The peer is one scrape of prometheus-pgbouncer-exporter, where `--peer` names
its program. Clients log in and do nothing. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.request import urlopen

from pydantic import SecretStr

from pg_pool_exporter.commands.demo.postgres import as_nobody
from pg_pool_exporter.commands.latency import responsive
from pg_pool_exporter.config import BouncerConfig
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from support.pgbouncer import PGBOUNCER, Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import free_port

APPLICATIONS = 20
_TICKS = os.sysconf("SC_CLK_TCK")
_BEAT = 0.001


class Cost(NamedTuple):
    """Of one poll, in seconds."""

    bouncer: float
    own: float
    took: float
    held: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--polls", type=int, default=10)
    parser.add_argument("--peer", type=Path, help="prometheus-pgbouncer-exporter, 0.12 or later")
    parser.add_argument("--pgbouncer", type=Path, default=PGBOUNCER)
    asked = parser.parse_args()
    settings = {
        "pool_mode": "transaction", "auth_type": "trust", "max_client_conn": asked.clients + 100,
    }  # fmt: skip
    with (
        server() as cluster,
        Bouncer(cluster, {"shop": "dbname=postgres"}, settings, program=asked.pgbouncer) as bouncer,
        clients(bouncer.port, asked.clients),
        responsive(),
    ):
        print(f"{asked.clients:,} clients of {APPLICATIONS} applications, {asked.polls} polls\n")
        print("| | bouncer's CPU | exporter's CPU | took | loop held |")
        print("|---|---|---|---|---|")
        for title, most in (("with applications", 40_000), ("without", 0)):
            config = BouncerConfig(name="edge", dsn=SecretStr(bouncer.dsn()), max_clients=most)
            show(title, asyncio.run(polls(config, bouncer.pid, asked.polls)))
        if asked.peer is not None:
            with peer(asked.peer, bouncer) as scrape:
                show("pgbouncer_exporter", asyncio.run(scrapes(scrape, bouncer.pid, asked.polls)))


@contextmanager
def server() -> Iterator[Cluster]:
    """With the role of the clients."""
    with Cluster(EMBEDDED_16) as cluster:
        cluster.run("CREATE ROLE app LOGIN")
        yield cluster


def show(title: str, costs: list[Cost]) -> None:
    """A row: medians, but the longest hold."""
    bouncer, own, took = (
        median(getattr(one, name) for one in costs) * 1000 for name in ("bouncer", "own", "took")
    )
    held = max(one.held for one in costs) * 1000
    print(f"| {title} | {bouncer:.0f} ms | {own:.0f} ms | {took:.0f} ms | {held:.0f} ms |")


async def polls(config: BouncerConfig, pid: int, count: int) -> list[Cost]:
    """What each poll costs, after a first one."""
    source = BouncerSource(config)
    await source.poll()
    costs = [await measured(source.poll, pid) for _ in range(count)]
    await source.close()
    return costs


async def scrapes(scrape: Callable[[], object], pid: int, count: int) -> list[Cost]:
    """What each scrape of the peer costs; its own CPU time is not measured."""

    async def one() -> None:
        await asyncio.to_thread(scrape)

    await one()
    return [(await measured(one, pid))._replace(own=0.0, held=0.0) for _ in range(count)]


async def measured(work: Callable[[], Awaitable[object]], pid: int) -> Cost:
    """What it costs until it is done. The kernel counts the bouncer's time in hundredths of a
    second, so it does the work several times.
    """
    repeat = 5
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(_BEAT)
            longest = max(longest, time.process_time() - before)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    own, its, began = time.process_time(), cpu_seconds(pid), time.perf_counter()
    for _ in range(repeat):
        await work()
    cost = Cost(
        (cpu_seconds(pid) - its) / repeat,
        (time.process_time() - own) / repeat,
        (time.perf_counter() - began) / repeat,
        longest,
    )
    beating.cancel()
    return cost


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def clients(port: int, count: int) -> Iterator[None]:
    """Clients that have logged in, by bare sockets."""
    with ExitStack() as stack:
        for number in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            application = f"app-{number % APPLICATIONS}"
            text = f"user\0app\0database\0shop\0application_name\0{application}\0\0".encode()
            client.sendall(struct.pack("!ii", 8 + len(text), 196608) + text)
            answer = b""
            while not answer.endswith(b"Z\0\0\0\5I"):
                piece = client.recv(4096)
                assert piece, f"the bouncer refuses a client: {answer!r}"
                answer += piece
        yield


@contextmanager
def peer(program: Path, bouncer: Bouncer) -> Iterator[Callable[[], object]]:
    """Gives what scrapes pgbouncer_exporter once."""
    address = f"127.0.0.1:{free_port()}"
    dsn = f"postgres://stats:x@127.0.0.1:{bouncer.port}/pgbouncer?sslmode=disable"
    process = subprocess.Popen(
        [program, f"--pgBouncer.connectionString={dsn}", f"--web.listen-address={address}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        **as_nobody(Path("/")),
    )  # fmt: skip

    def scrape() -> bytes:
        with urlopen(f"http://{address}/metrics") as answer:
            body: bytes = answer.read()
        assert b"pgbouncer_up 1" in body
        return body

    def is_there() -> bool:
        try:
            scrape()
        except OSError:
            return False
        return True

    try:
        wait_until(is_there, "pgbouncer_exporter answers", 20)
        yield scrape
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
