"""Pages that Prometheus scrapes itself: rules make of them what the daemon would have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.metrics import series
from pg_pool_exporter.metrics.catalogue import POOL_INFO
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sources.pages.series.safe_names import HIDDEN
from support.expected_pools import EXPECTED, SUMS_THAT_LACK_A_PART
from support.promtool import run_tests, selector
from support.recorded_pages import lines, read, recorded
from support.rule_files import DIRECTORY, SETTINGS, generator

# Pages whose pools are named by a connection string, which PromQL can't take apart.
BY_STRING = {"npgsql", "otel-python"}
TARGET = {"job": "orders", "instance": "orders:8080"}


MAPPED = sorted(generator("mapped_pools").MAPPED)
# Pages of formats that have rules.
PAGES = [
    name
    for name, samples in EXPECTED.items()
    if all(sample.info and sample.info.source in MAPPED for sample in samples)
]


@pytest.mark.parametrize("name", MAPPED)
def test_the_rules_are_current(name: str) -> None:
    """When this fails: `make rules`, and look at the difference."""
    written = (DIRECTORY / f"mapped/{name}.yml").read_text()
    assert written == generator("mapped_pools").rules(FORMATS[name])


def scraped(page: bytes, labels_of_target: Mapping[str, str] = TARGET) -> list[dict[str, str]]:
    """The page's series, constant, with the labels that Prometheus adds."""
    target = selector(labels_of_target).strip("{}")
    found = []
    for line in page.decode().splitlines():
        if not line or line.startswith("#"):
            continue
        name, brace, rest = line.partition("{")
        labels, _, values = rest.rpartition("} ") if brace else ("", "", line.split(" ", 1)[1])
        both = ",".join(filter(None, (labels.rstrip(","), target)))
        value = float(values.split()[0])
        found.append({"series": f"{name.split()[0]}{{{both}}}", "values": f"{value:.17g}+0x20"})
    return found


def recorded_by_rules(sample: PoolSample) -> list[object]:
    """What the daemon would expose of the pool, with the labels that stay on a recorded series."""
    found: list[object] = []
    for metric, values, value in series.of_pools([sample]):
        if metric is not POOL_INFO:
            labels = dict(zip(metric.labels, values, strict=True))
            found.append({"labels": metric.name + selector({**labels, **TARGET}), "value": value})
    return found


def mapped(page: str) -> Path:
    """The rules for a format."""
    return DIRECTORY / f"mapped/{page}.yml"


def agree(
    promtool: Path,
    files: Sequence[Path],
    page: bytes,
    query: str,
    expected: Sequence[object],
    directory: Path,
    targets: Sequence[Mapping[str, str]] = (TARGET,),
) -> None:
    """The rules of `files` make `expected` of the page, by `query`, after a quarter of an hour.

    The page is that of each of the `targets`.
    """
    tests = {
        "rule_files": [str(path) for path in files],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [one for target in targets for one in scraped(page, target)],
                "promql_expr_test": [{"expr": query, "eval_time": "15m", "exp_samples": expected}],
            }
        ],
    }
    assert run_tests(promtool, tests, directory) == ""


@pytest.mark.debian
@pytest.mark.parametrize("name", PAGES)
def test_rules_and_reader_agree(promtool: Path, name: str, tmp_path: Path) -> None:
    (form,) = {sample.info.source for sample in EXPECTED[name] if sample.info}
    samples = EXPECTED[name]
    if name in BY_STRING:
        samples = tuple(replace(one, key=one.key._replace(pool=HIDDEN)) for one in samples)
    expected = [one for sample in samples for one in recorded_by_rules(sample)]
    agree(promtool, [mapped(form)], recorded(name), '{app="orders"}', expected, tmp_path)


# What PromQL sees of a part that is NaN depends on its spelling; it is never a number.
LACKING = [page for page, _, _ in SUMS_THAT_LACK_A_PART if not any("NaN" in one for one in page)]


@pytest.mark.debian
@pytest.mark.parametrize("page", LACKING)
def test_rules_and_reader_agree_on_sums_that_lack_a_part(
    promtool: Path, page: Sequence[str], tmp_path: Path
) -> None:
    [sample] = read(lines(*page))
    assert sample.info
    expected = recorded_by_rules(sample)
    agree(
        promtool, [mapped(sample.info.source)], lines(*page), '{app="orders"}', expected, tmp_path
    )


@pytest.mark.slow
@pytest.mark.debian
@pytest.mark.parametrize("name", PAGES)
def test_instances_and_jobs_stay_apart(promtool: Path, name: str, tmp_path: Path) -> None:
    """Each has the series that it has alone."""
    (form,) = {sample.info.source for sample in EXPECTED[name] if sample.info}
    number = sum(len(recorded_by_rules(sample)) for sample in EXPECTED[name])
    targets = [TARGET, {**TARGET, "instance": "orders-2:8080"}, {**TARGET, "job": "billing"}]
    expected = [{"labels": selector(target), "value": number} for target in targets]
    query = 'count by (job, instance) ({app=~".+"})'
    agree(promtool, [mapped(form)], recorded(name), query, expected, tmp_path, targets)


@pytest.mark.debian
def test_a_format_yields_to_one_that_shows_more(promtool: Path, tmp_path: Path) -> None:
    """HikariCP in Spring Boot is shown twice on a page, by its own names and by generic ones."""
    page = recorded("micrometer")
    assert b"jdbc_connections_active" in page
    agree(promtool, [mapped("spring-jdbc")], page, '{app="orders"}', [], tmp_path)


@pytest.mark.debian
def test_a_format_yields_to_none_that_is_left_out_itself(promtool: Path, tmp_path: Path) -> None:
    """Spring's names are left out beside HikariCP's; the other pool of the page is of DBCP2."""
    factory = "org.apache.commons.dbcp2.PoolableConnectionFactory"
    spring = b'jdbc_connections_active{name="reports"} 9\n'
    dbcp = f'commons_pool2_num_active_objects{{name="p",factoryType="{factory}"}} 9\n'.encode()
    hikari = b'hikaricp_connections_active{pool="main"} 0\n'
    labels = {"app": "orders", "pool": "p", "process": "orders:8080", "state": "active", **TARGET}
    shown: Sequence[object] = [{"labels": f"pg_pool_connections{selector(labels)}", "value": 9}]
    rules = [mapped("spring-jdbc"), mapped("commons-pool2")]
    agree(promtool, rules, spring + dbcp + hikari, '{app="orders"}', shown, tmp_path)
    query = '{app="orders", pool="p"}'
    agree(promtool, rules, spring + dbcp, query, [], tmp_path)


@pytest.mark.debian
def test_a_format_yields_to_no_page_of_another_environment(promtool: Path, tmp_path: Path) -> None:
    """Though it has the same names."""
    generic = b'jdbc_connections_active{name="main"} 7\n'
    better = b'hikaricp_connections_active{pool="main"} 7\n'
    production, staging = {**TARGET, "env": "production"}, {**TARGET, "env": "staging"}
    pool = {"app": "orders", "pool": "main", "process": "orders:8080", "state": "active"}
    labels = f"pg_pool_connections{selector({**pool, **production})}"
    tests = {
        "rule_files": [str(mapped("spring-jdbc"))],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    *scraped(generic, production), *scraped(generic + better, staging),
                ],
                "promql_expr_test": [
                    {
                        "expr": "pg_pool_connections",
                        "eval_time": "15m",
                        "exp_samples": [{"labels": labels, "value": 7}],
                    }
                ],
            }
        ],
    }  # fmt: skip
    assert run_tests(promtool, tests, tmp_path) == ""


@pytest.mark.debian
def test_the_page_names_the_application_better_than_the_job(promtool: Path, tmp_path: Path) -> None:
    page = b'hikaricp_connections_active{application="shop",pool="main"} 7\n'
    labels = {"app": "shop", "pool": "main", "process": "orders:8080", "state": "active", **TARGET}
    expected: Sequence[object] = [{"labels": f"pg_pool_connections{selector(labels)}", "value": 7}]
    agree(promtool, [mapped("micrometer")], page, '{app!=""}', expected, tmp_path)


HIKARI_FULL = b"""\
hikaricp_connections_active{pool="main"} 10
hikaricp_connections_max{pool="main"} 10
hikaricp_connections_pending{pool="main"} 3
"""


@pytest.mark.debian
def test_alerts_fire_for_an_application_that_prometheus_scrapes_itself(
    promtool: Path, tmp_path: Path
) -> None:
    files = [SETTINGS, mapped("micrometer"), DIRECTORY / "pools.yml"]
    labels = {"app": "orders", "pool": "main", "process": "orders:8080", **TARGET}
    firing = {"alertstate": "firing", "severity": "critical", **labels}
    expected = [
        {"labels": f"ALERTS{selector({'alertname': name, **firing})}", "value": 1}
        for name in ("PgPoolSaturated", "PgPoolNearSaturation")
    ]
    query = 'ALERTS{alertstate="firing",severity="critical"}'
    agree(promtool, files, HIKARI_FULL, query, expected, tmp_path)


BOUNCER_PAGE = """\
pgbouncer_up 1
pgbouncer_version_info{version="PgBouncer 1.18.0"} 1
pgbouncer_config_max_client_connections 100
pgbouncer_used_clients 12
pgbouncer_databases_pool_size{name="shop",host="db",port="5432",database="main",force_user="",pool_mode="session"} 20
pgbouncer_databases_reserve_pool{name="shop",host="db",port="5432",database="main",force_user="",pool_mode="session"} 0
pgbouncer_databases_current_connections{name="shop",host="db",port="5432",database="main",force_user="",pool_mode="session"} 8
pgbouncer_databases_max_connections{name="shop",host="db",port="5432",database="main",force_user="",pool_mode="session"} 0
pgbouncer_stats_totals_queries_pooled_total{database="shop"} 500
pgbouncer_stats_totals_sql_transactions_pooled_total{database="shop"} 300
pgbouncer_stats_totals_client_wait_seconds_total{database="shop"} 1.5
pgbouncer_pools_client_active_connections{database="shop",user="orders"} 5
pgbouncer_pools_client_waiting_connections{database="shop",user="orders"} 2
pgbouncer_pools_client_maxwait_seconds{database="shop",user="orders"} 3
pgbouncer_pools_server_active_connections{database="shop",user="orders"} 5
pgbouncer_pools_server_idle_connections{database="shop",user="orders"} 1
pgbouncer_pools_server_used_connections{database="shop",user="orders"} 2
pgbouncer_pools_server_login_connections{database="shop",user="orders"} 0
pgbouncer_pools_server_testing_connections{database="shop",user="orders"} 0
"""  # noqa: E501 - a page's lines
BOUNCER = {"bouncer": "orders:8080"}
BOUNCER_DATABASE = {**BOUNCER, "database": "shop"}
BOUNCER_POOL = {**BOUNCER_DATABASE, "user": "orders"}
BOUNCER_EXPECTED: list[tuple[str, dict[str, str], float]] = [
    ("up", BOUNCER, 1),
    ("info", {**BOUNCER, "version": "PgBouncer 1.18.0"}, 1),
    ("max_client_connections", BOUNCER, 100),
    ("client_connections", BOUNCER, 12),
    ("connections", {**BOUNCER_POOL, "state": "active"}, 5),
    ("connections", {**BOUNCER_POOL, "state": "idle"}, 3),
    ("connections", {**BOUNCER_POOL, "state": "login"}, 0),
    ("connections", {**BOUNCER_POOL, "state": "tested"}, 0),
    ("clients", {**BOUNCER_POOL, "state": "active"}, 5),
    ("clients", {**BOUNCER_POOL, "state": "waiting"}, 2),
    ("oldest_waiting_seconds", BOUNCER_POOL, 3),
    ("pool_size", BOUNCER_POOL, 20),
    ("database_connections", BOUNCER_DATABASE, 8),
    ("queries_total", BOUNCER_DATABASE, 500),
    ("transactions_total", BOUNCER_DATABASE, 300),
    ("wait_seconds_total", BOUNCER_DATABASE, 1.5),
]


@pytest.mark.debian
@pytest.mark.parametrize("stats", ["stats_totals", "stats"])
def test_pgbouncer_exporters_page_becomes_ours(promtool: Path, stats: str, tmp_path: Path) -> None:
    """Limits of 0 are none, and so is the series."""
    page = BOUNCER_PAGE.replace("stats_totals", stats).encode()
    expected: Sequence[object] = [
        {"labels": f"pg_bouncer_{name}{selector({**labels, **TARGET})}", "value": value}
        for name, labels, value in BOUNCER_EXPECTED
    ]
    agree(promtool, [mapped("pgbouncer")], page, '{bouncer!=""}', expected, tmp_path)


@pytest.mark.debian
def test_pgbouncer_exporters_clients_by_application_are_counted_once(
    promtool: Path, tmp_path: Path
) -> None:
    clients = [
        f'pgbouncer_client_connections{{application_name="{application}",database="shop",'
        f'state="{state}",user="orders"}} {number}'
        for application, state, number in (
            ("web", "active", 4), ("web", "waiting", 2), ("batch", "active", 1),
            ("batch", "active_cancel_req", 1), ("batch", "waiting_cancel_req", 0),
        )
    ]  # fmt: skip
    page = BOUNCER_PAGE.encode() + lines(*clients)
    expected: Sequence[object] = [
        {
            "labels": "pg_bouncer_clients"
            + selector({**BOUNCER_POOL, "application": application, "state": state, **TARGET}),
            "value": value,
        }
        for application, state, value in (
            ("web", "active", 4), ("web", "waiting", 2), ("batch", "active", 1),
            ("batch", "cancel", 1),
        )
    ]  # fmt: skip
    agree(promtool, [mapped("pgbouncer")], page, "pg_bouncer_clients", expected, tmp_path)


POSTGRES_PAGE = """\
pg_up 1
pg_settings_max_connections{server="db:5432"} 100
pg_settings_reserved_connections{server="db:5432"} 2
pg_settings_superuser_reserved_connections{server="db:5432"} 3
"""
# As of 0.11.1, which was run, and of later versions, from their source.
SESSIONS = {
    "0.11": """\
pg_stat_activity_count{datname="shop",server="db:5432",state="active"} 2
pg_stat_activity_count{datname="shop",server="db:5432",state="disabled"} 0
pg_stat_activity_count{datname="shop",server="db:5432",state="idle"} 1
pg_stat_activity_count{datname="shop",server="db:5432",state="idle in transaction"} 1
pg_stat_activity_count{datname="shop",server="db:5432",state="idle in transaction (aborted)"} 3
pg_stat_activity_max_tx_duration{datname="shop",server="db:5432",state="active"} 2.875
pg_stat_activity_max_tx_duration{datname="shop",server="db:5432",state="idle in transaction"} 4.5
pg_stat_activity_max_tx_duration{datname="shop",server="db:5432",state="idle"} 0
""",
    "0.12": "".join(
        f'{name}{{application_name="{application}",backend_type="{kind}",datname="shop",'
        f'server="db:5432",state="{state}",usename="orders",wait_event="{event}",'
        f'wait_event_type="Client"}} {value}\n'
        for name, application, kind, state, event, value in (
            ("pg_stat_activity_count", "web", "client backend", "active", "ClientRead", 1),
            ("pg_stat_activity_count", "web", "client backend", "active", "ClientWrite", 1),
            ("pg_stat_activity_count", "web", "client backend", "idle", "ClientRead", 1),
            ("pg_stat_activity_count", "web", "client backend", "idle in transaction", "", 1),
            ("pg_stat_activity_count", "web", "client backend",
             "idle in transaction (aborted)", "", 3),
            ("pg_stat_activity_count", "", "walwriter", "", "", 1),
            ("pg_stat_activity_max_tx_duration", "web", "client backend", "active", "", 2.875),
            ("pg_stat_activity_max_tx_duration", "web", "client backend",
             "idle in transaction", "", 4.5),
        )
    ),
}  # fmt: skip


@pytest.mark.debian
@pytest.mark.parametrize("version", SESSIONS)
def test_a_server_is_watched_by_the_page_of_postgres_exporter(
    promtool: Path, version: str, tmp_path: Path
) -> None:
    server = {"server": "orders:8080"}
    group = {**server, "database": "shop"}
    if version == "0.12":
        group |= {"user": "orders", "application": "web"}
    shown: list[tuple[str, dict[str, str], float]] = [
        ("up", {"server": "orders:8080"}, 1),
        ("max_connections", server, 100),
        ("reserved_connections", server, 5),
        ("used_connections", server, 7),
        ("oldest_transaction_seconds", group, 4.5),
        ("connections", {**group, "state": "active"}, 2),
        ("connections", {**group, "state": "idle"}, 1),
        ("connections", {**group, "state": "idle_in_transaction"}, 1),
        ("connections", {**group, "state": "idle_in_transaction_aborted"}, 3),
    ]
    expected: Sequence[object] = [
        {"labels": f"pg_server_{name}{selector({**labels, **TARGET})}", "value": value}
        for name, labels, value in shown
    ]
    page = (POSTGRES_PAGE + SESSIONS[version]).encode()
    agree(
        promtool, [mapped("postgres-exporter")], page, '{__name__=~"pg_server_.*"}', expected,
        tmp_path,
    )  # fmt: skip


@pytest.mark.debian
def test_an_rds_proxy_is_a_pool(promtool: Path, tmp_path: Path) -> None:
    """Of a page that shows its connections three times, by target and role, too."""
    proxy = 'account_id="1",dimension_ProxyName="shop",name="arn:shop",region="eu-west-1"'
    group = proxy + ',dimension_TargetGroup="default"'
    role = proxy + ',dimension_TargetRole="READ_WRITE"'
    page = [
        f"aws_rds_{name}_sum{{{labels}}} {value}"
        for labels in (proxy, group, role)
        for name, value in (
            ("client_connections", 50),
            ("database_connections", 10),
            ("database_connections_currently_borrowed", 7),
            ("max_database_connections_allowed", 90),
        )
    ]
    pool = {
        "account_id": "1", "app": "orders", "pool": "shop", "process": "orders:8080",
        "region": "eu-west-1", **TARGET,
    }  # fmt: skip
    connections = {
        state: "pg_pool_connections" + selector({**pool, "state": state})
        for state in ("active", "idle")
    }
    expected: Sequence[object] = [
        {"labels": connections["active"], "value": 7},
        {"labels": connections["idle"], "value": 3},
        {"labels": f"pg_pool_max_connections{selector(pool)}", "value": 90},
    ]
    agree(promtool, [mapped("rds-proxy")], lines(*page), '{pool="shop"}', expected, tmp_path)
    lacking = [line for line in page if "currently_borrowed" not in line]
    agree(promtool, [mapped("rds-proxy")], lines(*lacking), '{pool="shop"}', expected[2:], tmp_path)
