"""Series of one page that differ in any label are different pools or processes, never a sum."""

from __future__ import annotations

from collections.abc import Mapping
from time import thread_time

import pytest

from pg_pool_exporter.formats import FORMATS, Format
from pg_pool_exporter.model import PoolId
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

DEFAULTS = TargetDefaults(app="orders", process="gateway:9090")


def read(*lines: str) -> Mapping[PoolId, float | None]:
    """The active connections of each pool."""
    reader = PageReader(automatic(), DEFAULTS)
    page = "\n".join([*lines, ""]).encode()
    return {sample.key: sample.active for sample in reader.read(page).pools}


def active(labels: str, value: int) -> str:
    return f"hikaricp_connections_active{{{labels}}} {value}"


def pool(name: str, process: str = "gateway:9090") -> PoolId:
    return PoolId("orders", name, process)


NAMED = {
    'pool="main",pod="web-1"': pool("main", "gateway:9090:web-1"),
    'pool="main",exported_instance="web-1:8080"': pool("main", "gateway:9090:web-1:8080"),
    'pool="main",pod="web-1",namespace="shop"': pool("main", "gateway:9090:shop:web-1"),
    'namespace="shop",pod="web-1",pool="main"': pool("main", "gateway:9090:shop:web-1"),
    'pool="main",service="billing"': pool("main", "gateway:9090:billing"),
    'pool="main",application="orders"': pool("main"),
    'pool="main",tenant="eu"': pool("main (tenant=eu)"),
    'shard="2",pool="main",db_host="db-1"': pool("main (db_host=db-1, shard=2)"),
    'pool="main",tenant=""': pool("main"),
    'pool="main",tenant="postgresql://me:hunter2@db/shop"': pool("main (tenant=me@db/shop)"),
    'pool="main",otel_scope_name="x",otel_scope_version="1"': pool("main"),
}


@pytest.mark.parametrize(("labels", "key"), NAMED.items())
def test_a_label_is_part_of_the_name_of_what_it_distinguishes(labels: str, key: PoolId) -> None:
    assert read(active(labels, 3)) == {key: 3}


@pytest.mark.parametrize("label", ["pod", "exported_instance", "service", "db_host", "tenant"])
def test_pools_that_differ_in_a_label_keep_their_names_when_others_come(label: str) -> None:
    lines = [active(f'pool="main",{label}="{text}"', at) for at, text in enumerate("abc")]
    alone = [read(line) for line in lines]
    assert read(*lines) == {key: value for one in alone for key, value in one.items()}
    assert read(*lines) == read(*lines[::-1])
    assert len(read(*lines)) == 3


# One of each that is not a sum, which could lack a part.
GAUGES = {
    name: next(
        one for one in form.values if not any(o.part for o in form.values if o.field == one.field)
    )
    for name, form in FORMATS.items()
}


MORE: tuple[Mapping[str, str], ...] = (
    {"tenant": "a"},
    {"tenant": "b"},
    {"pod": "a"},
    {"pod": "b"},
    {},
)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_no_format_adds_pools_up(form: Format) -> None:
    value = GAUGES[form.name]
    name = value.series[0].replace("*", "shop")
    conditions = (*form.only, *value.where)
    given = {one.labels[0]: one.value.replace("*", "x") for one in conditions if not one.negated}
    lines = []
    for number, more in enumerate(MORE, start=1):
        labels = ",".join(f'{label}="{text}"' for label, text in {**given, **more}.items())
        lines.append(f"{name}{{{labels}}} {number}")
    pools = PageReader(automatic(), DEFAULTS).read("\n".join([*lines, ""]).encode()).pools
    assert sorted(getattr(one, value.field) for one in pools) == [1, 2, 3, 4, 5]


def test_three_processes_on_a_collectors_page() -> None:
    lines = [
        active(f'pool="HikariPool-1",job="shop",instance="10.0.0.{host}:8080"', host)
        for host in (1, 2, 3)
    ]
    assert read(*lines) == {
        pool("HikariPool-1", f"gateway:9090:shop:10.0.0.{host}:8080"): host for host in (1, 2, 3)
    }


def test_two_pgxpools_of_one_name_lead_to_two_hosts() -> None:
    page = b"".join(
        f'pgxpool_acquired_conns{{db_host="{host}",db_name="shop"}} 1\n'.encode()
        for host in ("db-1", "db-2")
    )
    pools = PageReader(automatic(), DEFAULTS).read(page).pools
    assert [(one.key.pool, one.info and one.info.host) for one in pools] == [
        ("shop (db_host=db-1)", "db-1"),
        ("shop (db_host=db-2)", "db-2"),
    ]


def test_the_second_name_of_a_label_distinguishes_too() -> None:
    lines = [f'pgxpool_acquired_conns{{db="shop",name="{name}"}} 1' for name in "ab"]
    assert [*read(*lines)] == [pool("shop (name=a)"), pool("shop (name=b)")]


def test_a_scope_that_is_on_some_series_only_makes_no_second_pool() -> None:
    """OpenTelemetry's Java agent leaves it out on histograms."""
    lines = [
        'db_client_connection_max{pool_name="main",otel_scope_name="a"} 5',
        'db_client_connection_count{pool_name="main",state="used",otel_scope_name="a"} 3',
        'db_client_connection_use_time_seconds_count{pool_name="main"} 7',
    ]
    assert read(*lines) == read(*lines[::-1]) == {pool("main"): 3}


def test_pools_of_two_instrumentations_are_two() -> None:
    used = 'db_client_connection_count{{pool_name="main",state="used",otel_scope_name="{}"}} {}'
    lines = [used.format("a", 1), used.format("b", 2)]
    named = {pool("main"): 1, pool("main (otel_scope_name=b)"): 2}
    assert read(*lines) == read(*lines[::-1]) == named


GO_SQL = 'go_sql_in_use_connections{db_name="shop"} 1'
PGXPOOL = 'pgxpool_acquired_conns{{db_name="{}"}} {}'
OTEL = 'db_client_connection_count{{pool_name="{}",state="used"{}}} {}'
PRISMA = "prisma_pool_connections_busy 1"
OURS = 'pg_pool_overdue_connections{pool="main",site="a.js:1"} 1'
COME_LATER = [
    ([GO_SQL], [PGXPOOL.format("shop", 2)], ["shop", "shop (pgxpool)"]),
    ([PGXPOOL.format("shop", 1)], [GO_SQL.replace(" 1", " 2")], ["shop", "shop (go-sql)"]),
    (
        [OTEL.format("main", ',otel_scope_name="b"', 1)],
        [OTEL.format("main", ',otel_scope_name="a"', 2)],
        ["main", "main (otel_scope_name=a)"],
    ),
    (
        [OTEL.format("tenant=b", "", 1)],
        [OTEL.format("tenant=a", "", 2)],
        ["a connection string", "a connection string (number=2)"],
    ),
    ([PRISMA], [OURS], ["default"]),
]


@pytest.mark.parametrize(("first", "later", "names"), COME_LATER)
def test_a_pool_keeps_its_name_when_one_that_is_called_alike_comes_and_goes(
    first: list[str], later: list[str], names: list[str]
) -> None:
    reader = PageReader(automatic(), DEFAULTS)

    def shown(*lines: str) -> dict[str, float | None]:
        page = "\n".join([*lines, ""]).encode()
        return {one.key.pool: one.active for one in reader.read(page).pools}

    assert shown(*first) == {names[0]: 1}
    for lines in ([*first, *later], [*later, *first]):
        assert shown(*lines) == {name: at for at, name in enumerate(names, start=1)}
    assert shown(*first) == {names[0]: 1}
    if len(names) > 1:
        assert shown(*later) == {names[1]: 2}
        assert shown(*later, *first) == {name: at for at, name in enumerate(names, start=1)}


def test_a_pool_gets_the_name_of_one_that_is_gone() -> None:
    reader = PageReader(automatic(), DEFAULTS)
    for version in (1, 2):
        scope = f',otel_scope_version="{version}"'
        [one] = reader.read(f"{OTEL.format('main', scope, 1)}\n".encode()).pools
        assert one.key.pool == "main"
    both = "".join(OTEL.format("main", f',otel_scope_version="{at}"', at) + "\n" for at in (1, 2))
    assert {one.key.pool: one.active for one in reader.read(both.encode()).pools} == {
        "main": 2,
        "main (otel_scope_version=1)": 1,
    }


@pytest.mark.parametrize(
    "lines",
    [
        [GO_SQL, PGXPOOL.format("shop", 2), PGXPOOL.format("shop (go-sql)", 3)],
        [
            OTEL.format("main", ',otel_scope_name="a"', 1),
            OTEL.format("main", ',otel_scope_name="b"', 2),
            OTEL.format("main (otel_scope_name=b)", "", 3),
            OTEL.format("main (otel_scope_name:b)", "", 4),
        ],
        [OTEL.format(f"tenant={at}", "", at) for at in range(1, 91)],
    ],
)
def test_no_two_pools_have_one_name(lines: list[str]) -> None:
    assert sorted(value or 0 for value in read(*lines).values()) == [*range(1, len(lines) + 1)]


def test_hundreds_of_pools_that_are_called_alike_are_named_in_time() -> None:
    reader = PageReader(automatic(), DEFAULTS, max_pools=2_000)
    lines = [OTEL.format(f"tenant={at}", "", at) for at in range(2_000)]
    page = "\n".join([*lines, ""]).encode()
    started = thread_time()
    first = [one.key for one in reader.read(page).pools]
    assert [one.key for one in reader.read(page).pools] == first
    assert thread_time() - started < 2
    assert len({*first}) == 2_000


@pytest.mark.parametrize(
    "other",
    [
        "Application Name=reports", "Maximum Pool Size=7", "Search Path=eu", "Port=1", "Timeout=9",
        "Username=other", "Database=other", "Kerberos Service Name=x",
    ],
)  # fmt: skip
def test_connection_strings_that_differ_in_any_part_are_different_pools(other: str) -> None:
    texts = ["Host=db;Port=5432", f"Host=db;Port=5432;{other}"]
    lines = [
        f'db_client_connection_count{{pool_name="{text}",state="used"}} {at}'
        for at, text in enumerate(texts)
    ]
    assert sorted(value or 0 for value in read(*lines).values()) == [0, 1]
    assert read(lines[0]).keys() < read(*lines).keys()


def test_a_data_source_without_a_pool_is_none() -> None:
    text = "Host=db;Application Name=batch;Pooling=False"
    line = f'db_client_connection_count{{pool_name="{text}",state="used"}} 1'
    assert read(line, active('pool="main"', 2)) == {pool("main"): 2}


def test_a_label_that_our_own_names_do_not_have_makes_another_pool() -> None:
    own = 'app="orders",pool="main",process="web:0"'
    lines = [
        f'pg_pool_connections{{{own},state="active"}} 1',
        f'pg_pool_connections{{{own},state="active",tenant="b"}} 2',
        f'pg_pool_connections{{{own},state="active",pod="b"}} 3',
    ]
    assert read(*lines) == {
        PoolId("orders", "main", "web:0"): 1,
        PoolId("orders", "main (tenant=b)", "web:0"): 2,
        PoolId("orders", "main", "web:0:b"): 3,
    }


@pytest.mark.parametrize("label", ["quantile", "le"])
def test_a_bucket_or_quantile_is_no_pool(label: str) -> None:
    """Of a series that a format of one's own takes for a sum."""
    lines = [active(f'pool="main",{label}="{at}"', 9) for at in (0.5, 0.99)]
    assert read(active('pool="main"', 3), *lines) == {pool("main"): 3}


def test_the_bound_on_pools_holds() -> None:
    lines = [active(f'pool="main",pod="web-{at}"', at) for at in range(300)]
    page = "\n".join([*lines, ""]).encode()
    snapshot = PageReader(automatic(), DEFAULTS).read(page)
    assert (len(snapshot.pools), snapshot.folded) == (100, 200)


FEDERATED = """
# TYPE hikaricp_connections_active untyped
hikaricp_connections_active{app="shop",instance="10.0.0.1:8080",job="orders",pool="main"} 1 17
hikaricp_connections_active{app="shop",instance="10.0.0.2:8080",job="orders",pool="main"} 2 17
hikaricp_connections_max{app="shop",instance="10.0.0.1:8080",job="orders",pool="main"} 5 17
hikaricp_connections_max{app="shop",instance="10.0.0.2:8080",job="orders",pool="main"} 5 17
# TYPE pg_pool_overdue_connections untyped
pg_pool_overdue_connections{instance="10.0.0.1:8080",job="orders",pool="main",site="a"} 1 17
# TYPE pg_pool_requests_total untyped
pg_pool_requests_total{app="shop",instance="10.0.0.2:8080",job="orders",pool="main"} 9 17
# TYPE db_client_connection_count untyped
db_client_connection_count{instance="b:1",job="x",pool_name="main",state="used"} 4 17
db_client_connection_count{instance="b:2",job="x",pool_name="main",state="used"} 5 17
"""


def test_a_federated_page_of_several_applications() -> None:
    """Of Prometheus' `/federate`: all series untyped, with the labels of their targets."""
    pools = PageReader(automatic(), DEFAULTS).read(FEDERATED.encode()).pools
    assert {one.key.process: (one.active, one.max, one.overdue, one.requests) for one in pools} == {
        "gateway:9090:shop:10.0.0.1:8080": (1, 5, {"a": 1}, None),
        "gateway:9090:shop:10.0.0.2:8080": (2, 5, {}, 9),
        "gateway:9090:x:b:1": (4, None, {}, None),
        "gateway:9090:x:b:2": (5, None, {}, None),
    }


def test_a_format_is_left_out_beside_a_better_one_of_the_same_process_alone() -> None:
    generic = 'jdbc_connections_active{{name="dataSource",pod="{}"}} 3'
    lines = [active('pool="main",pod="a"', 3), generic.format("a"), generic.format("b")]
    assert read(*lines) == {
        pool("main", "gateway:9090:a"): 3,
        pool("dataSource", "gateway:9090:b"): 3,
    }


def test_pools_beside_those_of_our_client_are_of_another_process() -> None:
    own = 'app="orders",pool="a",process="web:0",instance="1"'
    line = f'pg_pool_connections{{{own},state="active"}} 1'
    other = [active(f'pool="b",instance="{at}"', 2) for at in "12"]
    assert read(line, *other) == {
        PoolId("orders", "a", "web:0:1"): 1,
        pool("b", "gateway:9090:2"): 2,
    }


@pytest.mark.parametrize(
    ("tags", "client_key"),
    [("", None), (',region="eu"', pool("main", "web-1:0")), (',application="orders"', None)],
    ids=["no tags", "a tag", "a tag that repeats the name"],
)
def test_a_pool_of_our_client_on_a_tagged_page_keeps_the_name_of_the_client(
    tags: str, client_key: PoolId | None
) -> None:
    ours = f'app="orders",pool="main",process="web-1:0",state="active"{tags}'
    lines = [active(f'pool="main"{tags}', 2), f"pg_pool_connections{{{ours}}} 2", ""]
    reader = PageReader(automatic(), DEFAULTS)
    (sample,) = reader.read("\n".join(lines).encode()).pools
    assert sample.client_key == client_key
    assert (sample.key == pool("main", "web-1:0")) is (client_key is None)
