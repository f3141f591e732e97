"""Counters of pools that are gone go on under their name."""

from __future__ import annotations

import gc
import linecache
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.metrics.catalogue import OTHER
from pg_pool_exporter.model import PoolSample
from support.client import series
from support.pools import url
from support.postgres import Cluster


def _engine(postgres: Cluster) -> sqlalchemy.Engine:
    return create_engine(url("postgresql+psycopg", postgres.dsn()), pool_size=2)


def test_an_engine_for_each_request_adds_up(client_process: Process, postgres: Cluster) -> None:
    def request() -> None:
        engine = _engine(postgres)
        instrument(engine, app="shop", name="main")  # instrumented here
        with engine.connect():
            pass
        engine.dispose()

    for _ in range(30):
        request()
    gc.collect()
    samples = client_process.samples()
    for counter in ("acquired", "returned", "requests", "connects"):
        assert sum(getattr(one, counter) for one in samples) == 30
    assert sum(one.hold.count for one in samples if one.hold) == 30
    made = Counter[str]()
    for one in samples:
        made.update(one.instances)
    ((site, count),) = made.items()
    assert count == 30
    place, _, function = site.partition(" ")
    line = linecache.getline(__file__, int(place.rpartition(":")[2]))
    assert line.endswith("# instrumented here\n")
    assert function.endswith("request")
    assert series(client_process.own_page()), "the page is valid"


def _counters(sample: PoolSample) -> list[float]:
    return [
        *(value for name in ("acquired", "held", "connects", "active_seconds", "saturated_seconds")
          if (value := getattr(sample, name)) is not None),
        *sample.timeouts.values(), *(sample.hold.counts if sample.hold else ()),
    ]  # fmt: skip


def _used(postgres: Cluster) -> ConnectionPool[Any]:
    pool = ConnectionPool(postgres.dsn(), min_size=1, open=True)
    instrument(pool, app="shop", name="main")
    with pool.connection():
        pass
    return pool


def test_no_counter_falls_while_pools_of_a_name_come_and_go(
    client_process: Process, postgres: Cluster
) -> None:
    readings: list[PoolSample] = []

    def read() -> None:
        readings.append(next(one for one in client_process.samples() if one.key.pool == "main"))

    for _ in range(3):
        pool = _used(postgres)
        read()
        pool.close()
        read()
        again = _used(postgres)
        read()
        del pool
        gc.collect()
        read()
        again.close()
        del again
        gc.collect()
        read()
    assert readings[-1].acquired == 6
    assert (readings[-1].idle, readings[-1].active, readings[-1].max) == (0, 0, None)
    for earlier, later in pairwise(map(_counters, readings)):
        assert all(before <= now for before, now in zip(earlier, later, strict=True))


def test_a_pool_that_is_gone_keeps_its_leak_threshold(
    client_process: Process, postgres: Cluster
) -> None:
    """Or the default one would count for its application, where that is longer."""
    with ConnectionPool(postgres.dsn(), min_size=1, open=True) as pool:
        instrument(pool, app="shop", name="main", leak_after="5s")
        with pool.connection():
            pass
    (gone,) = client_process.samples()
    assert (gone.active, gone.leak_after) == (0, 5.0)
    assert gone.info is not None
    assert (gone.info.source, gone.info.client) == ("closed", "psycopg_pool")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "pools", "expected"),
    [
        (lambda number: "main", {"main"}, 25),
        (lambda number: f"request-{number}", {*(f"request-{n}" for n in range(20)), OTHER}, 25),
    ],
    ids=["one name", "a name for each"],
)
def test_names_of_pools_that_are_gone_are_bounded(
    client_process: Process,
    postgres: Cluster,
    names: Callable[[int], str],
    pools: set[str],
    expected: int,
) -> None:
    for number in range(25):
        engine = _engine(postgres)
        instrument(engine, app="shop", name=names(number))
        with engine.connect():
            pass
        engine.dispose()
        del engine
        gc.collect()
    samples = client_process.samples()
    assert {one.key.pool for one in samples} == pools
    assert sum(one.acquired or 0 for one in samples) == expected
