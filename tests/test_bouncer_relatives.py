"""Consoles of PgBouncer's relatives, whose tables have other columns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pg_pool_exporter.model import BouncerPoolKey, BouncerSample
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows
from pg_pool_exporter.sources.pgbouncer.dialects import dialect
from pg_pool_exporter.sources.pgbouncer.folding import BouncerFolding, Shown
from pg_pool_exporter.sources.pgbouncer.pools import pools
from support.console_source import ConsoleSource
from support.consoles import rows

SHOP = BouncerPoolKey("shop", "app")
POOLS = rows("database | user | cl_waiting | sv_active", "shop | app | 1 | 1")
CLIENTS = rows("database | user | application_name | state", "shop | app | web | idle")


class Console(ConsoleSource):
    """A console that has these tables, and knows no other command."""

    def __init__(self, tables: Mapping[str, Rows], **config: Any) -> None:
        super().__init__(**config)
        self._tables = tables

    def answer(self, what: str) -> Rows | None:
        return self._tables.get(what)


def polled(tables: Mapping[str, Rows], **config: int) -> BouncerSample:
    """What a first poll shows."""
    bouncer = asyncio.run(Console(tables, **config).poll()).bouncer
    assert bouncer is not None
    return bouncer


@pytest.mark.parametrize(
    ("version", "clients"),
    [
        (
            "PgCat 1.2.0",
            rows(
                "client_id | database | user | application_name | state | transaction_count"
                " | query_count | error_count | age_seconds | maxwait | maxwait_us",
                "0x01 | shop | app | web | active | 9 | 9 | 0 | 60 | 2 | 500",
                "0x02 | shop | app | web | idle | 9 | 9 | 0 | 60 | 0 | 0",
                "0x03 | shop | app | job | waiting | 9 | 9 | 0 | 60 | 3 | 0",
            ),
        ),
        (
            "PgDog v0.1.15",
            rows(
                "id | user | database | addr | port | state | replication | connect_time"
                " | last_request | queries | transactions | wait_time | application_name | locked",
                "1 | app | shop | 10.0.0.7 | 4001 | idle in transaction | none | - | - | 1 | 1"
                " | 0 | web | f",
                "2 | app | shop | 10.0.0.8 | 4002 | idle | none | - | - | 1 | 1 | 0 | web | f",
                "3 | app | shop | 10.0.0.7 | 4003 | waiting | none | - | - | 1 | 1 | 9 | job | f",
                "4 | app | shop | 10.0.0.7 | 4004 | disconnected | none | - | - | 1 | 1 | 9 | job"
                " | f",
                "5 | stats | pgbouncer | 127.0.0.1 | 4005 | active | none | - | - | 1 | 1 | 0 | x"
                " | f",
            ),
        ),
    ],
)
def test_clients_of_relatives_are_counted_by_application_and_no_more(
    version: str, clients: Rows
) -> None:
    """What each does, and since when, is unknown: no pool is compared with them."""
    row = {"database": "shop", "user": "app", "cl_waiting": "1", "sv_active": "1"}
    answers = Answers(console="pgbouncer", pools=[row], clients=clients)
    found = pools(answers, dialect(version))
    folded = BouncerFolding(10, 10).fold(Shown(pools=found, databases={}, users={}), 0.0)
    (pool,) = folded.pools.values()
    assert {name: dict(group.counts) for name, group in pool.applications.items()} == {
        "web": {"active": 1, "idle": 1, "waiting": 0},
        "job": {"active": 0, "idle": 0, "waiting": 1},
    }
    assert not pool.clients_read
    assert pool.holds == ()


@pytest.mark.parametrize(
    ("version", "lists"),
    [
        (
            "PgCat 1.2.0",
            rows("list | items", "free_clients | 900", "used_clients | 7", "used_servers | 5"),
        ),
        (
            "PgDog v0.1.15",
            rows("databases | users | used_clients | free_servers | used_servers",
                 "1 | 1 | 900 | 0 | 5"),
        ),
    ],
)  # fmt: skip
def test_many_clients_of_relatives_are_left_out_too(version: str, lists: Rows) -> None:
    tables = {
        "VERSION": rows("version", version), "LISTS": lists, "POOLS": POOLS, "CLIENTS": CLIENTS,
    }  # fmt: skip
    few, many = polled(tables, max_clients=900), polled(tables, max_clients=899)
    assert set(few.pools[SHOP].applications) == {"web"}
    assert set(many.pools[SHOP].applications) == {"unknown"}
    assert (few.clients_left_out, many.clients_left_out) == (False, True)


def test_a_console_of_which_nothing_else_is_known_shows_its_pools() -> None:
    tables = {
        "POOLS": rows("database | user | sv_idle | colour", "shop | app | 2 | blue"),
        "DATABASES": rows("name | taste", "shop | sweet"),
        "LISTS": rows("whatever", "17"),
        "SERVERS": rows("database | user | state", "shop | app | idle"),
        "CLIENTS": rows("name | age", "x | 3"),
        "STATS": [],
        "USERS": rows("user", "app"),
        "CONFIG": rows("setting | value", "max_client_conn | 100"),
    }
    sample = polled(tables)
    assert dict(sample.pools[SHOP].connections) == {"idle": 2}
    assert (sample.max_clients, sample.clients, sample.paused) == (None, None, None)
    assert set(sample.databases) == {"shop"}
