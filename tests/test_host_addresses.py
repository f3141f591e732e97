"""Hosts of a connection string: looked up before the driver would do it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.connection.addresses import with_addresses
from pg_pool_exporter.sources.connection.libpq_files import Inputs, Params
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.busy import within
from support.polling import SHORT, outcome, source_of
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
