"""A page in no known format: which ones come nearest, and what it lacks."""

from __future__ import annotations

from time import thread_time

import pytest

from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.nearest import MAX_NAMES, nearest, pool_like_names
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

DEFAULTS = TargetDefaults(app="orders", process="orders:8080")
ALL = tuple(FORMATS.values())


def message(*lines: str, form: str = "") -> str:
    reader = PageReader(table([FORMATS[form]]) if form else automatic(), DEFAULTS)
    page = "\n".join([*lines, ""]).encode()
    said = []
    for _ in range(2):
        with pytest.raises(PollError) as caught:
            reader.read(page)
        said.append(str(caught.value))
    assert said[0] == said[1]
    return said[0]


CASES = {
    "hikari_connections_active": "micrometer",
    "shop_hikaricp_connections_active": "micrometer",
    "agroal_active_connections_count": "agroal",
    "pgxpool_conns_acquired_now": "pgxpool",
    "npgsql_client_connections_usage": "npgsql",
    "go_sql_stats_open_connections": "go-sql",
    "db_client_connections_count_now": "otel",
    "HikariPool_1_pool_ActiveConnections": "micrometer",
    "com_zaxxer_hikari_Pool__HikariPool_1__ActiveConnections": "micrometer",
    "vendor_agroal_active_count": "agroal",
    "tomcat_jdbc_connectionpool_maxactive": "spring-jdbc",
    "my_app_repo_query_queue_time_sum": "promex",
}


@pytest.mark.parametrize(("name", "form"), CASES.items())
def test_the_nearest_format_is_named_with_what_the_page_lacks(name: str, form: str) -> None:
    said = message(f'{name}{{pool="main"}} 1', "jvm_threads 3")
    first = said.partition("Nearest: ")[2].partition(")")[0]
    assert first.startswith(f"{form} (without ")
    assert FORMATS[form].values[0].series[0] in first


PAGES_OF_POOLS = (
    ("hikaricp_connections 1", "jdbc_connections 2", "r2dbc_pool_connections 3"),
    ("sequelize_pool_size 5", "sequelize_pool_available 3", "sequelize_pool_using 2"),
    ("deadpool_pool_max_size 5", "deadpool_pool_available 3"),
    ("sqlx_pool_connections 5", "sqlx_pool_connections_max 3"),
    ("asyncpg_pool_size 5", "asyncpg_pool_idle_size 3"),
    ("sqlalchemy_pool_checkedin_connections 5", "sqlalchemy_pool_size 3"),
)


@pytest.mark.parametrize("lines", PAGES_OF_POOLS)
def test_three_formats_are_named(lines: tuple[str, ...]) -> None:
    assert message(*lines).partition("Nearest: ")[2].count("(without") == 3


@pytest.mark.parametrize(
    ("page", "content"),
    [
        ("<!DOCTYPE html><html><body>hikaricp 404</body></html>", "HTML"),
        ('{"names":["hikaricp.connections","jdbc.connections.max"]}', "JSON"),
        ("[]", "JSON"),
    ],
)
def test_a_page_of_something_else_is_called_what_it_is(page: str, content: str) -> None:
    said = message(page)
    assert f"the page is {content}, not Prometheus' text format" in said
    assert "Nearest" not in said


def test_a_page_without_anything_like_a_pool_is_near_none() -> None:
    assert "No name on it is like those of a format" in message("jvm_threads_live_threads 31")


def test_a_named_format_is_the_only_one_that_can_be_near() -> None:
    said = message("hikaricp_connections 1", form="micrometer")
    assert "Nearest: micrometer (without hikaricp_connections_max, " in said
    assert "hikaricp_max_connections" not in said


def test_nothing_of_the_page_is_repeated() -> None:
    assert "secret" not in message("hikaricp_connections_secret 1")


def test_a_page_of_many_names_is_compared_in_time() -> None:
    page = "".join(f"shop_{at}_pool_connections_{at} 1\n" for at in range(200_000)).encode()
    started = thread_time()
    names = pool_like_names(page)
    nearest(names, ALL)
    assert len(names) == MAX_NAMES
    assert thread_time() - started < 0.2
