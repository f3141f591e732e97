"""Workloads whose truth is known, live: real pools, a real server, Prometheus with our rules.

All durations are a twentieth. `make test-all` runs four, two at a time, in some four minutes. To
choose:

    PGPE_LIVE=leak-keep,bursts pytest tests/test_scenarios_live.py
    PGPE_LIVE=all pytest tests/test_scenarios_live.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from conftest import require
from scenarios.live import ALWAYS, LIVE, RUNS
from scenarios.live_run import Outcome, run_live
from scenarios.scenario import Setup
from scenarios.verdict import SCENARIOS
from support.pgbouncer import PGBOUNCER
from support.programs import PROMETHEUS
from support.wall_clock import LIBFAKETIME

# One worker has all that is live, one after the other: each measures real time.
pytestmark = [pytest.mark.debian, pytest.mark.slow, pytest.mark.xdist_group("live")]

_CHOSEN = os.environ.get("PGPE_LIVE", "")
CHOSEN = tuple(RUNS) if _CHOSEN == "all" else tuple(filter(None, _CHOSEN.split(","))) or ALWAYS


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Outcome]]]:
    """The runs that are under way, by scenario."""
    require(PROMETHEUS.exists(), "Debian's package prometheus")
    if "pgbouncer" in CHOSEN:
        require(PGBOUNCER.exists(), "Debian's package pgbouncer")
    if "clock-skew" in CHOSEN:
        require(LIBFAKETIME is not None, "Debian's package faketime")
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run_live, name, tmp_path_factory.mktemp(name)) for name in CHOSEN}


def test_every_scenario_has_a_live_run() -> None:
    assert LIVE.keys() == {scenario.name for scenario, _ in RUNS.values()}
    assert set(ALWAYS) <= RUNS.keys()


@pytest.mark.parametrize("name", CHOSEN)
def test_the_verdict_is_the_truth(outcomes: Mapping[str, Future[Outcome]], name: str) -> None:
    outcome = outcomes[name].result()
    assert outcome.verdict.faults() == [], (outcome.verdict.alerts, outcome.findings)


def test_the_virtual_world_has_the_series_of_a_real_run(
    outcomes: Mapping[str, Future[Outcome]],
) -> None:
    """Of the pools and of what is joined: what it lacks no rule would see there."""
    if "leak-drop-slow" not in outcomes:
        pytest.skip("not among the chosen ones")
    real = outcomes["leak-drop-slow"].result().metrics
    setup = Setup(native=True, lifo=False)
    scenario = next(one for one in SCENARIOS if one.name == "leak-drop-slow")
    scenario.build(setup)
    setup.world.run(3600)
    virtual = {name.partition("{")[0] for name in setup.exporter.recorder.series}
    left_out = {"pg_pool_hold_seconds_bucket", "pg_pool_hold_seconds_sum",
                "pg_pool_hold_seconds_count", "pg_pool_acquire_seconds_sum",
                "pg_pool_acquire_seconds_count",
                # The rules' own form of it is judged there.
                "pg_pool_time_to_saturation_seconds",
                # Sizes have workloads of their own.
                "pg_pool_demand_connections_bucket", "pg_pool_demand_connections_sum",
                "pg_pool_demand_connections_count",
                "pg_pool_demand_watched_seconds"}  # fmt: skip
    pools = {name for name in real if name.startswith("pg_pool_") and "exporter" not in name}
    assert pools - left_out <= virtual
