"""What is wrong all the time is found all the time, with one severity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.events import Change, Known, follow
from pg_pool_exporter.analysis.evidence.lasting import LastingEvidence
from pg_pool_exporter.analysis.finding import Cause, Severity
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import LeakEvidence, PoolId, PoolInfo, TargetId
from support.both_sides import INTERVAL, BothSides

POOL = PoolId("orders", "main", "web:0")
HIKARI = PoolInfo(client="HikariCP", source="micrometer", server="main", application="orders")
PGX = replace(HIKARI, client="pgxpool")


def _pinged(sides: BothSides, *, state: str, times: bool) -> None:
    """A pool of ten, three of them leaked; every two minutes it pings those that are idle."""
    passed = sides.now - 1000.0
    shown: dict[str, Any] = (
        {"held": 0.02 * passed, "returned": passed, "info": HIKARI} if times else {"info": PGX}
    )
    sides.pool(7, 3, target=TargetId("app", "web:80", "orders"), leak_after=None, **shown)
    pinged = [max(0.1, passed % 120.0)] * 7
    leaked = {state: [1000.0 + passed] * 3}
    sides.server({"idle": pinged + leaked.pop("idle", []), **leaked})


@pytest.mark.parametrize("times", [True, False], ids=["HikariCP", "pgxpool"])
def test_a_proof_that_every_ping_of_the_pool_interrupts_is_one_event(times: bool) -> None:
    sides = BothSides(AppConfig(name="orders", server="main"))
    known: Known = {}
    events, proofs = [], set()
    for _ in range(240):
        _pinged(sides, state="idle", times=times)
        known, new = follow(known, sides.analysis, sides.now)
        events += [(one.change, one.what.cause) for one in new]
        proofs |= {*sides.evidence("unreturned").values()}
        sides.now += INTERVAL
    assert proofs == {0, 3}, "it comes and goes"
    assert events == [(Change.APPEARED, Cause.LEAK)]


@pytest.mark.parametrize("times", [True, False], ids=["HikariCP", "pgxpool"])
def test_a_leak_in_transactions_is_not_idle_in_transaction_between_two_proofs(times: bool) -> None:
    sides = BothSides(AppConfig(name="orders", server="main"))
    causes = []
    for _ in range(240):
        _pinged(sides, state="idle_in_transaction", times=times)
        causes.append(tuple(one.cause for one in sides.analysis.findings))
        sides.now += INTERVAL
    first = causes.index((Cause.LEAK,))
    assert {*causes[first:]} == {(Cause.LEAK,)}


def test_a_leak_beside_reports_that_might_explain_it_now_and_then_is_found_all_the_time() -> None:
    sides = BothSides()
    causes = []
    for number in range(40):
        reports = [100.0] * (2 if number % 6 else 1)
        sides.pool(1, 3, overdue={"shop/cart.py:88 hold": 1, "reports/nightly.py:9 run": 1})
        sides.server({"active": reports, "idle": [300.0 + 5 * number] * (4 - len(reports))})
        causes.append([one.cause for one in sides.analysis.findings])
        sides.now += INTERVAL
    assert causes == [[Cause.LEAK]] * 40


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        pytest.param([(0, 3, 9), (60, 0, 9)], 3, id="it is interrupted"),
        pytest.param([(0, 3, 9), (60, 0, 1)], 1, id="all but one are back"),
        pytest.param([(0, 3, 9), (60, 0, 0), (65, 0, 9)], 0, id="all were back"),
        pytest.param([(0, 3, 9), (60, 2, 9)], 2, id="there are fewer"),
        pytest.param([(0, 3, 9), (60, 0, 9), (125, 0, 9)], 0, id="too long ago"),
    ],
)
def test_evidence_lasts_for_a_while_as_far_as_connections_are_checked_out(
    steps: list[tuple[float, float, float]], kept: float
) -> None:
    evidence = LastingEvidence()
    for now, count, checked_out in steps:
        found = evidence.add(
            now, LeakEvidence(unreturned=count, unexplained=count, unexplained_in={POOL: count}),
            {POOL: checked_out}, leak_after=60.0,
        )  # fmt: skip
    assert (found.unreturned, found.unexplained, found.unexplained_in) == (kept, kept, {POOL: kept})


def test_evidence_that_is_unknown_now_is_not_replaced() -> None:
    evidence = LastingEvidence()
    evidence.add(0.0, LeakEvidence(unreturned=3), {POOL: 9}, leak_after=60.0)
    assert evidence.add(5.0, LeakEvidence(), {POOL: 9}, leak_after=60.0) == LeakEvidence()


def test_one_poll_of_a_full_server_is_a_problem_for_that_poll() -> None:
    """Then an alert's `for` keeps it from firing."""
    sides = BothSides()
    severities = []
    for used in (80, 97, 80):
        sides.pool(5, 5)
        sides.server({"active": [0.2] * 5, "idle": [1.0] * 5}, used=used)
        severities += [one.severity for one in sides.analysis.findings]
        sides.now += INTERVAL
    assert severities == [Severity.WARNING, Severity.PROBLEM, Severity.WARNING]
