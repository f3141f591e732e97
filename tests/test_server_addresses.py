"""Which server a pool leads to, and by what its sessions are known there."""

from __future__ import annotations

import pytest

from pg_pool_exporter.analysis.correlate.addresses import (
    ServerAddress,
    ServerAddresses,
    normalised,
    server_of,
    sessions_of,
)
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample, SessionKey

HERE, ELSEWHERE = True, False
SERVERS = (
    ServerAddress("far", "db.example", "192.0.2.5", "5432", "16.4"),
    ServerAddress("here", "localhost", "127.0.0.1", "5433", "15.1"),
    ServerAddress("local", "/run/postgresql", "", "5434", "16.4"),
)


def pool(**info: str) -> PoolSample:
    return PoolSample(key=PoolId("orders", "main", "web:0"), info=PoolInfo(**info))


@pytest.mark.parametrize(
    ("host", "port", "here", "server"),
    [
        ("db.example", "5432", HERE, "far"),
        ("DB.example", "5432", ELSEWHERE, "far"),
        ("192.0.2.5", "5432", ELSEWHERE, "far"),
        ("db.example", "6432", HERE, None),
        ("other.example", "5432", HERE, None),
        ("localhost", "5433", HERE, "here"),
        ("127.0.0.1", "5433", HERE, "here"),
        ("::1", "5433", HERE, "here"),
        ("/tmp", "5433", HERE, "here"),
        ("", "5433", HERE, "here"),
        ("localhost", "5433", ELSEWHERE, None),
        ("127.0.0.1", "5433", ELSEWHERE, None),
        ("/run/postgresql", "5434", HERE, "local"),
        ("localhost", "5434", HERE, "local"),
        ("/run/postgresql", "5434", ELSEWHERE, None),
        ("localhost", "5432", HERE, None),
        ("db.example", "", HERE, None),
    ],
)
def test_a_pool_leads_to_the_server_at_its_host_and_port(
    host: str, port: str, here: bool, server: str | None
) -> None:
    """`localhost` is another machine's where the pool is on another machine."""
    place = server_of(pool(host=host, port=port), None, ServerAddresses(SERVERS), here=here)
    assert (place and place.name) == server


@pytest.mark.parametrize(
    ("said", "configured", "port", "server"),
    [
        ("far", None, "", "far"),
        ("far", None, "5432", "far"),
        ("far", "here", "", "far"),
        ("", "here", "", "here"),
        ("", "here", "5433", "here"),
        ("far", None, "6432", None),
        ("unknown", "here", "", None),
    ],
)
def test_what_a_pool_says_counts_before_the_configuration(
    said: str, configured: str | None, port: str, server: str | None
) -> None:
    app = AppConfig(name="orders", server=configured) if configured else None
    place = server_of(
        pool(server=said, port=port, host="vip.example"), app, ServerAddresses(SERVERS), here=False
    )
    assert (place and place.name) == server


def test_of_two_servers_at_one_address_a_pool_leads_to_the_first_by_name() -> None:
    twins = [SERVERS[0]._replace(name=name) for name in ("c", "a", "b")]
    assert ServerAddresses(twins).at("db.example", "5432", here=False) == twins[1]
    assert ServerAddresses(twins[::2]).at("192.0.2.5", "5432", here=False) == twins[2]


def test_a_pool_that_tells_nothing_leads_nowhere() -> None:
    bare = PoolSample(key=PoolId("orders", "main", "web:0"))
    assert server_of(bare, None, ServerAddresses(SERVERS), here=False) is None


@pytest.mark.parametrize(
    ("info", "app", "application"),
    [
        ({"application": "api", "port": "5432"}, None, "api"),
        ({"source": "instrumented", "port": "5432"}, AppConfig(name="orders"), ""),
        ({"source": "instrumented"}, AppConfig(name="orders"), "orders"),
        ({"source": "npgsql", "port": "5432"}, AppConfig(name="orders"), "orders"),
        ({}, AppConfig(name="orders", application_name="orders-api"), "orders-api"),
        ({}, None, "orders"),
    ],
)
def test_the_name_of_its_sessions(
    info: dict[str, str], app: AppConfig | None, application: str
) -> None:
    assert sessions_of(pool(**info), app, SERVERS[0]).application == application


def test_sessions_are_reported_apart_by_database_and_user_where_the_pool_tells_them() -> None:
    some = sessions_of(pool(database="shop", port="5432", application="api"), None, SERVERS[0])
    assert some.match(SessionKey("shop", "anybody", "api"))
    assert not some.match(SessionKey("other", "anybody", "api"))
    assert not some.match(SessionKey("shop", "anybody", "else"))
    other = sessions_of(pool(user="me", port="5432", application="api"), None, SERVERS[0])
    assert some.overlaps(other)
    assert not some.overlaps(other._replace(database="other"))


@pytest.mark.parametrize(
    ("name", "version", "shown"),
    [
        ("orders", "16.4", "orders"),
        ("café", "15.1", "caf??"),
        ("café", "16.4", "caf\\xc3\\xa9"),
        ("café", "17devel", "caf\\xc3\\xa9"),
        ("tab\there", "15.1", "tab?here"),
        ("x" * 70, "16.4", "x" * 63),
        ("ü" * 40, "18.0", ("\\xc3\\xbc" * 40)[:63]),
        ("ü" * 40, "15.0", "?" * 63),
    ],
)
def test_a_name_is_written_as_the_version_of_the_server_writes_it(
    name: str, version: str, shown: str
) -> None:
    assert normalised(name, version) == shown
    assert normalised(shown, version) == shown
