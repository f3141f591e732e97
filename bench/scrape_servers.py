"""The servers that bench/scrape.py compares: `python -m bench.scrape_servers NAME SERIES`.

Each prints its port and serves until it is ended. All three serve the same samples.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import sys
from collections.abc import Iterable

from aiohttp import web
from prometheus_client import start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.commands import logs
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Target
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import POOL, of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample, Snapshot, TargetId
from pg_pool_exporter.polling.poller import Poller
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.handlers import Web
from pg_pool_exporter.web.server import Address, WebServer

INTERVAL = 5.0
_ADDRESS = Address("127.0.0.1", 0)


def sample(number: int) -> PoolSample:
    """One pool with a value for everything that a pool can have."""
    noise = random.Random(number)
    scalars = {scalar.field: round(noise.uniform(0, 1e5), 3) for scalar in POOL.scalars}
    return PoolSample(
        key=PoolId(f"app-{number % 20}", "main", f"web-{number}.example:{number % 8}"),
        timeouts={kind: noise.randrange(100) for kind in c.POOL_TIMEOUT_KINDS},
        overdue={"app/views.py:17 handler": 1.0},
        acquire=_histogram(noise, c.ACQUIRE_BOUNDS),
        hold=_histogram(noise, c.HOLD_BOUNDS),
        info=PoolInfo(client="psycopg_pool", client_version="3.3", pid=str(number), host="db"),
        **scalars,  # type: ignore[arg-type] # the table names the fields that are floats
    )


def _histogram(noise: random.Random, bounds: tuple[float, ...]) -> Histogram:
    counts = tuple(noise.randrange(1000) for _ in range(len(bounds) + 1))
    return Histogram(counts, round(noise.uniform(0, 1e4), 6))


def samples(series: int) -> list[PoolSample]:
    """Pools with about `series` series in all."""
    each = page([blocks(of_pools([sample(0)]))]).count("app=")
    return [sample(number) for number in range(round(series / each))]


class _Application:
    """A source whose every poll finds new values."""

    def __init__(self, pool: PoolSample) -> None:
        self._pool = pool

    async def poll(self) -> Snapshot:
        self._pool = dataclasses.replace(self._pool, requests=(self._pool.requests or 0) + 1)
        return Snapshot(pools=(self._pool,))

    async def close(self) -> None:
        pass


async def exporter(pools: list[PoolSample]) -> None:
    """The exporter, with one target a pool, all polled at the usual interval."""
    store = Store()
    analyzer = Analyzer(store, Config())
    exposition = Exposition(store, analyzer)
    pollers = [
        Poller(
            Target(TargetId("process", pool.key.process), INTERVAL, INTERVAL, ()),
            _Application(pool),
            store,
        )
        for pool in pools
    ]
    analyzer.start()
    site = Web(
        store, exposition, analyzer, telemetry_path="/metrics", unpolled=list, reload=None,
    )  # fmt: skip
    server = WebServer(site.routes(), [_ADDRESS])
    gc.freeze()
    await server.start()
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    print(server.bound[0].port, flush=True)
    await asyncio.gather(*tasks)


async def constant(pools: list[PoolSample]) -> None:
    """The HTTP library alone, with a body of the same size that never changes."""
    body = page([blocks(of_pools(pools))]).encode()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    application = web.Application()
    application.add_routes([web.get("/metrics", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, *_ADDRESS).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def prometheus_client(pools: list[PoolSample]) -> None:
    """prometheus_client's own server; its samples are ready made, it only writes them."""
    registry = CollectorRegistry()
    registry.register(_Families(text_string_to_metric_families(page([blocks(of_pools(pools))]))))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    print(server.server_port, flush=True)
    thread.join()


def main() -> None:
    """Serve what the command line names."""
    name, series = sys.argv[1], int(sys.argv[2])
    logs.configure("warning", "logfmt")
    pools = samples(series)
    if name == "prometheus_client":
        prometheus_client(pools)
    else:
        asyncio.run({"exporter": exporter, "constant": constant}[name](pools))


if __name__ == "__main__":
    main()
