"""Rules and dashboards against what really runs: the demonstration, and a Prometheus.

Everything here lasts as long as the slowest alert, some two minutes: a leak that fills its pool
until it is predicted that it will be full. Both scenarios run at the same time.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import require
from support.dashboards import NAMES, VARIABLES, questions, variables
from support.pgbouncer import PGBOUNCER
from support.postgres import EMBEDDED_16, Cluster
from support.programs import PROMETHEUS, Prometheus, fetch
from support.stand import demonstration, edges, watched

# One worker has all that is live, one after the other: each measures real time.
pytestmark = [pytest.mark.debian, pytest.mark.slow, pytest.mark.xdist_group("live")]

DEADLINE = 180
EXPECTED = {
    ("shop-small", "PgPoolUseHigh"),
    ("shop-small", "PgPoolNearSaturation"),
    ("shop-small", "PgPoolSaturated"),
    ("shop-small", "PgPoolTooSmall"),
    ("shop-small", "PgPoolTimeoutBurnFast"),
    ("shop-small", "PgPoolTimeoutBurnSlow"),
    ("shop-leaky", "PgPoolLeak"),
    ("shop-leaky", "PgPoolSaturationPredicted"),
    ("shop-leaky", "PgPoolUseHigh"),
    ("shop-leaky", "PgPoolNearSaturation"),
    ("shop-leaky", "PgPoolSaturated"),
    ("shop-keeping", "PgPoolLeak"),
    ("shop-stuck", "PgServerIdleInTransaction"),
    ("demo", "PgServerLockPileUp"),
    ("demo", "PgServerTimeoutNotSet"),
    ("gone", "PgPoolTargetDown"),
    ("edge", "PgBouncerClientsWaiting"),
    ("edge", "PgBouncerSessionHeld"),
}
# The leak goes on while the slowest of those is waited for.
MAY_FOLLOW = {
    ("shop-leaky", "PgPoolTimeoutBurnFast"),
    ("shop-leaky", "PgPoolTimeoutBurnSlow"),
}
NOT_SHOWN = {
    "pg_pool_unexplained_connections", "pg_pool_reclaimed_connections_total",
    "pg_server_lock_waits_total", "<= 2 * ", "pg_pool_needed_max_connections",
    "pg_pool_recommended_max_connections",
}  # fmt: skip
"""Of another library's page with times, of SQLAlchemy, of PostgreSQL 19, limits that are drawn from
half of their use on, and sizes, which ten minutes of demand give: the demonstration has none.
"""
WHOM = ("app", "server", "bouncer", "target")


class Stands(NamedTuple):
    trouble: Prometheus
    healthy: Prometheus


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    """Two Prometheus that have watched, until all that is expected has fired."""
    require(PROMETHEUS.exists(), "Debian's package prometheus")
    require(PGBOUNCER.exists(), "Debian's package pgbouncer")
    directory = Path(tempfile.mkdtemp(prefix="live-"))
    directory.chmod(0o755)  # PostgreSQL's account may enter
    try:
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(EMBEDDED_16))
            found = []
            for scenario in Stands._fields:
                own = directory / scenario
                own.mkdir()
                addresses = [stack.enter_context(demonstration(own, scenario))]
                if scenario == "trouble":
                    addresses.append(stack.enter_context(edges(own, cluster)))
                found.append(stack.enter_context(watched(own, addresses)))
            stands = Stands(*found)
            end = time.monotonic() + DEADLINE
            while EXPECTED - fired(stands.trouble) and time.monotonic() < end:
                time.sleep(1)
            yield stands
    finally:
        shutil.rmtree(directory)


def fired(prometheus: Prometheus) -> set[tuple[str, str]]:
    """Whom each alert that has ever been firing was about, and its name."""
    found = prometheus.query('count_over_time(ALERTS{alertstate="firing"}[10m])')
    return {
        (next(labels[key] for key in WHOM if key in labels).partition("@")[0], labels["alertname"])
        for labels, _ in found
    }


def test_the_expected_alerts_and_no_others_fire(stands: Stands) -> None:
    found = fired(stands.trouble)
    assert found - MAY_FOLLOW == EXPECTED


def test_nothing_fires_where_all_is_well_however_busy(stands: Stands) -> None:
    """Its pool is full in each burst, and requests wait for it."""
    healthy = stands.healthy
    assert fired(healthy) == set()
    bursty = '{app="shop-bursty"}'
    assert (healthy.value(f"pg_pool_saturated_seconds_total{bursty}") or 0) > 1
    assert (healthy.value(f"pg_pool_queued_requests_total{bursty}") or 0) > 100
    watched_for = "count_over_time(up[10m])"
    assert (healthy.value(watched_for) or 0) > 0.8 * min(
        count for _, count in stands.trouble.query(watched_for)
    )


@pytest.mark.parametrize("stand", Stands._fields)
def test_no_rule_fails_to_be_evaluated(stands: Stands, stand: str) -> None:
    page = fetch(f"{getattr(stands, stand).url.removesuffix('/')}/metrics")
    failures = [
        line for line in page.splitlines()
        if line.startswith("prometheus_rule_evaluation_failures_total{")
    ]  # fmt: skip
    assert len(failures) > 3
    assert [line for line in failures if not line.endswith(" 0")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_and_every_annotation_shows_data(stands: Stands, name: str) -> None:
    now = time.time()
    empty = []
    for question in questions(name):
        asked = question.filled("15s")
        found = stands.trouble.get("query_range", query=asked, start=now - 100, end=now, step=5)
        if not found["result"] and not any(name in question.expr for name in NOT_SHOWN):
            empty.append(question.where)
    assert empty == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values(stands: Stands, name: str) -> None:
    found = {}
    for label, question in variables(name):
        series = question.filled("15s")
        found[label] = set(stands.trouble.get(f"label/{label}/values", **{"match[]": series}))
    assert set(found) == set(VARIABLES)
    assert found["cluster"] == {"eu-1"}
    assert found["env"] == {"test"}
    assert found["app"] >= {"shop-healthy", "shop-leaky"}
    assert found["pool"] == {"main"}
    assert found["server"] == {"demo", "edge"}
    assert len(found["instance"]) == 2


@pytest.mark.parametrize("name", ["fleet", "pool"])
def test_a_chosen_app_is_the_only_one_that_is_shown(stands: Stands, name: str) -> None:
    now = time.time()
    for question in questions(name):
        asked = question.filled("15s", {"app": "shop-leaky"})
        for one in stands.trouble.get("query", query=asked, time=now)["result"]:
            assert one["metric"].get("app", "shop-leaky") in ("shop-leaky", ""), question.where
