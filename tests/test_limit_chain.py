"""The chain of limits from the applications' pools through a bouncer to the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity
from pg_pool_exporter.model import Behind, BouncerDatabase, BouncerPool, BouncerPoolKey, BouncerUser
from support.both_sides import INFO, INTERVAL, SETTINGS, BothSides

THROUGH = replace(INFO, port="6432")
BEHIND = Behind("shop_db", "127.0.0.1", "5432")


def sides(mode: str = "transaction", *, processes: int = 1, **more: Any) -> BothSides:
    """Processes with a pool of ten each, a bouncer with a pool of 20, a server of 97 slots."""
    both = BothSides()
    for number in range(processes):
        both.pool(1, 1, process=f"web:{number}", info=THROUGH)
    values: dict[str, Any] = {
        "reserve_size": 0, "mode": mode, "behind": {"shop": BEHIND}, "max_clients": 100,
    }  # fmt: skip
    settings = more.pop("settings", SETTINGS)
    both.bouncer(0, active=0, **{**values, **more})
    both.server({"idle": [1.0]}, settings=settings)
    return both


def found(both: BothSides) -> list[Finding]:
    cause = Cause.BOUNCER_LIMITS_OVERSUBSCRIBED
    return [one for one in both.analysis.findings if one.cause is cause]


LIMITED: dict[str, Any] = {"settings": replace(SETTINGS, role_limits={"orders": 15})}
OF_DATABASE: dict[str, Any] = {"settings": replace(SETTINGS, database_limits={"shop_db": 15})}
SMALL: dict[str, Any] = {"settings": replace(SETTINGS, max_connections=20)}


@pytest.mark.parametrize(
    ("setting", "mode", "shown"),
    [
        ("max_client_conn", "transaction", {"processes": 11}),
        ("max_client_conn", "transaction", {"max_clients": 9}),
        ("pool_size", "session", {"processes": 3}),
        (
            "max_db_client_connections",
            "transaction",
            {"databases": {"shop": BouncerDatabase(max_clients=9)}},
        ),
        (
            "max_user_client_connections",
            "transaction",
            {"users": {"orders": BouncerUser(max_clients=9)}},
        ),
        (
            "max_db_connections",
            "session",
            {"databases": {"shop": BouncerDatabase(max_connections=9)}},
        ),
        ("max_user_connections", "session", {"users": {"orders": BouncerUser(max_connections=9)}}),
        ("slots", "transaction", SMALL),
        ("slots", "transaction", {"size": 90, "reserve_size": 8}),
        ("CONNECTION LIMIT", "transaction", LIMITED),
        ("CONNECTION LIMIT", "transaction", OF_DATABASE),
    ],
)
def test_a_limit_that_is_lower_than_what_may_be_asked_of_it_is_found(
    setting: str, mode: str, shown: dict[str, Any]
) -> None:
    (finding,) = found(sides(mode, **shown))
    assert finding.severity is Severity.WARNING
    assert f"({setting}), and " in finding.summary.partition("first to give: ")[2]
    assert finding.figures["connections"] > finding.figures["max_connections"]


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("transaction", {"processes": 10}),
        ("transaction", {"max_clients": None, "processes": 50}),
        ("session", {"processes": 2}),
        ("transaction", {"size": 90, "reserve_size": 7}),
        ("transaction", {"size": None, "processes": 10, **SMALL}),
        (
            "transaction",
            {**SMALL, "databases": {"shop": BouncerDatabase(max_connections=17)}},
        ),
        ("transaction", {**LIMITED, "users": {"orders": BouncerUser(max_connections=15)}}),
        ("transaction", {**SMALL, "behind": {}}),
        ("transaction", {"databases": {"shop": BouncerDatabase(max_connections=9)}}),
        ("session", {"databases": {"other": BouncerDatabase(max_connections=9, max_clients=9)}}),
        ("session", {"users": {"other": BouncerUser(max_connections=9, max_clients=9)}}),
    ],
)
def test_limits_that_suffice_and_limits_that_are_unknown_are_no_finding(
    mode: str, shown: dict[str, Any]
) -> None:
    assert found(sides(mode, **shown)) == []


def test_the_limit_that_is_reached_at_the_smallest_share_of_the_demand_gives_first() -> None:
    both = sides(processes=20, **SMALL, size=18)
    (finding,) = found(both)
    assert "first to give: bouncer edge allows 100 (max_client_conn), and 200" in finding.summary
    assert "orders (200)" in finding.evidence[0]
    assert "Likewise: server main allows 17 (slots), and 18" in finding.evidence[1]
    settings = [one.setting for one in both.analysis.fleet.limits["edge"]]
    assert settings == ["max_client_conn", "slots"]


def test_pools_without_a_bouncer_count_at_the_server() -> None:
    both = sides(**{**SMALL, "size": 17})
    assert found(both) == []
    both.pool(1, 1, process="job:0")
    both.now += INTERVAL
    both.server({"idle": [1.0]}, settings=replace(SETTINGS, max_connections=20))
    (finding,) = found(both)
    assert "pools without a bouncer (10)" in finding.evidence[0]


def test_pools_of_several_users_share_the_limit_of_their_database() -> None:
    other = BouncerPool(size=20, reserve_size=0, mode="transaction")
    beside = {BouncerPoolKey("shop", "reports"): other}
    (link,) = (
        one
        for one in sides(
            beside=beside, databases={"shop": BouncerDatabase(max_connections=25)}
        ).analysis.fleet.limits["edge"]
        if one.setting == "slots"
    )
    assert link.demand == 25
