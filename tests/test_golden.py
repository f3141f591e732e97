"""A whole scrape, as a file: every change of the metrics shows in its diff.

`UPDATE_GOLDEN=1 pytest tests/test_golden.py` writes it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.advice.advice import advice
from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.analysis.evidence.lasting import RecentEvidence
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.history.demand import DemandDay, DemandHour
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.analysis.records.fleet_view import FleetView
from pg_pool_exporter.analysis.records.pool_view import ProcessView, pool_view
from pg_pool_exporter.analysis.records.server_view import server_view
from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.config import Config, Shard, Thresholds
from pg_pool_exporter.discovery import DiscoveryStatus
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.metrics.catalogue import (
    ACQUIRE_BOUNDS,
    DEMAND_BOUNDS,
    HOLD_BOUNDS,
    IDLE_BOUNDS,
    METRICS,
)
from pg_pool_exporter.model import (
    AppOnServer,
    BouncerDatabase,
    BouncerPool,
    BouncerPoolKey,
    BouncerSample,
    BouncerUser,
    ClientGroup,
    DatabaseCounters,
    Health,
    Histogram,
    Kind,
    LeakEvidence,
    LogCounts,
    PoolId,
    PoolInfo,
    PoolSample,
    ServerFacts,
    ServerSample,
    ServerSettings,
    SessionGroup,
    SessionKey,
    Snapshot,
    TargetId,
    TimeoutOverride,
)
from pg_pool_exporter.polling.store import Store, TargetState

GOLDEN = Path(__file__).parent / "golden"

POOL = PoolSample(
    key=PoolId("orders", "main", "web-1:0"),
    idle=3, active=7, max=10, min=2, waiting=2,
    oldest_idle=1.5, oldest_active=61.25, oldest_waiting=0.75,
    active_seconds=1234.5, saturated_seconds=12.0,
    requests=1010, queued=20, rejected=1, acquire_wait=0.5, acquired=1007, held=400.5,
    returned=1000, connects=12, connect_errors=1, lost=1, leaked=1, leak_after=60,
    unaccounted=2, long_lived=1,
    timeouts={"pool": 2, "connect": 0},
    leaked_slots={"orders/views.py:42 checkout": 1},
    overdue={'odd "name"\\path.py:7 f': 2},
    reclaimed={"orders/jobs.py:8 run": 4},
    instances={"orders/db.py:5 <module>": 1},
    acquire=Histogram((1000, *[0] * (len(ACQUIRE_BOUNDS) - 2), 6, 1), 0.5),
    hold=Histogram((0, 900, *[0] * (len(HOLD_BOUNDS) - 2), 100), 400.5),
    demand=Histogram((3000, 500, *[0] * (len(DEMAND_BOUNDS) - 3), 90, 10), 21034.5),
    info=PoolInfo(
        client="psycopg_pool", client_version="3.3.3", source="instrumented", pid="4711",
        host="db.example", port="5432", database="shop", user="orders", application="orders",
    ),
)  # fmt: skip
UNLIMITED = PoolSample(key=PoolId("jobs", "main", "web-1:0"), idle=0, active=1)
SERVER = ServerSample(
    host="db.example",
    port="5432",
    used=10,
    last_login=20.5,
    groups={
        SessionKey("shop", "orders", "orders"): SessionGroup(
            ages={
                "active": (0.25, 0.125),
                "idle": (1.5, 0.5, 0.5, 0.5, 0.5),
                "idle_in_transaction": (65.0,),
            },
            oldest_backend=3600.0,
            oldest_transaction=65.0,
            waiting=1,
            oldest_waiting=0.25,
            blocking=1,
        ),
        # Sessions that the exporter has no right to see.
        SessionKey("shop", "hidden", ""): SessionGroup(hidden={"unknown": 1}),
    },
    databases={
        "shop": DatabaseCounters(deadlocks=1, sessions=100, abandoned=1, fatal=2, killed=3),
        "old": DatabaseCounters(deadlocks=0),
    },
    lock_waits={"relation": 4, "transactionid": 2},
    lock_wait_seconds={"relation": 6.5, "transactionid": 2.25},
    facts=ServerFacts(
        networks={"10.0.3.0/24": 7, "local": 1},
        waits={("active", "Lock"): 1, ("idle", "Client"): 5},
        idle_in_transaction=Histogram((0, 0, 0, 0, 1, *[0] * (len(IDLE_BOUNDS) - 4)), 65.0),
        snapshots={("client", "orders"): 12, ("replication_slot", "standby"): 3},
    ),
    settings=ServerSettings(
        version="16.4",
        in_recovery=False,
        max_connections=100,
        reserved_connections=3,
        database_limits={"shop": 50},
        role_limits={"orders": 20},
        timeouts={"statement_timeout": 30.0, "idle_in_transaction_session_timeout": 0.0},
        overrides={TimeoutOverride("statement_timeout", "all", "reports"): 600.0},
    ),
)
LOG = LogCounts(
    timeouts={"shop": {"statement": 2, "lock": 0}},
    opened={"shop": 12},
    closed={"shop": 10},
    refused={"too_many_connections": 1, "other": 0},
    read=4096,
    lag=0,
    written={("stderr", "docker"): 1},
    unparsed=3,
    state_saved=True,
)
BOUNCER = BouncerSample(
    version="1.18.0",
    pools={
        BouncerPoolKey("shop", "orders"): BouncerPool(
            connections={"idle": 3, "active": 2, "login": 0, "tested": 0, "cancel": 0},
            clients={"active": 2, "waiting": 1, "cancel": 0},
            applications={
                "web": ClientGroup(
                    counts={"idle": 1, "active": 1, "waiting": 1},
                    oldest_waiting=0.25, oldest_active=3,
                )
            },
            oldest_waiting=0.25, oldest_idle=7, size=20, reserve_size=5, min_size=1,
        )
    },
    databases={
        "shop": BouncerDatabase(
            transactions=100, queries=200, transaction_time=30, query_time=20, wait=1.5,
            received=1000, sent=2000, assignments=90, logins=4, client_parses=5, server_parses=6,
            binds=7, connections=5, max_connections=50, clients=3, max_clients=60, paused=True,
            disabled=False,
        )
    },
    users={"orders": BouncerUser(connections=5, max_connections=8, clients=3, max_clients=30)},
    paused=False,
    max_clients=100,
    clients=3,
)  # fmt: skip
APP = AppView(
    key=AppOnServer("main", "orders"), evidence=LeakEvidence(1, {}, 2, 0, 3),
    recent_evidence=RecentEvidence(unreturned=1, unexplained=3), leak_after=60,
    session_names=frozenset({"orders"}), recent_polls=(), lost_sessions=0, lost_sessions_now=0,
    checked_out=7, disturbed=False, longest_lock_wait=0.0, longest_bouncer_wait=0.0, pools=1,
)  # fmt: skip
PROCESS = ProcessView(
    sample=POOL, recent=None, arrival=None, waits=True, active_by_minute=(),
    seconds_to_saturation=2400, thresholds=Thresholds(),
)  # fmt: skip
DAY = DemandDay(
    watched=7200.0,
    highest=6.0,
    busiest=DemandHour(
        begun=0, seconds=3600, levels=(3000.0, 500, 50, 30, 15, 5, *[0.0] * 14), size=10,
        demand_seconds=4500, active_seconds=4400, acquired=9000, held=4400, returned=9000,
    ),
)  # fmt: skip
POOLS = (pool_view((PROCESS,), APP, 60.0, DAY),)
SERVERS = (server_view("main", SERVER, AllThresholds(), 120, {}),)
ANALYSIS = Analysis(
    made=998.5,
    fleet=FleetView(
        apps=(APP,),
        pools=POOLS,
        servers=SERVERS,
    ),
    advice=advice(POOLS, SERVERS, {}),
    findings=(
        Finding(
            cause=Cause.LEAK, severity=Severity.PROBLEM, amount=3, summary="3 connections leaked.",
            subject=Subject(app="orders", pool="main", server="main"),
            sites={"orders/views.py:42 checkout": 3},
        ),
        Finding(
            cause=Cause.TARGET_UNREACHABLE, severity=Severity.WARNING, summary="No answer.",
            subject=Subject(target=TargetId("app", "web-2:80", "orders")),
        ),
    ),
)  # fmt: skip


@pytest.fixture
def exposition() -> Exposition:
    """Everything that can be shown, at a time that stands still."""
    store = Store()
    health = Health(up=True, polls=5, failures={"timeout": 1}, duration=0.125, last_success=1000.5)
    targets: tuple[tuple[Kind, str, Snapshot | None], ...] = (
        ("server", "main", Snapshot(server=SERVER, folded=4)),
        ("log", "main", Snapshot(log=LOG)),
        ("bouncer", "edge", Snapshot(bouncer=BOUNCER)),
        ("process", "orders-0", Snapshot(pools=(POOL, UNLIMITED))),
        ("process", "gone-1", None),
    )
    for kind, name, snapshot in targets:
        state = TargetState(
            key=TargetId(kind, name), interval=5.0, taken=0.0, snapshot=snapshot,
            health=health if snapshot else Health(polls=1, failures={"refused": 1}, duration=0.5),
        )  # fmt: skip
        store.put(state)
    analyzer = Analyzer(store, Config())
    analyzer.analysis = ANALYSIS
    lists = (
        DiscoveryStatus(
            app="orders", mechanism="file_sd", name="/etc/pools/*.json", up=True, targets=2
        ),
    )
    analyzer.exporter = ExporterStatus(
        config_loaded=999.0,
        shard=Shard(2, 5),
        has_web_config=True,
        socket_directory="/run/sockets",
        lists=lists,
    )
    return Exposition(store, analyzer, clock=lambda: 0.0)


def without_what_varies(page: str) -> str:
    """Without process_*, and with a stand-in for versions."""
    page = re.sub(r"^(# \w+ )?process_.*\n", "", page, flags=re.MULTILINE)
    page = page.replace(f'version="{__version__}"', 'version="VERSION"')
    return re.sub(r'python="[^"]*"', 'python="PYTHON"', page)


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_a_whole_scrape_is_what_the_golden_file_says(
    exposition: Exposition, openmetrics: bool
) -> None:
    page = without_what_varies(exposition.plain(openmetrics=openmetrics).decode())
    golden = GOLDEN / ("metrics.openmetrics.txt" if openmetrics else "metrics.txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()


def test_the_golden_files_are_valid_and_hold_the_same_samples() -> None:
    def samples(families: Iterable[Metric]) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
        return {
            (sample.name, tuple(sorted(sample.labels.items())), sample.value)
            for family in families
            for sample in family.samples
        }

    text = samples(parse_text((GOLDEN / "metrics.txt").read_text()))
    openmetrics = samples(
        parse_openmetrics((GOLDEN / "metrics.openmetrics.txt").read_text())  # type: ignore[no-untyped-call] # prometheus_client has no types for it
    )
    assert text == openmetrics


def test_the_golden_file_has_every_metric_of_the_catalogue() -> None:
    page = (GOLDEN / "metrics.txt").read_text()
    families = {family.name for family in parse_text(page)}
    assert {metric.name.removesuffix("_total") for metric in METRICS} <= families
