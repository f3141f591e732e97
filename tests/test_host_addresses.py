"""Hosts of a connection string: looked up before the driver would do it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.connection.addresses import with_addresses
from pg_pool_exporter.sources.connection.libpq_files import Inputs, Params
from pg_pool_exporter.sources.connection.moved_name import (
    ABSENT_LOOKUPS,
    LOOK_UP_SECONDS,
    MovedName,
)
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.busy import within
from support.link import Link
from support.polling import SHORT, outcome, poll, source_of
from support.postgres import Cluster

DEFAULTS = {"port": "5432"}
ADDRESSES = {"one": ["10.0.0.1"], "two": ["10.0.0.2", "fe80::2"]}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In place of the system's: `one` and `two` have addresses, `hung…` never gets an answer."""
    real = socket.getaddrinfo
    end = threading.Event()

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if host.startswith("hung"):
            end.wait(30)
        if host in ADDRESSES:
            return [(0, 0, 0, "", (address, 0)) for address in ADDRESSES[host]]
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    end.set()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"host": "one"}, {"host": "one", "hostaddr": "10.0.0.1"}),
        ({"host": "two", "port": "6000"},
         {"host": "two,two", "hostaddr": "10.0.0.2,fe80::2", "port": "6000"}),
        ({"host": "two,one", "port": "1,2"},
         {"host": "two,two,one", "hostaddr": "10.0.0.2,fe80::2,10.0.0.1", "port": "1,1,2"}),
        ({"host": "fe80::1%lo"}, {"host": "fe80::1%lo", "hostaddr": "fe80::1%lo"}),
        ({"host": "one,nowhere.invalid"}, {"host": "one", "hostaddr": "10.0.0.1"}),
        ({"host": "/run,one"}, {"host": "/run,one", "hostaddr": ",10.0.0.1"}),
        ({"host": "one", "hostaddr": "10.9.9.9"}, {"host": "one", "hostaddr": "10.9.9.9"}),
        ({"host": "one,two", "port": "1,2,3"}, {"host": "one,two", "port": "1,2,3"}),
        ({"dbname": "postgres"}, {"dbname": "postgres"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("names")
def test_each_address_of_each_host_is_tried_in_order(params: Params, expected: Params) -> None:
    assert asyncio.run(with_addresses(Inputs(params, DEFAULTS))) == expected


def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(psycopg.OperationalError, match="failed to resolve host"):
        asyncio.run(with_addresses(Inputs({"host": "nowhere.invalid"}, DEFAULTS)))


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        # The name moves, and stays.
        ([["127.0.0.2"]], "127.0.0.2"),
        # It gives one of two addresses each time.
        ([["127.0.0.2"], ["127.0.0.1"]], "127.0.0.1"),
        # It gives any of many.
        ([[f"127.0.0.{number}"] for number in (2, 3, 2, 2, 3, 3)], "127.0.0.1"),
        # The name server does not know it for a while.
        ([[]], "127.0.0.1"),
    ],
)
def test_a_name_that_moves_for_good_is_followed_while_the_former_server_still_answers(
    answers: list[list[str]], address: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = cycle([["127.0.0.1"]])
    asked = 0
    now = 0.0

    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        if host != "db.example":
            return real(host, *arguments, **options)
        asked += 1
        return [(0, 0, 0, "", (one, 0)) for one in next(given)]

    async def main() -> None:
        nonlocal given, now
        source = source_of(postgres, dsn=postgres.dsn(host="db.example"), clock=lambda: now)
        assert (await poll(source)).address == "127.0.0.1"
        given = cycle(answers)
        while asked < ABSENT_LOOKUPS:  # one was that of connecting
            now += LOOK_UP_SECONDS
            assert (await poll(source)).address == "127.0.0.1"
        while asked < ABSENT_LOOKUPS + 3:
            now += LOOK_UP_SECONDS
            last = (await poll(source)).address
        assert last == address
        await source.close()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Link(postgres.port, host="127.0.0.2", port=postgres.port):
        asyncio.run(main())


@pytest.mark.parametrize("broken", [True, False])
def test_a_lookup_says_once_that_the_name_has_moved_and_never_fails(broken: bool) -> None:
    async def look_up() -> set[str]:
        if broken:
            raise RuntimeError("can't start new thread")
        return {"10.0.0.2"}

    async def main() -> list[bool]:
        now = 0.0
        name = MovedName(look_up, lambda: now)
        said = []
        for _ in range(2 * ABSENT_LOOKUPS):
            said.append(name.has_left("10.0.0.1"))
            now += LOOK_UP_SECONDS
            await asyncio.sleep(0)
        await name.close()
        return said

    assert sum(asyncio.run(main())) == (0 if broken else 1)


@pytest.mark.usefixtures("names")
def test_names_that_hang_stop_neither_other_servers_nor_the_end(postgres: Cluster) -> None:
    async def main() -> float:
        hung = [
            PostgresSource(ServerConfig(name=f"s{n}", dsn=SecretStr(f"host=hung{n}")))
            for n in range(40)
        ]
        polls = [asyncio.create_task(outcome(source, SHORT)) for source in hung]
        own = source_of(postgres, dsn=postgres.dsn(host="localhost"))
        assert await outcome(own) == "up"
        assert set(await asyncio.gather(*polls)) == {"timeout"}
        for source in (own, *hung):
            await source.close()
        return time.monotonic()

    ended = asyncio.run(main())
    assert time.monotonic() - ended < within(1)
