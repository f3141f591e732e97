"""`/api/v1/findings`: what a person reads, for programs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.model import Backend, BouncerOrigin, ClientGroup, Hold, TargetId
from pg_pool_exporter.web.findings_json import MAX_POOLS, findings_json
from support.both_sides import INFO, BothSides
from support.serving import client, serving

HOSTILE = '"</script><b>\u2028ü'


def document(sides: BothSides) -> dict[str, Any]:
    """The document, which must be plain JSON in ASCII."""
    text = findings_json(sides.analysis, 1.7e9, "https://wiki.example")
    assert text.isascii()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def test_findings_pools_servers_and_targets_are_reported() -> None:
    sides = BothSides()
    sides.pool(
        1, 2, waiting=0, leaked=1, leaked_slots={"shop.py:1 f": 1}, info=replace(INFO, pid="4711")
    )
    sides.server({"idle": [5.0]})
    sides.unread(TargetId("app", "web:80", "billing"))
    found = document(sides)
    assert found.pop("analysed") == sides.analyzer.analysis.made
    assert (found.pop("sizes"), found.pop("sizes_left_out")) == ([], 0)
    assert [one["server"] for one in found.pop("sizes_by_server")] == ["main"]
    assert found.pop("checks")[4] == {
        "check": "leaks",
        "verdict": "problem",
        "figure": "1 not returned",
        "evidence": [
            (
                "orders/main on server main: 1 connection checked out and not returned. "
                "1 connection was dropped without being returned: the pool has lost the slot "
                "forever. Checked out at shop.py:1 f (1)."
            )
        ],
        "remedy": [remedy(Cause.LEAK, "psycopg_pool")],
        "runbooks": ["https://wiki.example/returning-connections.md"],
    }
    assert found == {
        "version": 1,
        "generated": 1.7e9,
        "findings": [
            {
                "cause": "leak",
                "severity": "problem",
                "subject": {"app": "orders", "pool": "main", "server": "main"},
                "summary": "1 connection checked out and not returned.",
                "amount": 1,
                "figures": {
                    "leaked_slots": 1, "overdue_connections": 0, "unreturned_connections": 0,
                    "held_connections": 1, "utilisation_ratio": 0.2,
                },
                "evidence": [
                    (
                        "1 connection was dropped without being returned: the pool has lost the "
                        "slot forever."
                    )
                ],
                "remedy": remedy(Cause.LEAK, "psycopg_pool"),
                "runbook": "https://wiki.example/returning-connections.md",
                "sites": [{"site": "shop.py:1 f", "connections": 1}],
                "sites_are_certain": True,
            }
        ],
        "pools": [
            {
                "app": "orders", "pool": "main", "server": "main", "bouncers": [],
                "client": "psycopg_pool", "processes": 1, "pids": {"web:0": "4711"}, "active": 2,
                "idle": 1, "waiting": 0, "max": 10, "utilisation": 0.2,
                "seconds_to_saturation": None, "leaked_slots": 1, "overdue": 0, "unreturned": None,
                "suspected": None, "unexplained": None, "missing_sessions": None,
                "active_by_minute": [],
            }
        ],
        "pools_left_out": 0,
        "bouncer_pools": [],
        "bouncer_pools_left_out": 0,
        "limits": [],
        "servers": [
            {
                "server": "main", "version": "16.4", "used": 2, "available": 97, "pools_max": 10,
                "waiting": 0, "deadlocks": 0,
            }
        ],
        "targets": [
            {
                "kind": "app", "target": "billing@web:80", "up": False, "polls": 0,
                "reason": None, "error": None, "notes": [], "last_success": None,
            },
            *(
                {"kind": kind, "target": name, "up": True, "polls": 1, "reason": None,
                 "error": None, "notes": [], "last_success": None}
                for kind, name in (("process", "orders-0"), ("server", "main"))
            ),
        ],
        "targets_left_out": 0,
    }  # fmt: skip


def test_the_pools_of_bouncers_are_reported() -> None:
    sides = BothSides()
    sides.bouncer(5, reserve_size=5)
    assert document(sides)["bouncer_pools"] == [
        {
            "bouncer": "edge", "database": "shop", "user": "orders", "active": 20, "idle": 0,
            "max": 25, "utilisation": 0.8, "waiting": 5, "oldest_waiting_seconds": 3,
            "mode": None, "waiting_by_application": {}, "holders": [], "holders_left_out": 0,
        }
    ]  # fmt: skip


def test_who_has_a_bouncer_s_connections_and_who_waits_is_reported() -> None:
    sides = BothSides()
    hold = Hold("web", "10.0.0.7", "40001", 300, "127.0.0.1", "5432", 77, "orders")
    backend = Backend("orders", "idle_in_transaction", 300, 310)
    sides.server({"idle": [1.0]}, backends={77: backend})
    waiting = {BouncerOrigin("jobs", ""): ClientGroup(counts={"waiting": 2})}
    sides.bouncer(2, active=1, mode="transaction", holds=(hold,), origins=waiting)
    (pool,) = document(sides)["bouncer_pools"]
    assert pool["waiting_by_application"] == {"jobs": 2}
    assert pool["holders"] == [
        {
            "application": "web", "address": "10.0.0.7", "port": "40001", "silent_seconds": 300,
            "server": "main", "pid": 77, "state": "idle_in_transaction", "state_seconds": 300,
            "transaction_seconds": 310,
        }
    ]  # fmt: skip


def test_what_no_process_reports_is_null_not_0() -> None:
    sides = BothSides()
    sides.pool(None, 2)
    sides.pool(None, 3, process="web:1")
    (pool,) = document(sides)["pools"]
    assert (pool["active"], pool["idle"], pool["waiting"]) == (5, None, None)
    sides.pool(4, 3, process="web:1", waiting=1)
    (pool,) = document(sides)["pools"]
    assert (pool["active"], pool["idle"], pool["waiting"]) == (5, 4, 1)


@pytest.mark.parametrize(
    ("reported", "leaked_slots", "overdue"),
    [
        pytest.param({"leak_after": None}, None, None, id="a foreign page"),
        pytest.param({}, None, 0, id="asyncpg keeps what is dropped"),
        pytest.param({"leaked": 0}, 0, 0, id="psycopg_pool"),
        pytest.param(
            {"leak_after": None, "leaked_slots": {"ended thread": 0}}, 0, None, id="ActiveRecord"
        ),
    ],
)
def test_leaks_that_a_page_does_not_report_are_null(
    reported: dict[str, Any], leaked_slots: int | None, overdue: int | None
) -> None:
    sides = BothSides()
    sides.pool(1, 2, **reported)
    (pool,) = document(sides)["pools"]
    assert (pool["leaked_slots"], pool["overdue"]) == (leaked_slots, overdue)


def test_names_from_outside_are_escaped() -> None:
    sides = BothSides()
    sides.pool(1, 2, app=HOSTILE, name=HOSTILE, leaked_slots={HOSTILE: 1})
    found = document(sides)
    assert found["pools"][0]["app"] == found["findings"][0]["sites"][0]["site"] == HOSTILE


def test_numbers_that_json_has_not_are_null() -> None:
    sides = BothSides()
    sides.pool(inf, nan, max=inf)
    (pool,) = document(sides)["pools"]
    assert [pool[name] for name in ("idle", "active", "max", "utilisation")] == [None] * 4


def test_minutes_that_nobody_saw_are_null() -> None:
    sides = BothSides()
    for minutes in (1, 3, 1):
        sides.pool(8, 2)
        sides.now += 60 * minutes
    sides.pool(8, 2)
    (pool,) = document(sides)["pools"]
    assert pool["active_by_minute"] == [2, 2, None, None, 2]


def test_its_size_is_bounded() -> None:
    sides = BothSides()
    for number in range(MAX_POOLS + 5):
        sides.pool(1, number % 10, name=f"pool-{number}", target=TargetId("app", str(number), "a"))
    found = document(sides)
    assert (len(found["pools"]), found["pools_left_out"]) == (MAX_POOLS, 5)
    assert found["pools"][0]["utilisation"] == 0.9


def test_it_is_served_and_not_to_be_kept() -> None:
    async def main() -> None:
        async with (
            serving() as served,
            client(served) as http,
            http.get("/api/v1/findings", headers={"Accept-Encoding": ""}) as response,
        ):
            assert response.status == 200
            assert response.content_type == "application/json"
            assert response.headers["Cache-Control"] == "no-store"
            assert (await response.json())["findings"] == []

    asyncio.run(main())
