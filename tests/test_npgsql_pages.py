"""Pages recorded from real Npgsql pools are read as the program itself counted at that moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.model import PoolId, PoolSample
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.both_sides import BothSides

PAGES = Path(__file__).parent / "pages/npgsql"
RECORDED = sorted(PAGES.glob("[0-9]*/*.txt"))
SITES = sorted(PAGES.glob("sites/*/*.txt"))
DEFAULTS = TargetDefaults(app="orders", process="orders:5000", server="main")
OLDER = {"billing", "main", "nowhere", "reports", "twin"}


def identity(path: Path) -> str:
    return str(path.relative_to(PAGES))


def read(path: Path) -> dict[str, PoolSample]:
    """The pools by their name, or by the application where a connection string is the name."""
    pools = PageReader(automatic(), DEFAULTS).read(path.read_bytes()).pools
    named = {}
    for pool in pools:
        info = pool.info
        assert info is not None
        assert info.client == "Npgsql"
        name = pool.key.pool if not info.application else info.application
        named[f"{name} {info.host}" if name == "ledger" else name] = pool
    assert len(named) == len(pools), "no pool twice"
    return named


def truth(path: Path) -> Mapping[str, Mapping[str, Any]]:
    text = path.with_name(f"{path.name.split('.')[0]}.truth.json").read_text()
    found: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return found


def check(pool: PoolSample, so: Mapping[str, Any]) -> None:
    known = {field: getattr(pool, field) for field in ("active", "idle", "max", "waiting")}
    expected = {field: so[field] for field in known if field in so}
    assert {field: known[field] for field in expected} == expected
    if "timeouts" in so:
        assert pool.timeouts == {"pool": so["timeouts"]}


# By state: what the truth calls a pool, and what the page does. Two data sources of one name are
# one to Npgsql, and which one it shows changes from run to run.
CALLED = {"unnamed": "billing", "plain": "reports"}


@pytest.mark.parametrize("path", RECORDED, ids=identity)
def test_each_state_is_read_as_it_was(path: Path) -> None:
    pools = read(path)
    so = {name: value for name, value in truth(path).items() if isinstance(value, Mapping)}
    for name, expected in so.items():
        if name in ("twin1", "twin2", "hosts", "unpooled", "nowhere"):
            continue
        check(pools[CALLED.get(name, name)], expected)
    for pool in pools.values():
        assert pool.waiting is not None
        assert pool.timeouts.keys() == {"pool"}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*/01-*.txt")), ids=identity)
def test_pools_that_nobody_has_used_are_idle(path: Path) -> None:
    pools = read(path)
    assert pools.keys() <= {"main", "billing"}
    assert all(pool.active == 0 for pool in pools.values())


@pytest.mark.parametrize("path", sorted(PAGES.glob("*/09-*.txt")), ids=identity)
def test_of_two_data_sources_of_one_name_one_is_shown(path: Path) -> None:
    twin = read(path)["twin"]
    assert (twin.active, twin.max) in ((1, 2), (2, 3))


@pytest.mark.parametrize("path", sorted(PAGES.glob("*/11-*.txt")), ids=identity)
def test_each_host_has_a_pool_and_a_source_without_a_pool_none(path: Path) -> None:
    pools = read(path)
    assert "batch" not in pools
    hosts = [pool for name, pool in pools.items() if name.startswith("ledger ")]
    assert [pool.max for pool in hosts] == [6, 6]
    assert sum(pool.active or 0 for pool in hosts) == 1
    assert pools.keys() == OLDER | {"ledger 127.0.0.1", "ledger localhost"}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*/12-*.txt")), ids=identity)
def test_a_disposed_data_source_is_gone_where_the_page_shows_it(path: Path) -> None:
    """prometheus-net keeps its last figures forever."""
    assert ("main" in read(path)) is ("prometheus-net" in path.name)


@pytest.mark.parametrize("path", sorted(PAGES.glob("*/08-*.txt")), ids=identity)
def test_a_name_made_of_a_connection_string_begins_with_the_application(path: Path) -> None:
    pools = read(path)
    for name in ("billing", "reports"):
        assert pools[name].key.pool.startswith(f"{name} app@127.0.0.1:55432/postgres ")


def seen(path: Path) -> PoolSample:
    [pool] = read(path).values()
    return pool


@pytest.mark.parametrize("path", SITES, ids=identity)
def test_what_the_program_adds_is_of_the_same_pool(path: Path) -> None:
    so = json.loads((PAGES / "sites/truth.json").read_text())[path.name.split(".")[0]]["main"]
    pool = seen(path)
    assert pool.key == PoolId("orders", "main", "orders:5000")
    fields = ("active", "max", "requests", "acquired", "returned")
    assert {name: getattr(pool, name) for name in fields} == {name: so[name] for name in fields}
    assert pool.timeouts == so["timeouts"]
    assert pool.overdue == so["overdue"]
    assert pool.leak_after == 1
    assert pool.waiting == 0


@pytest.mark.parametrize("path", SITES, ids=identity)
def test_our_histograms_are_read_where_they_have_our_buckets(path: Path) -> None:
    pool = seen(path)
    if "opentelemetry" in path.name:
        assert pool.acquire is not None
        assert pool.hold is not None
        assert (pool.acquire.count, pool.hold.count) == (pool.acquired, pool.returned)
    else:
        assert (pool.acquire, pool.hold) == (None, None)


@pytest.mark.parametrize("path", SITES, ids=identity)
def test_a_format_that_is_named_has_our_names_beside_it_too(path: Path) -> None:
    pool = seen(path)
    assert pool.info is not None
    named = PageReader(table([FORMATS[pool.info.source]]), DEFAULTS)
    assert named.read(path.read_bytes()).pools == (pool,)


@pytest.mark.parametrize("path", sorted(PAGES.glob("sites/*/four-kept.*")), ids=identity)
def test_the_finding_names_the_three_lines(path: Path) -> None:
    pool = seen(path)
    sides = BothSides()
    fields = ("max", "overdue", "leak_after", "info", "timeouts")
    sample = {field: getattr(pool, field) for field in fields}
    sides.pool(pool.idle, pool.active, **sample)
    sides.server({"idle": [90.0] * 4})
    [leak] = sides.analysis.findings
    assert leak.cause is Cause.LEAK
    assert leak.sites == pool.overdue
    assert len(leak.sites) == 3
    assert "await using" in leak.remedy
