"""What a poll costs the server: its execution time, by pg_stat_statements, in one run.

    python -m bench.poll_cost [--polls 40]

The floor is a bare count of pg_stat_activity; the peer is one scrape of Debian's
prometheus-postgres-exporter. Each has a role of its own, by which the statements are distinguished,
and they take turns; of each statement its fastest execution counts, so that it matters little what
else the machine does. Needs Debian's PostgreSQL (for pg_stat_statements). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import SecretStr

from pg_pool_exporter.config import FactsConfig, ServerConfig
from pg_pool_exporter.sources.postgres.settings_reader import SETTINGS_SECONDS
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.link import Link
from support.postgres import Cluster, system_bindirs, wait_until

NO_FACTS = FactsConfig()
ALL_FACTS = FactsConfig(
    client_networks=True, wait_events=True, idle_in_transaction=True, snapshots=True
)
BACKENDS = (10, 100, 400)
APPLICATIONS = 20
PEER = "/usr/bin/prometheus-postgres-exporter"
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "max_connections": "500",
    "jit": "off",  # a cold JIT in one of the peer's queries would flatter us
}
TIME = """
    SELECT rolname, sum(min_exec_time * calls) AS milliseconds
    FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid
    GROUP BY rolname
"""


class Ours:
    """Our source; `with_settings` lets it read the settings in each poll, not every few minutes."""

    def __init__(
        self,
        cluster: Cluster,
        port: int,
        role: str,
        *,
        with_settings: bool = False,
        facts: FactsConfig = NO_FACTS,
    ) -> None:
        self._now = 0.0
        self._step = SETTINGS_SECONDS if with_settings else 0.0
        dsn = cluster.dsn(user=role, port=port, sslmode="disable")
        config = ServerConfig(name=role, dsn=SecretStr(dsn), facts=facts)
        self._source = PostgresSource(config, clock=lambda: self._now)

    async def poll(self) -> None:
        self._now += self._step
        await self._source.poll()

    async def close(self) -> None:
        await self._source.close()


@contextmanager
def peer(cluster: Cluster) -> Iterator[str]:
    """Runs the other exporter; yields the address of its page."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    source = f"postgresql://peer@{cluster.host}:{cluster.port}/postgres?sslmode=disable"
    process = subprocess.Popen(
        [PEER, f"--web.listen-address={address}", "--log.level=error"],
        env={**os.environ, "DATA_SOURCE_NAME": source},
    )
    host, port = address.split(":")

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    try:
        wait_until(listens, "the other exporter listens")
        yield f"http://{address}/metrics"
    finally:
        process.kill()
        process.wait()


def sessions(cluster: Cluster, stack: ExitStack, count: int) -> None:
    """Opens sessions as applications have them: some in a transaction, most idle."""
    for number in range(count):
        name = f"application-{number % APPLICATIONS}"
        session = stack.enter_context(cluster.connect(application_name=name))
        if number % 5 == 0:
            session.execute("BEGIN")


def read(page: str) -> None:
    """Read the whole page."""
    with urlopen(page) as answer:
        answer.read()


async def measure(
    cluster: Cluster, floor: Connection[TupleRow], page: str, link: Link, polls: int
) -> tuple[dict[str, float], float]:
    """Milliseconds of execution by role for one poll, and our round trips for one poll."""
    every = Ours(cluster, link.port, "every_poll")
    facts = Ours(cluster, cluster.port, "with_facts", facts=ALL_FACTS)
    settings = Ours(cluster, cluster.port, "with_settings", with_settings=True)

    async def count() -> None:
        floor.execute("SELECT count(*) FROM pg_stat_activity")

    async def scrape() -> None:
        await asyncio.to_thread(read, page)

    turns = deque([every.poll, facts.poll, settings.poll, count, scrape])
    trips = 0
    for number in range(polls + 4):
        if number == 4:  # caches are warm and the settings have been read
            cluster.run("SELECT pg_stat_statements_reset()")
            trips = link.round_trips
        for turn in turns:
            await turn()
        turns.rotate()  # the second one finds warm caches
    trips = link.round_trips - trips
    times = {role: float(time) / polls for role, time in cluster.run(TIME)}
    await every.close()
    await facts.close()
    await settings.close()
    return times, trips / polls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=40)
    polls = parser.parse_args().polls
    # One of ours has a clock that runs ahead, which it would warn of.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    columns = (
        "backends", "floor", "poll", "poll / floor", "with facts", "with settings", "peer",
        "poll / peer", "round trips",
    )  # fmt: skip
    print(f"Execution time on the server in milliseconds, the fastest of {polls} polls.\n")
    print("| " + " | ".join(columns) + " |\n|" + "---:|" * len(columns))
    with Cluster(system_bindirs()[-1], settings=SETTINGS) as cluster:
        cluster.run("CREATE EXTENSION pg_stat_statements")
        for role in ("floor", "every_poll", "with_facts", "with_settings", "peer"):
            cluster.run(f"CREATE ROLE {role} LOGIN IN ROLE pg_monitor")
        for count in BACKENDS:
            with (
                ExitStack() as stack,
                cluster.connect(user="floor") as floor,
                peer(cluster) as page,
                Link(cluster.port) as link,
            ):
                sessions(cluster, stack, count)
                times, trips = asyncio.run(measure(cluster, floor, page, link, polls))
            ours = times["every_poll"]
            print(
                f"| {count} | {times['floor']:.3f} | {ours:.3f} | {ours / times['floor']:.2f} "
                f"| {times['with_facts']:.3f} "
                f"| {times['with_settings']:.3f} | {times['peer']:.3f} "
                f"| {ours / times['peer']:.2f} | {trips:g} |"
            )


if __name__ == "__main__":
    main()
