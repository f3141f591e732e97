"""A pool that is named by a connection string never shows the password in it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.series.safe_names import HIDDEN, PoolName, safe_pool_name
from pg_pool_exporter.sources.pages.series.text_syntax import MAX_LABEL_CHARACTERS, cut
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

SECRET = "hunter2"
NAMES = {
    "HikariPool-1": "HikariPool-1",
    "orders pool": "orders pool",
    "db.example:5432/shop": "db.example:5432/shop",
    f"Host=db;Port=5432;Database=shop;Username=me;Password={SECRET}": "me@db:5432/shop",
    f"host=db;password='{SECRET};host=x';database=shop": "db/shop",
    f'Server=db;Pwd="{SECRET}"";Host=x;";User Id=me': "me@db",
    f"Host=db;Password={SECRET}=;Timeout=3": "db",
    f'Host=db;Password="{SECRET};Database=x': "db",
    f"Host=db;Application Name=orders;Username=me;Password={SECRET}": "orders me@db",
    f"application_name=orders password={SECRET}": "orders",
    f"me:{SECRET}@db:5432/shop": "me@db:5432/shop",
    "me@db": "me@db",
    f"Password={SECRET}": HIDDEN,
    f'Username=me word="{SECRET};Host=db': HIDDEN,
    f"Password = {SECRET} ; Host = db ": "db",
    f"Host=db;Password=a;{SECRET};Port=1": HIDDEN,
    f"host=db port=5432 user=me password={SECRET} dbname=shop": "me@db:5432/shop",
    f"host=db password='{SECRET} host=x' dbname=shop": "db/shop",
    rf"host=db password='\'{SECRET} host=x' dbname=shop": "db/shop",
    f"host=db password=a {SECRET}": HIDDEN,
    f"postgresql://me:{SECRET}@db:5432/shop?password={SECRET}": "me@db:5432/shop",
    f"postgresql+psycopg://me:{SECRET}@db/shop": "me@db/shop",
    f"jdbc:postgresql://db:5432/shop?user=me&password={SECRET}": "db:5432/shop",
    f"postgresql://me:12/{SECRET}@db/shop": HIDDEN,
    f"postgresql://me:1?{SECRET}@db/shop": HIDDEN,
    f"postgresql://me:1#{SECRET}@db/shop": HIDDEN,
    f"postgresql://me:{SECRET}@[::1/shop": HIDDEN,
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items())
def test_nothing_is_shown_but_what_is_known_to_be_harmless(name: str, shown: str) -> None:
    found = safe_pool_name(name)
    assert found.name == shown
    assert SECRET not in repr(found)


def test_what_a_name_tells_is_known_of_the_pool() -> None:
    said = "Host=db;Port=5432;Database=shop;Username=me;Application Name=orders"
    info = PoolInfo(host="db", port="5432", database="shop", user="me", application="orders")
    assert safe_pool_name(said).info == info
    place = PoolInfo(host="db.example", port="5432", database="shop")
    assert safe_pool_name("db.example:5432/shop").info == place


def test_settings_that_are_no_secret_distinguish_pools() -> None:
    said = f'Host=db;Maximum Pool Size=3;Password={SECRET};Search Path="a;b";Passfile={SECRET}'
    assert safe_pool_name(said).rest == (("Maximum Pool Size", "3"), ("Search Path", "a;b"))


@pytest.mark.parametrize("text", ["Host=db;Pooling=False", "pooling=false;host=db"])
def test_a_connection_string_can_be_that_of_no_pool(text: str) -> None:
    assert safe_pool_name(text).is_unpooled
    assert not safe_pool_name(text.replace("alse", "")).is_unpooled


def test_a_name_that_somebody_chose_tells_nothing_of_where_the_pool_leads() -> None:
    """Else its sessions would be looked for under a user and at a host that there are not."""
    for name in ("orders", "orders@eu", "orders:eu", "orders/eu"):
        assert safe_pool_name(name) == PoolName(name, PoolInfo())


_passwords = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300).map(
    lambda text: f"Q{text}Q"
)


def _fragments(password: str) -> set[str]:
    """What must not be seen: any four characters of it in a row."""
    return {password[at : at + 4] for at in range(len(password) - 3)}


@given(_passwords, st.sampled_from(["'", '"']))
def test_no_part_of_a_quoted_password_is_shown(password: str, sign: str) -> None:
    quoted = sign + password.replace(sign, 2 * sign) + sign
    text = f"Host=db;Password={quoted};Port=5432"
    shown = repr(safe_pool_name(cut(text)))
    assert not any(part in shown for part in _fragments(password) - _fragments(shown_anyway()))


@given(_passwords)
def test_no_part_of_a_password_in_a_url_is_shown(password: str) -> None:
    for spelt in (password, quote(password, safe="")):
        text = f"postgresql://me:{spelt}@db:5432/shop"
        name = safe_pool_name(cut(text))
        if len(text) >= MAX_LABEL_CHARACTERS:
            assert name.name == HIDDEN
        shown = repr(name)
        # An @ in the password ends it for everybody who reads the address.
        for part in spelt.split("@")[:1]:
            assert not any(four in shown for four in _fragments(part) - _fragments(shown_anyway()))


def shown_anyway() -> str:
    """Everything that is shown without any password."""
    names = ("postgresql://me@db:5432/shop", "Host=db;Port=5432", "Password=x")
    return "".join(repr(safe_pool_name(name)) for name in names)


LONG = (
    "Host=orders-eu-central-1.cluster-abcdefghijkl.eu-central-1.rds.example;Port=5432;"
    "Database=shop;Username=orders_service;SSL Mode=VerifyFull;Root Certificate=/etc/ssl/rds.pem;"
    "Command Timeout=30;Application Name={};Maximum Pool Size=20;Timeout={}"
)


def test_a_long_connection_string_is_read_to_its_end() -> None:
    """Else pools that differ behind its beginning have one name, and no application."""
    lines = [
        f'db_client_connection_max{{pool_name="{LONG.format(name, seconds)}"}} 20\n'
        for name, seconds in (("orders", 5), ("orders", 9), ("reports", 5))
    ]
    reader = PageReader(automatic(), TargetDefaults(app="a", process="p"))
    pools = reader.read("".join(lines).encode()).pools
    assert [pool.info.application for pool in pools if pool.info] == ["orders", "orders", "reports"]
    assert len({pool.key.pool for pool in pools}) == 3
    assert all(len(pool.key.pool) <= 200 for pool in pools)
    assert [pool.key.pool.split()[0] for pool in pools] == ["orders", "orders", "reports"]


@pytest.mark.parametrize("length", [100, 180, 200, 300, 4000, 5000])
def test_a_password_of_any_length_stays_hidden(length: int) -> None:
    password = SECRET * length
    for text in (f"Host=db;Password={password}", f"Host=db;Password='{password};Port=1';Port=2"):
        line = f'npgsql_db_client_connections_max{{pool_name="{text}"}} 20\n'
        reader = PageReader(automatic(), TargetDefaults(app="a", process="p"))
        assert SECRET not in repr(reader.read(line.encode()))
