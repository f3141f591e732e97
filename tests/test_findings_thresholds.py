"""Findings are judged by the thresholds of the configuration, by application and pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.config import Config, Thresholds
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.model import SessionGroup
from support.both_sides import INFO, BothSides, session_key
from support.rule_files import SETTINGS

PREFIX = "pg_pool_exporter:threshold:"
DEFAULTS = Thresholds()
# What alerts judge by that need no exporter.
SAME = {
    "pool_use_ratio": DEFAULTS.pool_utilisation,
    "pool_waiting_requests": DEFAULTS.pool_waiting,
    "bouncer_waiting_seconds": DEFAULTS.bouncer_wait,
}


def test_a_number_that_prometheus_judges_by_too_has_the_same_default() -> None:
    groups = yaml.safe_load(SETTINGS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    settings = {rule["record"].removeprefix(PREFIX): rule["expr"] for rule in rules}
    assert settings.items() >= SAME.items()


def both_sides(**configured: Any) -> BothSides:
    """Judged by these sections of the configuration."""
    sides = BothSides()
    sides.analyzer.configure(Config.model_validate(configured))
    return sides


def causes(sides: BothSides) -> set[Cause]:
    return {one.cause for one in sides.analysis.findings}


@pytest.mark.parametrize(
    ("thresholds", "found"),
    [
        ({}, {Cause.SERVER_FULL}),
        ({"server_utilisation": 0.9}, set()),
    ],
)
def test_a_server_is_reported_above_its_threshold(
    thresholds: dict[str, Any], found: set[Cause]
) -> None:
    sides = both_sides(thresholds=thresholds)
    sides.server({"active": [1.0] * 85})
    assert causes(sides) == found


@pytest.mark.parametrize(
    ("thresholds", "found"),
    [
        ({}, {Cause.LOCK_PILE_UP}),
        ({"lock_wait": "60s"}, set()),
        ({"lock_wait": "60s", "lock_pile_up": 2}, {Cause.LOCK_PILE_UP}),
    ],
)
def test_lock_waits_are_reported_by_their_age_or_their_number(
    thresholds: dict[str, Any], found: set[Cause]
) -> None:
    sides = both_sides(thresholds=thresholds)
    waiting = SessionGroup(waiting=2, oldest_waiting=40.0)
    sides.server({"active": [40.0, 40.0]}, groups={session_key(): waiting})
    assert causes(sides) == found


@pytest.mark.parametrize(("wait", "found"), [("1s", {Cause.UNKNOWN}), ("5s", set())])
def test_clients_of_a_bouncer_may_wait_for_as_long_as_configured(
    wait: str, found: set[Cause]
) -> None:
    sides = both_sides(thresholds={"bouncer_wait": wait})
    sides.bouncer(3, oldest_waiting=4.0)
    assert causes(sides) == found


PATIENT = {"thresholds": {"idle_in_transaction": "15m"}}


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        ({}, {"orders", "billing"}),
        (PATIENT, set()),
        ({"apps": [{"name": "orders", **PATIENT}]}, {"billing"}),
        ({"apps": [{"name": "shop", "application_name": "orders", **PATIENT}]}, {"billing"}),
        ({**PATIENT, "apps": [{"name": "orders"}]}, set()),
    ],
    ids=["default", "all", "by name", "by application_name", "an app without any"],
)
def test_an_application_may_keep_transactions_open_for_as_long_as_configured(
    configured: dict[str, Any], found: set[str]
) -> None:
    sides = both_sides(**configured)
    open_for = {"idle_in_transaction": [600.0]}
    sides.server({session_key("orders"): open_for, session_key("billing"): open_for})
    assert {one.subject.app for one in sides.analysis.findings} == found


def test_sessions_of_a_pool_have_the_thresholds_of_its_application() -> None:
    """Whatever `application_name` they have: the pool reports it."""
    sides = both_sides(apps=[{"name": "shop", **PATIENT}])
    sides.pool(1, 1, app="shop", info=replace(INFO, application="shop-web"))
    sides.server({session_key("shop-web"): {"idle_in_transaction": [600.0]}})
    assert causes(sides) == set()


LONG, SHORT = {"thresholds": {"long_checkout": "10s"}}, {"thresholds": {"long_checkout": "1s"}}


@pytest.mark.parametrize(
    ("app", "cause"),
    [
        ({}, Cause.LONG_CHECKOUTS),
        (LONG, Cause.POOL_TOO_SMALL),
        ({"pools": [{"name": "main", **LONG}]}, Cause.POOL_TOO_SMALL),
        ({"pools": [{"name": "reports", **LONG}]}, Cause.LONG_CHECKOUTS),
        ({**LONG, "pools": [{"name": "main", **SHORT}]}, Cause.LONG_CHECKOUTS),
    ],
    ids=["default", "of the app", "of the pool", "of another pool", "the pool's wins"],
)
def test_what_a_long_checkout_is_depends_on_the_pool(app: dict[str, Any], cause: Cause) -> None:
    sides = both_sides(apps=[{"name": "orders", **app}])
    for number in range(31):
        sides.pool(
            0, 10, max=10, waiting=3, held=number * 50.0, returned=number * 20.0,
            acquire_wait=number * 15.0,
        )  # fmt: skip
        sides.now += 5
    assert causes(sides) == {cause}


@pytest.mark.parametrize(("share", "verdict"), [(0.8, "WARNING"), (0.95, "FINE")])
def test_a_pool_is_nearly_saturated_above_its_threshold(share: float, verdict: str) -> None:
    sides = both_sides(apps=[{"name": "orders", "thresholds": {"pool_utilisation": share}}])
    sides.pool(1, 9)
    checks = {one.name: one.verdict.name for one in sides.analysis.checks}
    assert checks["pool_utilisation"] == verdict


@pytest.mark.parametrize(("least", "found"), [(1, {Cause.UNKNOWN}), (5, set())])
def test_so_many_requests_have_to_wait(least: int, found: set[Cause]) -> None:
    sides = both_sides(apps=[{"name": "orders", "thresholds": {"pool_waiting": least}}])
    for _ in range(3):
        sides.pool(0, 10, waiting=3)
        sides.now += 5
    assert causes(sides) == found


@pytest.mark.parametrize(("age", "found"), [("10s", set()), ("29s", {Cause.LEAK})])
def test_a_statement_explains_a_checkout_from_the_configured_age(
    age: str, found: set[Cause]
) -> None:
    sides = both_sides(thresholds={"long_statement": age})
    sides.pool(1, 1, overdue={"orders.py:7 report": 1})
    sides.server({"active": [20.0], "idle": [90.0]})
    assert causes(sides) == found


def test_a_new_threshold_holds_from_the_next_analysis() -> None:
    sides = BothSides()
    sides.server({"idle_in_transaction": [600.0]})
    assert causes(sides) == {Cause.IDLE_IN_TRANSACTION}
    sides.analyzer.configure(Config.model_validate(PATIENT))
    assert causes(sides) == set()


def test_each_threshold_is_a_metric_once_and_where_it_is_overridden() -> None:
    pool = {"name": "main", "thresholds": {"pool_utilisation": 0.9}}
    sides = both_sides(apps=[{"name": "orders", **PATIENT, "pools": [pool]}])
    assert not causes(sides)
    exposition = Exposition(sides.store, sides.analyzer, clock=lambda: sides.now)
    lines = exposition.plain(openmetrics=False).decode().splitlines()
    found = {one for one in lines if one.startswith("pg_pool_exporter_threshold{")}
    assert len(found) == len(Thresholds.model_fields) + 2
    assert found >= {
        'pg_pool_exporter_threshold{threshold="idle_in_transaction"} 120',
        'pg_pool_exporter_threshold{threshold="idle_in_transaction",app="orders"} 900',
        'pg_pool_exporter_threshold{threshold="pool_utilisation"} 0.8',
        'pg_pool_exporter_threshold{threshold="pool_utilisation",app="orders",pool="main"} 0.9',
    }
