"""Our names on the page of another library: one pool with both, and ours count."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.formats import FORMATS, Format
from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS
from pg_pool_exporter.model import Histogram, PoolId, PoolSample
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.explanation import explain
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.pages import page_of, pool

PAGES = Path(__file__).parent / "pages"
DEFAULTS = TargetDefaults(app="orders", process="orders:8080", server="main")
SITE = "Report.java:42 month"
OVERDUE = f'pg_pool_overdue_connections{{pool="main",site="{SITE}"}} 2'
HIKARI = ('hikaricp_connections_active{pool="main"} 3', 'hikaricp_connections_max{pool="main"} 5')


def read(*lines: str, form: Format | None = None) -> dict[str, PoolSample]:
    """The pools by name; they are the same in whatever order the lines are."""
    reader = PageReader(automatic() if form is None else table([form]), DEFAULTS)
    page = "\n".join([*lines, ""]).encode()
    pools = {sample.key.pool: sample for sample in reader.read(page).pools}
    backwards = reader.read("\n".join([*lines[::-1], ""]).encode()).pools
    assert pools == {sample.key.pool: sample for sample in backwards}
    return pools


def the(*lines: str) -> PoolSample:
    [sample] = read(*lines).values()
    return sample


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.txt")), ids=lambda path: path.stem)
def test_every_library_can_have_lines_of_ours_beside_it(path: Path) -> None:
    page = path.read_text().removesuffix("# EOF\n")
    reader = PageReader(automatic(), DEFAULTS)
    before = reader.read(page.encode()).pools
    for sample in before:
        if sum(other.key.pool == sample.key.pool for other in before) > 1:
            continue
        added = f'pg_pool_overdue_connections{{pool="{sample.key.pool}",site="{SITE}"}} 1\n'
        after = PageReader(automatic(), DEFAULTS).read((page + added).encode()).pools
        assert [one.key for one in after] == [one.key for one in before]
        [both] = [one for one in after if one.key == sample.key]
        assert both.overdue == {SITE: 1}
        assert (both.active, both.idle, both.max) == (sample.active, sample.idle, sample.max)


def test_what_both_know_is_ours_and_never_added_up() -> None:
    sample = the(
        *HIKARI,
        'hikaricp_connections_timeout_total{pool="main"} 4',
        'hikaricp_connections_usage_seconds_sum{pool="main"} 31.5',
        'hikaricp_connections_usage_seconds_count{pool="main"} 208',
        'pg_pool_connections{pool="main",state="active"} 2',
        'pg_pool_timeouts_total{pool="main",kind="connect"} 1',
        'pg_pool_timeouts_total{pool="main",kind="pool"} 3',
        'pg_pool_held_seconds_total{pool="main"} 30',
    )
    assert (sample.active, sample.max, sample.held, sample.returned) == (2, 5, 30, 208)
    assert sample.timeouts == {"pool": 3, "connect": 1}


SPELT = [
    ("pg_pool_requests_total", 7, "requests", 7),
    ("pg_pool_requests", 7, "requests", 7),
    ("pg_pool_pg_pool_requests", 7, "requests", 7),
    ("pg_pool_pg_pool_requests_total", 7, "requests", 7),
    ("pg_pool_oldest_active_seconds", 7, "oldest_active", 7),
    ("pg_pool_oldest_active", 7, "oldest_active", 7),
    ("pg_pool_pg_pool_oldest_active", 7, "oldest_active", 7),
    ("pg_pool_oldest_active_milliseconds", 7000, "oldest_active", 7),
    ("pg_pool_held_seconds_total", 7, "held", 7),
    ("pg_pool_held_seconds", 7, "held", 7),
    ("pg_pool_held_total", 7, "held", 7),
    ("pg_pool_held_milliseconds_total", 7000, "held", 7),
    ("pg_pool_hold_seconds_sum", 7, "held", 7),
    ("pg_pool_hold_sum", 7, "held", 7),
    ("pg_pool_pg_pool_hold_sum", 7, "held", 7),
    ("pg_pool_hold_milliseconds_sum", 7000, "held", 7),
    ("pg_pool_pg_pool_hold_count", 7, "returned", 7),
    ("pg_pool_acquire_sum", 7, "acquire_wait", 7),
    ("pg_pool_leak_threshold", 60, "leak_after", 60),
]


@pytest.mark.parametrize(("name", "value", "field", "expected"), SPELT)
@pytest.mark.parametrize("kind", ["counter", "gauge", "untyped", "unknown"])
def test_names_as_exporters_change_them(
    name: str, value: float, field: str, expected: float, kind: str
) -> None:
    labels = '{otel_scope_name="pg_pool",pool="main"}'
    sample = the(*HIKARI, f"# TYPE {name} {kind}", f"{name}{labels} {value}")
    assert (getattr(sample, field), sample.active) == (expected, 3)


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_histogram_of_our_buckets_is_one(unit: int) -> None:
    name = "pg_pool_acquire_seconds" if unit == 1 else "pg_pool_acquire_milliseconds"
    lines = [f'{name}_bucket{{pool="main",le="{bound * unit:g}"}} 2' for bound in ACQUIRE_BOUNDS]
    sample = the(
        *HIKARI,
        *lines,
        f'{name}_bucket{{pool="main",le="+Inf"}} 3',
        f'{name}_sum{{pool="main"}} {40 * unit}',
        f'{name}_count{{pool="main"}} 3',
        'hikaricp_connections_acquire_seconds_sum{pool="main"} 9',
    )
    assert sample.acquire == Histogram((2, *[0] * (len(ACQUIRE_BOUNDS) - 1), 1), 40)
    assert sample.acquire_wait is None, "the library's figure would be another"


def test_a_histogram_of_other_buckets_is_its_sum_and_count() -> None:
    lines = [f'pg_pool_hold_seconds_bucket{{pool="main",le="{le}"}} 4' for le in (5, 10, "+Inf")]
    sample = the(
        *HIKARI,
        *lines,
        'pg_pool_hold_seconds_sum{pool="main"} 8',
        'pg_pool_hold_seconds_count{pool="main"} 4',
    )
    assert (sample.hold, sample.held, sample.returned) == (None, 8, 4)


WRONG = [
    ('pg_pool_overdue_connections{pool="main",site="b"} -1', "negative"),
    ('pg_pool_overdue_connections{pool="main",site="b"} x', "not a number"),
    ('pg_pool_overdue_connections{pool="main"} 1', "site is missing"),
    ('pg_pool_connections{pool="main",state="broken"} 1', "this value of state"),
    ("pg_pool_queued_requests_total 1", "pool or process is missing"),
    ('pg_pool_hold_seconds_bucket{pool="main"} 1', "bucket without a bound"),
]


@pytest.mark.parametrize(("line", "reason"), WRONG)
def test_a_wrong_line_beside_a_library_is_left_out_and_explained(line: str, reason: str) -> None:
    assert the(*HIKARI, OVERDUE, line) == the(*HIKARI, OVERDUE)
    assert the(*HIKARI, line) == the(*HIKARI)
    found = explain("\n".join([*HIKARI, line, ""]).encode(), automatic(), DEFAULTS)
    [unused] = found.unused
    assert line.startswith(unused.name)
    assert reason in unused.reason
    assert not found.error


@pytest.mark.parametrize(("line", "reason"), WRONG)
def test_a_wrong_line_fails_the_page_of_our_client_and_one_of_our_names_alone(
    line: str, reason: str
) -> None:
    own = page_of(pool()).decode().splitlines()
    for lines in ([*own, line], [*HIKARI, *own, line], [OVERDUE, line], [line]):
        with pytest.raises(PollError, match=reason):
            read(*lines)


def test_a_wrong_line_of_the_library_fails_its_page() -> None:
    with pytest.raises(PollError, match=r"line 2: .*not a number"):
        read(OVERDUE, 'hikaricp_connections_active{pool="main"} x', HIKARI[1])


def test_each_process_of_a_collectors_page_has_its_own_lines() -> None:
    lines = []
    for number, pod in enumerate("ab", start=1):
        labels = f'pool="main",pod="{pod}",namespace="shop"'
        lines += [
            f"hikaricp_connections_active{{{labels}}} {number}",
            f'pg_pool_overdue_connections{{{labels},site="{pod}"}} {number}',
        ]
    page = "\n".join([*lines, ""]).encode()
    pools = PageReader(automatic(), DEFAULTS).read(page).pools
    assert {one.key.process: (one.active, one.overdue) for one in pools} == {
        "orders:8080:shop:a": (1, {"a": 1}),
        "orders:8080:shop:b": (2, {"b": 2}),
    }


def test_lines_without_a_label_that_the_library_has_are_of_its_only_pool() -> None:
    sample = the('hikaricp_connections_active{pool="main",region="eu"} 3', OVERDUE)
    assert sample.key == PoolId("orders", "main", "orders:8080:eu")
    assert (sample.active, sample.overdue) == (3, {SITE: 2})


def test_lines_that_could_be_of_several_pools_are_of_none() -> None:
    lines = [f'hikaricp_connections_active{{pool="main",pod="{pod}"}} 1' for pod in "ab"]
    page = "\n".join([*lines, OVERDUE, ""]).encode()
    pools = PageReader(automatic(), DEFAULTS).read(page).pools
    assert [(one.active, one.overdue) for one in pools] == [(1, {}), (1, {}), (None, {SITE: 2})]


def test_a_pool_that_has_none_of_our_names_stays() -> None:
    pools = read(*HIKARI, 'hikaricp_connections_active{pool="other"} 1', OVERDUE)
    assert {name: one.active for name, one in pools.items()} == {"main": 3, "other": 1}


def test_the_only_pool_of_a_library_that_gives_no_names_is_ours() -> None:
    sample = the("pgxpool_acquired_conns 3", OVERDUE)
    assert (sample.key.pool, sample.active, sample.overdue) == ("main", 3, {SITE: 2})


def test_a_pool_named_by_a_connection_string_is_found_by_the_same_string() -> None:
    text = "Host=db;Username=me;Password=hunter2"
    sample = the(
        f'npgsql_db_client_connections_usage{{pool_name="{text}",state="used"}} 3',
        f'pg_pool_pg_pool_overdue_connections{{pool="{text}",site="{SITE}"}} 2',
    )
    assert (sample.key.pool, sample.active, sample.overdue) == ("me@db", 3, {SITE: 2})


def test_pools_that_our_client_measures_are_not_shown_again() -> None:
    own = page_of(pool()).decode().splitlines()
    hikari = [line.replace("main", "HikariPool-1") for line in HIKARI]
    assert read(*own, *hikari) == {"main": DEFAULTS.complete(pool())}


def test_a_named_format_does_not_show_pools_of_our_names_alone() -> None:
    pools = read(*HIKARI, 'pg_pool_requests_total{pool="other"} 1', form=FORMATS["micrometer"])
    assert pools.keys() == {"main", "other"}
    with pytest.raises(PollError, match="no series of a pool"):
        read(OVERDUE, form=FORMATS["micrometer"])


def test_a_page_of_lines_of_ours_alone_needs_no_library() -> None:
    sample = the(OVERDUE)
    assert (sample.key, sample.overdue) == (PoolId("orders", "main", "orders:8080"), {SITE: 2})


def test_histograms_that_are_left_of_a_closed_pool_are_none() -> None:
    """OpenTelemetry keeps them, and Npgsql's counters of the pool, after its data source's end."""
    scope = 'otel_scope_name="Npgsql",db_client_connection_pool_name="{}"'
    pools = read(
        f"db_client_connection_npgsql_timeouts_total{{{scope.format('main')}}} 3",
        f"db_client_connection_max{{{scope.format('other')}}} 5",
        'pg_pool_hold_seconds_sum{pool="main"} 8',
        'pg_pool_hold_seconds_count{pool="main"} 4',
    )
    assert pools.keys() == {"other"}
