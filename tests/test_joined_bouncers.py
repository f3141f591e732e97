"""Pools behind a real PgBouncer, compared with its clients; with a leak threshold of a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.analysis.findings.finding import Cause, Finding
from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.model import (
    AppOnServer,
    LeakEvidence,
    PoolId,
    PoolInfo,
    PoolSample,
    Snapshot,
    TargetId,
)
from support.both_ends import BothEnds
from support.client import Watched
from support.pgbouncer import PGBOUNCER, Bouncer
from support.polling import run
from support.postgres import Cluster
from support.sources import process_id

pytestmark = [pytest.mark.debian, pytest.mark.slow]

THRESHOLD = 3.0
INTERVAL = 0.3
MODES = ("session", "transaction", "statement")
PAGE = TargetId("app", "shop:9187", "shop")


@contextmanager
def shop(bouncer: Bouncer, size: int = 3) -> Iterator[ConnectionPool[Any]]:
    """A pool behind the bouncer that uses its connections in turns."""
    kwargs = {"application_name": "shop", "autocommit": True, "prepare_threshold": None}
    with ConnectionPool(
        bouncer.dsn("shop", "app"), min_size=size, max_size=size, kwargs=kwargs, open=True
    ) as pool:
        pool.wait()
        yield pool


class Sides:
    """Polls bouncers, a server where there is one, and a pool, and analyses what they show."""

    def __init__(
        self,
        read: Callable[[], PoolSample],
        bouncers: dict[str, str],
        server: Cluster | None = None,
        *,
        named: tuple[str, ...] = (),
    ) -> None:
        app = {"name": "shop", "leak_after": f"{THRESHOLD:g}s", "bouncers": list(named)}
        servers = {} if server is None else {"main": server.dsn()}
        self._ends = BothEnds(Config(apps=(AppConfig.model_validate(app),)), bouncers, servers)
        self._read = read
        self._found = False
        self.key = AppOnServer("", "shop", tuple(sorted(bouncers)))

    def watch(self, seen: Callable[[Sides], bool], seconds: float = 20.0) -> bool:
        """Poll until something has been `seen`, or for so long."""
        run(self._watch(seen, seconds))
        return self._found

    @property
    def evidence(self) -> LeakEvidence:
        return self._ends.analysis.fleet.evidence.get(self.key, LeakEvidence())

    @property
    def are_compared(self) -> bool:
        """Whether anything is known of both sides together."""
        return bool(self._ends.analysis.fleet.evidence)

    @property
    def leaks(self) -> list[Finding]:
        return [one for one in self._ends.analysis.findings if one.cause is Cause.LEAK]

    async def _watch(self, seen: Callable[[Sides], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        self._found = False
        async with self._ends.polling() as poll:
            while time.monotonic() < until and not self._found:
                begun = time.monotonic()
                sample = self._read()
                is_foreign = sample.leak_after is None
                key = PAGE if is_foreign else process_id("shop-0")
                pools = Snapshot(pools=(sample,))
                self._ends.put(key, begun, pools, is_local=not is_foreign)
                await poll()
                self._found = seen(self)
                await asyncio.sleep(INTERVAL)


def foreign(pool: ConnectionPool[Any]) -> Callable[[], PoolSample]:
    """What a page that shows no more than idle and active connections, and no address, has."""

    def read() -> PoolSample:
        stats = pool.get_stats()
        idle, size = stats["pool_available"], stats["pool_size"]
        key = PoolId("shop", "main", "shop:9187")
        return PoolSample(key=key, idle=idle, active=size - idle, max=pool.max_size)

    return read


def work(pool: ConnectionPool[Any], until: threading.Event) -> None:
    while not until.wait(0.02):
        with pool.connection() as connection:
            connection.execute("SELECT 1")


@pytest.mark.parametrize("mode", MODES)
def test_a_leak_of_a_foreign_pool_is_proven_and_a_busy_pool_is_not(
    app_cluster: Cluster, pgbouncer: Path, mode: str
) -> None:
    databases = {"shop": "dbname=postgres pool_size=5"}
    with (
        Bouncer(app_cluster, databases, {"pool_mode": mode}, program=pgbouncer) as bouncer,
        shop(bouncer) as pool,
    ):
        sides = Sides(foreign(pool), {"edge": bouncer.dsn()}, named=("edge",))
        done = threading.Event()
        worker = threading.Thread(target=work, args=(pool, done))
        worker.start()
        try:
            known = 0

            def is_known(now: Sides) -> bool:
                nonlocal known
                assert (now.evidence.unreturned or 0) == 0
                known += now.evidence.unreturned is not None
                return known >= 5

            assert sides.watch(is_known)
            kept = [pool.getconn(), pool.getconn()]
            for one in kept:
                one.execute("SELECT 1")
            assert sides.watch(lambda now: bool(now.leaks))
        finally:
            done.set()
            worker.join()
        (leak,) = sides.leaks
        assert (leak.subject.app, leak.subject.bouncer) == ("shop", "edge")
        assert 1 <= leak.amount <= 2
        assert "Bouncer edge reports" in " ".join(leak.evidence)
        for one in kept:
            pool.putconn(one)
        assert sides.watch(lambda now: now.evidence.unreturned == 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_leak_of_an_instrumented_pool_is_found_with_its_line_and_work_is_none(
    app_cluster: Cluster, pgbouncer: Path, mode: str
) -> None:
    """The work is one statement that lasts for longer than the threshold."""
    databases = {"shop": "dbname=postgres pool_size=5"}
    with (
        Bouncer(app_cluster, databases, {"pool_mode": mode}, program=pgbouncer) as bouncer,
        shop(bouncer) as pool,
    ):
        watched = Watched(pool, leak_after=THRESHOLD)
        sides = Sides(watched.sample, {"edge": bouncer.dsn()}, app_cluster)

        def long_work() -> None:
            with pool.connection() as connection:
                connection.execute(f"SELECT pg_sleep({3 * THRESHOLD})".encode())

        worker = threading.Thread(target=long_work)
        worker.start()
        overdue = 0

        def look(now: Sides) -> bool:
            nonlocal overdue
            assert now.leaks == []
            overdue += bool(watched.sample().overdue)
            return not worker.is_alive()

        assert sides.watch(look)
        worker.join()
        assert overdue >= 3
        kept = pool.getconn()
        kept.execute("SELECT 1")
        assert sides.watch(lambda now: bool(now.evidence.unreturned))
        (leak,) = sides.leaks
        (site,) = leak.sites
        assert site.startswith("test_joined_bouncers.py:")
        pool.putconn(kept)
        assert sides.watch(lambda now: now.evidence.unreturned == 0 and not now.leaks)


def test_of_several_bouncers_on_a_port_all_must_be_read(
    app_cluster: Cluster, pgbouncer: Path
) -> None:
    """`so_reuseport`: the kernel chooses one for each connection."""
    with ExitStack() as stack:
        first = stack.enter_context(_sharing(app_cluster, pgbouncer, 1))
        second = stack.enter_context(_sharing(app_cluster, pgbouncer, 2, first.port))
        pool = stack.enter_context(shop(first, 8))
        counts = [len(one.clients("shop")) for one in (first, second)]
        assert sum(counts) == 8
        consoles = {"edge-1": first.unix_dsn(), "edge-2": second.unix_dsn()}
        watched = Watched(pool, leak_after=THRESHOLD)
        kept = [pool.getconn() for _ in range(8)]
        for one in kept:
            one.execute("SELECT 1")
        both = Sides(foreign(pool), consoles, named=("edge-1", "edge-2"))
        assert both.watch(lambda now: now.evidence.unreturned == 8)
        alone = Sides(foreign(pool), {"edge-1": first.unix_dsn()}, named=("edge-1",))
        if counts[1]:
            assert alone.watch(lambda now: now.evidence.is_partial)
        by_address = Sides(watched.sample, consoles)
        assert by_address.watch(lambda now: now.evidence.unreturned == 8)
        one_of_two = Sides(watched.sample, {"edge-1": first.unix_dsn()})
        assert not one_of_two.watch(lambda now: now.are_compared, 3)
        for one in kept:
            pool.putconn(one)


def _sharing(cluster: Cluster, program: Path, number: int, port: int | None = None) -> Bouncer:
    """One of two, which are peers where the version has that: from 1.19 on."""
    settings: dict[str, str | int] = {"pool_mode": "transaction", "so_reuseport": 1}
    databases = {"shop": "dbname=postgres pool_size=9"}
    peers: dict[int, str] = {}
    if program != PGBOUNCER:
        settings["peer_id"] = number
        peers = {1: "host=127.0.0.1", 2: "host=127.0.0.1"}
    return Bouncer(
        cluster, databases, settings, peers=peers, program=program, port=port, on_unix=True
    )


def test_pools_without_application_name_are_not_compared(
    app_cluster: Cluster, pgbouncer: Path
) -> None:
    info = PoolInfo(source="instrumented", host="127.0.0.1", database="shop", user="app")
    with (
        Bouncer(app_cluster, {"shop": "dbname=postgres"}, program=pgbouncer) as bouncer,
        shop(bouncer) as pool,
    ):
        nameless = replace(info, port=str(bouncer.port))
        read = foreign(pool)
        sides = Sides(
            lambda: replace(read(), info=nameless, leak_after=THRESHOLD), {"edge": bouncer.dsn()}
        )
        assert not sides.watch(lambda now: now.are_compared, 3)
