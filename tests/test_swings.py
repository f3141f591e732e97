"""What is wrong all the time is found all the time, and what is repaired no longer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.events import Change, Known, follow
from pg_pool_exporter.analysis.evidence.lasting import LastingEvidence
from pg_pool_exporter.analysis.findings.finding import Cause, Severity
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import LeakEvidence, PoolId, PoolInfo, TargetId
from pg_pool_exporter.web.findings_json import findings_json
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
        pytest.param([(0, 3, 9, 9), (60, 0, 9, 9)], 3, id="it is interrupted"),
        pytest.param([(0, 3, 9, 9), (60, 0, 1, 9)], 1, id="all but one are back"),
        pytest.param([(0, 3, 9, 9), (60, 0, 9, 1)], 1, id="all but one are used"),
        pytest.param([(0, 3, 9, 9), (60, 0, 0, 9), (65, 0, 9, 9)], 0, id="all were back"),
        pytest.param([(0, 3, 9, 9), (60, 2, 9, 9)], 2, id="there are fewer"),
        pytest.param([(0, 3, 9, 9), (60, 0, 9, 9), (125, 0, 9, 9)], 0, id="too long ago"),
    ],
)
def test_evidence_lasts_for_a_while_as_far_as_connections_are_checked_out_and_silent(
    steps: list[tuple[float, float, float, float]], kept: float
) -> None:
    evidence = LastingEvidence()
    for now, count, checked_out, silent in steps:
        found = evidence.add(
            now, LeakEvidence(unreturned=count, unexplained=count, unexplained_in={POOL: count}),
            {POOL: checked_out}, silent, leak_after=60.0,
        )  # fmt: skip
    assert (found.unreturned, found.unexplained, found.unexplained_in) == (kept, kept, {POOL: kept})


def test_evidence_lasts_for_five_minutes_at_most() -> None:
    evidence = LastingEvidence()
    found = [
        evidence.add(now, LeakEvidence(unreturned=count), {POOL: 9}, 9, leak_after=1800.0)
        for now, count in ((0.0, 3), (300.0, 0), (305.0, 0))
    ]
    assert [one.unreturned for one in found] == [3, 3, 0]


def test_evidence_that_is_unknown_now_is_not_replaced() -> None:
    evidence = LastingEvidence()
    evidence.add(0.0, LeakEvidence(unreturned=3), {POOL: 9}, 9, leak_after=60.0)
    assert not evidence.add(5.0, LeakEvidence(), {POOL: 9}, 9, leak_after=60.0).unreturned


def test_a_proof_of_a_moment_ago_is_shown_as_past_and_programs_get_what_is_sound() -> None:
    sides = BothSides(AppConfig(name="orders", server="main"))
    said = {}
    for _ in range(60):
        _pinged(sides, state="idle", times=False)
        analysis = sides.analysis
        (proof,) = sides.evidence("unreturned").values() or (None,)
        document = json.loads(findings_json(analysis, 0.0))
        assert document["pools"][0]["unreturned"] == proof
        if analysis.findings:
            said[proof] = analysis.findings[0].evidence[0]
        sides.now += INTERVAL
    assert "in that time at least" in said[3]
    assert "; until " in said[0]


def test_a_leak_that_is_repaired_is_gone_with_the_next_poll() -> None:
    """Where the metrics prove it, and where a client reports overdue checkouts."""
    proven = BothSides(AppConfig(name="orders", server="main"))
    overdue = BothSides()
    for number in range(40):
        target = TargetId("app", "web:80", "orders")
        proven.pool(7, 3, target=target, leak_after=None, info=PGX)
        proven.server({"idle": [1000.0 + 5 * number] * 10})
        overdue.pool(2, 1, overdue={"shop/cart.py:88 hold": 1})
        overdue.server({"idle": [100.0 + 5 * number, 2.0, 2.0]})
        assert [one.cause for one in overdue.analysis.findings] == [Cause.LEAK]
        found = proven.analysis.findings
        proven.now += INTERVAL
        overdue.now += INTERVAL
    assert [one.cause for one in found] == [Cause.LEAK]
    proven.pool(6, 4, target=target, leak_after=None, info=PGX)
    proven.server({"active": [0.1] * 4, "idle": [0.5] * 6})
    overdue.pool(1, 2, overdue={"reports/nightly.py:9 run": 2})
    overdue.server({"active": [100.0] * 2, "idle": [3.0]})
    assert (proven.analysis.findings, overdue.analysis.findings) == ((), ())


def test_a_poll_that_hides_the_sessions_leaves_no_leak_behind() -> None:
    sides = BothSides()
    causes = []
    for hidden in (False, True, False):
        sides.pool(1, 2, overdue={"reports/nightly.py:9 run": 2})
        sides.server({"active": [100.0] * 2, "idle": [3.0]}, hidden=hidden)
        causes.append({one.cause for one in sides.analysis.findings})
        sides.now += INTERVAL
    assert Cause.LEAK in causes[1]
    assert (causes[0], causes[2]) == (set(), set())


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
