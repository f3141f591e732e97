"""Pages of other libraries become the samples that our own client would have made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.formats import FORMATS, Format
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.expected_pools import EXPECTED, SUMS_THAT_LACK_A_PART, info, key
from support.pages import page_of, pool
from support.recorded_pages import PAGES, lines, read, recorded
from tools.formats_page import markdown


@pytest.mark.parametrize("name", EXPECTED)
def test_each_page_becomes_the_same_values_in_our_units(name: str) -> None:
    (form,) = {sample.info.source for sample in EXPECTED[name] if sample.info}
    assert read(recorded(name)) == EXPECTED[name], "recognised by itself"
    assert read(recorded(name), FORMATS[form]) == EXPECTED[name], "named in the configuration"


def test_every_format_has_a_page_and_an_expectation() -> None:
    assert EXPECTED.keys() >= FORMATS.keys()
    assert {path.stem for path in PAGES.glob("*.txt")} == EXPECTED.keys()


def test_our_own_names_are_reported_from_the_node_exporters() -> None:
    """Both begin with `pg_pool_`."""
    own = page_of(pool())
    (sample,) = read(own)
    assert sample.key == pool().key
    assert [sample.key for sample in read(recorded("node-postgres") + own)] == [pool().key]


def test_a_page_of_both_hikari_trackers_names_is_reported_by_the_others() -> None:
    """`hikaricp_connections` is in both, and in neither is it read."""
    total = 'hikaricp_connections{pool="main"} 10'
    for form in ("micrometer", "hikaricp"):
        body = recorded(form) + lines(total)
        assert read(body) == EXPECTED[form]
    with pytest.raises(PollError, match="no series of a pool"):
        read(lines(total))


def test_what_spring_shows_of_the_same_pools_is_left_out() -> None:
    jdbc = recorded("spring-jdbc")
    assert read(recorded("micrometer") + jdbc) == EXPECTED["micrometer"]
    assert read(jdbc + recorded("hikaricp")) == EXPECTED["hikaricp"]
    assert read(recorded("micrometer") + jdbc, FORMATS["spring-jdbc"])[0].key == key("dataSource")


def test_a_format_yields_to_none_that_is_left_out_itself() -> None:
    """Spring shows both pools, but is left out beside HikariCP's own names."""
    dbcp = (
        '{name="pool",type="GenericObjectPool",'
        'factoryType="org.apache.commons.dbcp2.PoolableConnectionFactory<x>"}'
    )
    hikari = [f'hikaricp_connections_{one}{{pool="HikariPool-1"}}' for one in ("max", "active")]
    spring = [f'jdbc_connections_{one}{{name="reports"}} 9' for one in ("max", "active")]
    page = [
        f"{hikari[0]} 5",
        f"{hikari[1]} 0",
        'jdbc_connections_max{name="dataSource"} 5',
        *spring,
        f"commons_pool2_num_active_objects{dbcp} 9",
        f"commons_pool2_num_waiters_threads{dbcp} 4",
    ]
    for order in (page, page[::-1]):
        shown = {one.key.pool: (one.active, one.waiting) for one in read(lines(*order))}
        assert shown == {"HikariPool-1": (0, None), "pool": (9, 4)}
    assert [(one.key.pool, one.max) for one in read(lines(*page[3:]))] == [("reports", 9)]


def test_of_both_generations_of_opentelemetry_the_newer_counts() -> None:
    """As `OTEL_SEMCONV_STABILITY_OPT_IN=database/dup` shows them."""
    assert read(recorded("otel-old") + recorded("otel")) == EXPECTED["otel"]


def test_two_libraries_in_one_process_are_both_shown() -> None:
    both = read(recorded("pgxpool") + recorded("go-sql"))
    assert [sample.key for sample in both] == [key("shop"), key("shop (go-sql)")]


def without(page: bytes, name: bytes) -> bytes:
    """The page without the series that have this in their name."""
    return b"".join(line for line in page.splitlines(True) if name not in line)


@pytest.mark.parametrize("name", ["otel", "otel-old", "npgsql", "npgsql-otel"])
def test_the_first_time_out_counts_where_the_page_has_no_series_before_it(name: str) -> None:
    """Else a counter would be born at 1, which `increase()` does not see."""
    [sample] = read(without(recorded(name), b"_timeouts"))
    assert sample.timeouts == {"pool": 0}


def test_time_outs_that_nobody_counts_are_unknown() -> None:
    """Instrumentations of other pools have the same names for what they do show."""
    page = recorded("otel").replace(b"hikaricp-3.0", b"c3p0-0.9")
    [sample] = read(without(page, b"_timeouts"))
    assert sample.timeouts == {}


@pytest.mark.parametrize(
    "label",
    [
        'db_system="redis"',
        'db_system_name="mysql"',
        'otel_scope_name="@opentelemetry/instrumentation-mongodb"',
    ],
)
def test_pools_of_other_databases_are_not_shown(label: str) -> None:
    """OpenTelemetry has the same names for those of all."""
    other = [
        f'{USAGE}{{pool_name="cache:6379",state="used",{label}}} 9',
        f'{COUNT}{{pool_name="cache:6379",state="used",{label}}} 9',
    ]
    with pytest.raises(PollError, match="no series of a pool"):
        read(lines(*other))
    assert read(lines(*other) + recorded("otel")) == EXPECTED["otel"]
    [sample] = read(lines(f'{USAGE}{{pool_name="p",state="used",db_system="postgresql"}} 2'))
    assert sample.active == 2


def test_nobody_waits_before_the_first_who_does() -> None:
    [sample] = read(without(recorded("npgsql-otel"), b"_pending_requests"))
    assert sample.waiting == 0
    [sample] = read(without(recorded("otel"), b"_pending_requests"))
    assert sample.waiting is None


USAGE = "db_client_connections_usage"
COUNT = "db_client_connection_count"
SPELT = [
    (f'{USAGE}{{pool_name="p",state="used"}} 2', "active", 2),
    (f'{USAGE}_connections{{pool_name="p",state="idle"}} 2', "idle", 2),
    (
        f'{USAGE}{{db_client_connections_pool_name="p",db_client_connections_state="used"}} 2',
        "active",
        2,
    ),
    (f'{COUNT}{{db_client_connection_pool_name="p",state="idle"}} 2', "idle", 2),
    (f'{COUNT}{{pool_name="p",db_client_connection_state="used"}} 2', "active", 2),
    ('db_client_connection_wait_time_seconds_sum{pool_name="p"} 2', "acquire_wait", 2),
    ('db_client_connection_wait_time_sum{pool_name="p"} 2', "acquire_wait", 2),
    ('db_client_connections_wait_time_sum{pool_name="p"} 2000', "acquire_wait", 2),
    ('db_client_connections_use_time_milliseconds_sum{pool_name="p"} 2000', "held", 2),
    ('db_client_connections_use_time_count{pool_name="p"} 2', "returned", 2),
    ('db_client_connections_create_time_seconds_count{pool_name="p"} 2', "connects", 2),
    ('db_client_connection_npgsql_pending_requests{pool_name="p"} 2', "waiting", 2),
    ('hikaricp_connection_acquired_nanos_sum{pool="p"} 2e9', "acquire_wait", 2),
    ('hikaricp_connection_usage_millis_sum{pool="p"} 2000', "held", 2),
    ('hikaricp_connection_timeout_count{pool="p"} 2', "timeouts", {"pool": 2}),
    ('npgsql_db_client_connections_timeouts{pool_name="p"} 2', "timeouts", {"pool": 2}),
    ('db_client_connections_timeouts{pool_name="p"} 2', "timeouts", {"pool": 2}),
    ('db_client_connection_npgsql_timeouts{pool_name="p"} 2', "timeouts", {"pool": 2}),
    ('pgxpool_acquire_duration_ns{db="p"} 2e9', "acquire_wait", 2),
    ('pgx_pool_idle_connections{database="p"} 2', "idle", 2),
    ('active_record_connection_pool_busy{pool_name="p"} 2', "active", 2),
]


@pytest.mark.parametrize(("line", "field", "expected"), SPELT)
def test_every_spelling_is_known(line: str, field: str, expected: object) -> None:
    [sample] = read(lines(line))
    assert (sample.key.pool, getattr(sample, field)) == ("p", expected)


UNKNOWN_OR_UNLIMITED = [
    ('go_sql_max_open_connections{db_name="p"} 0', "max"),
    ('hikaricp_connections_max{pool="p"} 2147483647', "max"),
    ('jdbc_connections_max{name="p"} -1', "max"),
    ('jdbc_connections_max{name="p"} +Inf', "max"),
    ('hikaricp_connections_active{pool="p"} NaN\nhikaricp_connections_max{pool="p"} 5', "active"),
    (f'{COUNT}{{pool_name="p",state="idle"}} -3', "idle"),
    ('pgxpool_acquire_duration_ns{db="p"} 1e999', "acquire_wait"),
]


@pytest.mark.parametrize(("line", "field"), UNKNOWN_OR_UNLIMITED)
def test_what_is_unlimited_or_miscounted_is_absent(line: str, field: str) -> None:
    [sample] = read(lines(line))
    assert getattr(sample, field) is None


@pytest.mark.parametrize(
    ("available", "in_use", "maximum"), [(20, 0, 20), (10, 10, 20), (0, 20, 20), (0, 0, None)]
)
def test_the_maximum_of_a_pool_that_is_full_or_idle_is_that_of_any_other(
    available: int, in_use: int, maximum: int | None
) -> None:
    """WildFly's is the sum of those that can be had and those in use."""
    names = {"available": available, "in_use": in_use}
    page = [
        f'wildfly_datasources_pool_{name}_count{{data_source="p"}} {value}'
        for name, value in names.items()
    ]
    [sample] = read(lines(*page))
    assert (sample.active, sample.max) == (in_use, maximum)


def test_the_declared_maximum_is_taken_where_the_page_tells_none() -> None:
    defaults = TargetDefaults(app="orders", process="p", max_connections=20)
    pool_of = {name: read(recorded(name), defaults=defaults)[0] for name in ("go-sql", "pgxpool")}
    assert {name: sample.max for name, sample in pool_of.items()} == {"go-sql": 20, "pgxpool": 10}


def test_a_pool_without_a_name_gets_one() -> None:
    assert read(lines("pgxpool_max_conns 4"))[0].key == key("default")


def test_first_aliases_count_wherever_they_stand() -> None:
    new, old = (f'hikaricp_connection_timeout_{end}{{pool="p"}}' for end in ("total", "count"))
    for page in (lines(f"{new} 1", f"{old} 2"), lines(f"{old} 2", f"{new} 1")):
        assert read(page)[0].timeouts == {"pool": 1}


def test_our_own_page_may_leave_out_what_the_configuration_knows() -> None:
    own = lines(
        'pg_pool_connections{pool="main",state="idle"} 2', 'pg_pool_max_connections{pool="main"} 5'
    )
    assert read(own) == (PoolSample(key=key("main"), idle=2, max=5, info=info()),)


def test_a_page_without_any_format_is_reported_as_that() -> None:
    with pytest.raises(PollError, match="Looked for: native, micrometer, hikaricp, ") as caught:
        read(lines("jvm_threads_live_threads 31"))
    assert caught.value.reason == "protocol"
    with pytest.raises(PollError, match=r"Looked for: rails$"):
        read(recorded("micrometer"), FORMATS["rails"])


@pytest.mark.parametrize("page", [b"", b"\n", b"# EOF\n"])
def test_an_empty_page_is_that_of_an_application_without_a_pool(page: bytes) -> None:
    assert read(page) == ()


def test_formats_with_a_name_in_common_exclude_each_other_by_labels() -> None:
    by_name: dict[str, list[Format]] = {}
    for form in FORMATS.values():
        for name in {*form.names()}:
            by_name.setdefault(name, []).append(form)
    for forms in by_name.values():
        for number, form in enumerate(forms):
            for other in forms[:number]:
                assert {*form.only} & {*other.unless} or {*other.only} & {*form.unless}


def test_a_name_of_two_formats_is_of_the_one_whose_labels_fit() -> None:
    queued = "pgxpool_empty_acquire_total"
    [sample] = read(lines(f"{queued} 3", "pgxpool_max_conns 4"))
    assert (sample.key.pool, sample.queued, sample.max) == ("default", 3, 4)
    label = 'db_client_connection_pool_name="p"'
    [sample] = read(lines(f"{queued}{{{label}}} 3", f"pgxpool_max_connections{{{label}}} 4"))
    assert (sample.key.pool, sample.queued, sample.max) == ("p", 3, 4)


IN_MILLISECONDS = [
    ('hikaricp_connections_acquire_milliseconds_sum{pool="p"} 2500', "acquire_wait", 2.5),
    ('hikaricp_connections_acquire_milliseconds_count{pool="p"} 3', "acquired", 3),
    ('hikaricp_connections_usage_milliseconds_sum{pool="p"} 2500', "held", 2.5),
    ('vertx_pool_usage_milliseconds_sum{pool_name="p",pool_type="sql"} 2500', "held", 2.5),
    ('db_client_connection_use_time_milliseconds_sum{pool_name="p"} 2500', "held", 2.5),
    ('go_sql_wait_duration_milliseconds_total{db_name="p"} 2500', "acquire_wait", 2.5),
]


@pytest.mark.parametrize(("line", "field", "expected"), IN_MILLISECONDS)
def test_times_in_milliseconds_are_read(line: str, field: str, expected: float) -> None:
    """As Micrometer's OTLP registry has them."""
    [sample] = read(lines(line))
    assert (sample.key.pool, getattr(sample, field)) == ("p", expected)


def test_a_difference_that_is_below_zero_is_unknown() -> None:
    labels = '{datasource="p"}'
    managed, free = (f"connectionpool_{one}Connections{labels}" for one in ("managed", "free"))
    [sample] = read(lines(f"{managed} 2", f"{free} 3"))
    assert (sample.idle, sample.active) == (3, None)


@pytest.mark.parametrize(("series", "field", "expected"), SUMS_THAT_LACK_A_PART)
def test_a_sum_that_lacks_a_part_is_unknown(
    series: tuple[str, ...], field: str, expected: float | None
) -> None:
    for order in (series, series[::-1]):
        [sample] = read(lines(*order))
        assert getattr(sample, field) == expected


REPO_SIZE = "prom_ex_ecto_repo_init_pool_size"


def test_the_name_of_an_application_in_front_distinguishes_processes() -> None:
    page = lines(f'shop_{REPO_SIZE}{{repo="R"}} 1', f'orders_{REPO_SIZE}{{repo="R"}} 2')
    assert {one.key: one.max for one in read(page)} == {
        key("R", "orders:8080:shop"): 1,
        key("R"): 2,
    }


@pytest.mark.parametrize(
    "others",
    [
        pytest.param((), id="one line more"),
        pytest.param(("threads 1",), id="as many lines"),
        pytest.param(("threads 1", "sockets 1"), id="one line less"),
    ],
)
def test_names_with_an_application_in_front_are_found_when_a_page_gains_them(
    others: tuple[str, ...],
) -> None:
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="orders:8080"))
    pool = lines('hikaricp_connections_max{pool="main"} 5')
    before, after = pool + lines(*others), pool + lines(f'shop_{REPO_SIZE}{{repo="R"}} 1')
    for page, names in [(before, {"main"}), (before, {"main"}), (after, {"main", "R"})]:
        snapshot = reader.read(page, reader.quick_lines(page))
        assert {one.key.pool for one in snapshot.pools} == names


def test_every_format_and_series_is_documented() -> None:
    """When this fails: `make docs`, and look at the difference."""
    documented = (Path(__file__).parents[1] / "docs/reference/formats.md").read_text()
    assert documented == markdown()
