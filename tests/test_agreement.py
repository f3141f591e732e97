"""Page, findings, checklist, JSON, doctor and metrics say the same at every moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.analysis.findings.finding import Cause, Severity, Subject, Verdict
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import SessionGroup, TargetId
from support.agreement import disagreement, shown
from support.both_sides import INFO, INTERVAL, SETTINGS, BothSides, session_key

PAGE = TargetId("app", "web:80", "orders")
FOREIGN: dict[str, Any] = {
    "target": PAGE,
    "info": replace(INFO, client="HikariCP", source="micrometer", host="", port=""),
    "leak_after": None,
}


@pytest.mark.parametrize("pool", [{}, FOREIGN], ids=["client", "foreign"])
def test_a_full_pool_with_waiting_requests_is_a_problem_at_the_second_reading(
    pool: dict[str, Any],
) -> None:
    sides = BothSides(AppConfig(name="orders", server="main"))
    for reading in range(60):
        sides.pool(0, 5, max=5, waiting=3, **pool)
        sides.server({"idle": [1.0 + INTERVAL * reading] * 5})
        findings = sides.analysis.findings
        assert disagreement(sides.analysis) is None
        if reading:
            assert findings[0].severity is Severity.PROBLEM, reading
            assert findings[0].subject.app == "orders"
            assert "Nothing is wrong" not in shown(sides.analysis)
        sides.now += INTERVAL
    assert findings[0].cause is Cause.LEAK, "the cause is refined later"


def test_an_unknown_cause_is_called_unknown_with_what_is_seen() -> None:
    sides = BothSides()
    for _ in range(2):
        sides.pool(0, 5, max=5, waiting=3)
        sides.server({"active": [0.1] * 4, "idle": [0.2]})
        sides.now += INTERVAL
    (finding,) = sides.analysis.findings
    assert (finding.cause, finding.subject) == (
        Cause.UNKNOWN, Subject(app="orders", pool="main", server="main")
    )  # fmt: skip
    assert finding.figures["waiting_requests"] == 3
    assert any("4 active" in one for one in finding.evidence)


def test_one_reading_of_a_full_pool_is_no_finding_and_not_fine() -> None:
    sides = BothSides()
    sides.pool(0, 5, max=5, waiting=3)
    assert not sides.analysis.findings
    points = {one.name: one.verdict for one in sides.analysis.checks}
    assert points["waiting_requests"] is Verdict.UNKNOWN


def test_requests_that_got_no_connection_are_a_problem_everywhere() -> None:
    sides = BothSides()
    for reading in range(20):
        sides.pool(5, 5, waiting=0, timeouts={"pool": reading})
        sides.now += INTERVAL
    assert disagreement(sides.analysis) is None
    (finding,) = sides.analysis.findings
    assert (finding.cause, finding.severity) == (Cause.UNKNOWN, Severity.PROBLEM)


def test_what_makes_requests_wait_at_a_full_pool_is_a_problem() -> None:
    sides = BothSides()
    for _ in range(3):
        sides.pool(0, 5, max=5, waiting=3)
        sides.server({"idle_in_transaction": [130.0] * 5})
        sides.now += INTERVAL
    (finding,) = sides.analysis.findings
    assert (finding.cause, finding.severity) == (Cause.IDLE_IN_TRANSACTION, Severity.PROBLEM)


def test_a_bouncer_whose_clients_wait_is_a_finding() -> None:
    sides = BothSides()
    sides.bouncer(5)
    (finding,) = sides.analysis.findings
    assert finding.subject.target == TargetId("bouncer", "edge")
    assert disagreement(sides.analysis) is None


def test_the_page_shows_what_the_checklist_warns_of() -> None:
    sides = BothSides()
    sides.pool(1, 9)
    assert not sides.analysis.findings
    assert "Nothing is wrong" not in shown(sides.analysis)
    assert "pool utilisation" in shown(sides.analysis)


AGES = st.lists(st.sampled_from([0.1, 5.0, 31.0, 70.0, 130.0]), max_size=5)
STATES = st.fixed_dictionaries(
    {}, optional={"idle": AGES, "active": AGES, "idle_in_transaction": AGES}
)
POOLS = st.fixed_dictionaries(
    {
        "idle": st.integers(0, 5),
        "active": st.sampled_from([None, 0, 1, 4, 5]),
        "waiting": st.sampled_from([None, 0, 1, 3]),
    },
    optional={
        "overdue": st.just({"a.py:1 f": 1}),
        "leaked_slots": st.just({"a.py:2 g": 1}),
        "max": st.sampled_from([5, None]),
        "acquire_wait": st.sampled_from([0.0, 1000.0]),
    },
)
SERVERS = st.fixed_dictionaries(
    {"sessions": STATES, "up": st.booleans(), "hidden": st.booleans()},
    optional={
        "used": st.sampled_from([5, 85, 96]),
        "waiting": st.sampled_from([0, 1, 6]),
        "limit": st.sampled_from([1, 5]),
    },
)
READINGS = st.lists(
    st.tuples(POOLS, SERVERS, st.integers(0, 1), st.booleans(), st.sampled_from([5, 30, 61])),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(READINGS, st.booleans())
def test_they_agree_whatever_is_read(readings: list[Any], foreign: bool) -> None:
    sides = BothSides(AppConfig(name="orders", server="main"))
    failed = 0
    for pool, server, failing, bouncer, pause in readings:
        failed += failing
        values = {"max": 5, **pool, **(FOREIGN if foreign else {})}
        sides.pool(values.pop("idle"), values.pop("active"), timeouts={"pool": failed}, **values)
        made = dict(server)
        waiting, limit = made.pop("waiting", 0), made.pop("limit", 0)
        groups = {session_key(): SessionGroup(waiting=waiting, oldest_waiting=31.0)}
        limits = {"orders": limit} if limit else {}
        sides.server(
            made.pop("sessions"), groups=groups, settings=replace(SETTINGS, role_limits=limits),
            **made,
        )  # fmt: skip
        if bouncer:
            sides.bouncer(2)
        assert disagreement(sides.analysis) is None
        assert not sides.analysis.failed
        worst = max(one.verdict for one in sides.analysis.checks)
        title = "fine" if worst is Verdict.UNKNOWN else worst.title
        assert f'class="overview {title}"' in shown(sides.analysis)
        sides.now += pause


def test_a_finding_that_only_another_point_has_no_room_for_is_a_disagreement() -> None:
    sides = BothSides()
    sides.pool(5, 5, overdue={"shop/cart.py:88 hold": 1})
    analysis = sides.analysis
    assert [one.cause for one in analysis.findings] == [Cause.LEAK]
    assert disagreement(analysis) is None
    shown_elsewhere = tuple(
        replace(one, verdict=Verdict.WARNING, evidence=("bouncer edge", "3 more"))
        if one.name == "bouncers"
        else replace(one, evidence=("shop/cart.py:88 hold", "and more"))
        for one in analysis.checks
    )
    assert disagreement(replace(analysis, checks=shown_elsewhere)) == (
        "doctor says nothing of ['orders/main']"
    )
