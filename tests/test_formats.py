"""Pages of other libraries become the samples that our own client would have made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.formats import FORMATS, Format
from pg_pool_exporter.model import PoolInfo, PoolKey, PoolSample
from pg_pool_exporter.sources.foreign_page import automatic, table
from pg_pool_exporter.sources.origin import Origin
from pg_pool_exporter.sources.text_reader import PageReader
from support.pages import page_of, pool

PAGES = Path(__file__).parent / "pages"
ORIGIN = Origin(app="orders", process="orders:8080", server="main", application="orders-api")


def recorded(name: str) -> bytes:
    """A page as the library serves it."""
    return (PAGES / f"{name}.txt").read_bytes()


def read(page: bytes, *formats: Format, origin: Origin = ORIGIN) -> tuple[PoolSample, ...]:
    """The pools of a page, read twice, because the second reading takes another way."""
    reader = PageReader(table(formats) if formats else automatic(), origin)
    first = reader.read(page)
    assert reader.read(page) == first
    return first.pools


def lines(*series: str) -> bytes:
    return "\n".join([*series, ""]).encode()


def key(pool: str, process: str = "orders:8080") -> PoolKey:
    return PoolKey("orders", pool, process)


def info(**known: str) -> PoolInfo:
    return PoolInfo(server="main", application="orders-api", **known)


HIKARI = info(client="HikariCP", source="micrometer")
EXPECTED: dict[str, tuple[PoolSample, ...]] = {
    "micrometer": (
        PoolSample(
            key=key("HikariPool-1"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 4},
            acquire_wait=0.75, acquired=215, held=31.5, returned=208, connects=12,
            info=HIKARI,
        ),
    ),
    "hikaricp": (
        PoolSample(
            key=key("orders"),
            idle=0, active=5, max=5, min=5, waiting=3, timeouts={"pool": 1},
            acquire_wait=0.25, acquired=80, held=1.5, returned=75, connects=6,
            info=info(client="HikariCP", source="hikaricp"),
        ),
    ),
    "spring-jdbc": (
        PoolSample(
            key=key("reporting"), idle=6, active=2, min=0, info=info(source="spring-jdbc")
        ),
    ),
    "node-postgres": (
        PoolSample(
            key=key("db.example:5432/shop"),
            idle=3, active=4, max=10, waiting=0, connects=9,
            info=info(
                client="node-postgres", source="node-postgres",
                host="db.example", port="5432", database="shop",
            ),
        ),
    ),
    "otel": (
        PoolSample(
            key=key("main"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, held=31, returned=93, connects=12,
            info=info(source="otel"),
        ),
    ),
    "otel-old": (
        PoolSample(
            key=key("main"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, held=31, returned=93, connects=12,
            info=info(source="otel-old"),
        ),
    ),
    "npgsql": (
        PoolSample(
            key=key("orders@db.example:5432/shop"),
            idle=3, active=7, max=100, waiting=2, timeouts={"pool": 1}, connects=12,
            info=info(
                client="Npgsql", source="npgsql",
                host="db.example", port="5432", database="shop", user="orders",
            ),
        ),
    ),
    "npgsql-otel": (
        PoolSample(
            key=key("orders"),
            idle=3, active=7, max=100, waiting=2, timeouts={"pool": 1}, connects=12,
            info=info(source="otel"),
        ),
    ),
    "pgxpool": (
        PoolSample(
            key=key("shop"),
            idle=3, active=7, max=10, queued=14, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, connects=12,
            info=info(client="pgxpool", source="pgxpool"),
        ),
    ),
    "pgx-pool": (
        PoolSample(
            key=key("shop"),
            idle=3, active=7, max=10, queued=14, timeouts={"pool": 1}, connects=12,
            info=info(client="pgxpool", source="pgx-pool"),
        ),
    ),
    "go-sql": (
        PoolSample(
            key=key("shop"),
            idle=2, active=7, queued=14, acquire_wait=2.5,
            info=info(client="database/sql", source="go-sql"),
        ),
    ),
    "rails": tuple(
        PoolSample(
            key=key("primary", f"orders:8080:{pid}"),
            idle=1, active=active, max=5, waiting=waiting,
            leaked_slots={"a thread that has ended": dead},
            info=info(
                client="ActiveRecord", source="rails",
                host="db.example", database="shop", pid=pid,
            ),
        )
        for pid, active, waiting, dead in (("4711", 4, 2, 1), ("4712", 0, 0, 0))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_each_page_becomes_the_same_values_in_our_units(name: str) -> None:
    (form,) = {sample.info.source for sample in EXPECTED[name] if sample.info}
    assert read(recorded(name)) == EXPECTED[name], "recognised by itself"
    assert read(recorded(name), FORMATS[form]) == EXPECTED[name], "named in the configuration"


def test_every_format_has_a_page_and_an_expectation() -> None:
    assert EXPECTED.keys() >= FORMATS.keys()
    assert {path.stem for path in PAGES.iterdir()} == EXPECTED.keys()


def test_our_own_names_are_told_from_the_node_exporters() -> None:
    """Both begin with `pg_pool_`."""
    own = page_of(pool())
    (sample,) = read(own)
    assert sample.key == pool().key
    assert [sample.key for sample in read(recorded("node-postgres") + own)] == [pool().key]
