"""Findings: which cause is named, for what, and with which figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject, Verdict
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import (
    BouncerOrigin,
    ClientGroup,
    ClientKey,
    DatabaseCounters,
    Kind,
    OpenTransaction,
    PoolInfo,
    SessionGroup,
    TargetId,
)
from support.both_sides import INFO, INTERVAL, SETTINGS, Ages, BothSides, session_key
from support.sources import process_id

SITE = "shop/cart.py:88 hold"
OTHER = "shop/jobs.py:7 run"
Open = OpenTransaction


class Patient:
    """Both sides, and what is found."""

    def __init__(self, *apps: AppConfig) -> None:
        self.sides = BothSides(*apps)

    def live(self, seconds: float, *polls: Callable[[float], None]) -> Patient:
        """Let polls be made for so long; each gets the seconds that have passed."""
        begun = self.sides.now
        while self.sides.now - begun <= seconds:
            for poll in polls:
                poll(self.sides.now - begun)
            self.sides.now += INTERVAL
        self.sides.now -= INTERVAL
        return self

    def findings(self) -> list[Finding]:
        return list(self.sides.analysis.findings)

    def causes(self) -> list[Cause]:
        return [finding.cause for finding in self.findings()]

    def the(self, cause: Cause) -> Finding:
        """The one finding with this cause, which must be the only one at all."""
        (found,) = self.findings()
        assert found.cause is cause
        return found


def looked_at(idle: float, active: float, ages: Any, **pool: Any) -> Patient:
    """One poll of a pool and of its server."""
    patient = Patient()
    patient.sides.pool(idle, active, **pool)
    patient.sides.server(ages)
    return patient


def test_nothing_is_wrong() -> None:
    assert looked_at(9, 1, {"idle": [5.0] * 9, "active": [0.1]}).findings() == []
    assert Patient().findings() == []


def test_a_lost_slot_is_a_leak_with_its_line() -> None:
    patient = looked_at(1, 2, {"idle": [5.0, 1.0]}, leaked_slots={SITE: 1})
    leak = patient.the(Cause.LEAK)
    assert leak.severity is Severity.PROBLEM
    assert leak.subject == Subject(app="orders", pool="main", server="main")
    assert leak.sites == {SITE: 1}
    assert leak.figures["leaked_slots"] == leak.figures["held_connections"] == 1
    assert "putconn()" in leak.remedy
    assert leak.summary.startswith("1 connection ")


@pytest.mark.parametrize(
    ("ages", "causes"),
    [
        pytest.param({"idle": [90.0, 1.0]}, [Cause.LEAK], id="idle for as long: it leaks"),
        pytest.param({"active": [90.0], "idle": [70.0]}, [], id="a statement that runs"),
        pytest.param({"idle": [5.0, 1.0]}, [], id="statements all the time"),
        pytest.param(
            {"idle_in_transaction": [Open(90.0, 90.0)], "idle": [70.0]}, [Cause.LEAK],
            id="the library began a transaction by itself, and nothing happens in it",
        ),
        pytest.param(
            {"idle_in_transaction_aborted": [130.0], "idle": [1.0]}, [Cause.LEAK],
            id="nor does a transaction that has failed work",
        ),
        pytest.param(
            {"idle_in_transaction": [Open(90.0, 20.0)], "idle": [70.0]}, [],
            id="statements of one transaction follow each other",
        ),
        pytest.param(
            {"idle_in_transaction": [Open(90.0, 90.0), Open(45.0, 44.0)], "idle": [70.0]},
            [Cause.LEAK], id="another one is not overdue yet",
        ),
        pytest.param(
            {"active": [Open(90.0, 0.1)], "idle": [70.0]}, [],
            id="a short statement of a long transaction",
        ),
        pytest.param(
            {"active": [Open(0.1, 0.1)], "idle": [70.0]}, [Cause.LEAK],
            id="a short statement alone may be of another checkout",
        ),
    ],
)  # fmt: skip
def test_what_an_overdue_checkout_is_depends_on_what_its_session_does(
    ages: dict[str, list[Any]], causes: list[Cause]
) -> None:
    patient = looked_at(1, 1, ages, overdue={SITE: 1})
    assert patient.causes() == causes


@pytest.mark.parametrize("polls", [1, 3])
def test_a_long_statement_that_has_ended_since_the_pool_was_read_explains_its_checkout(
    polls: int,
) -> None:
    patient = looked_at(1, 1, {"active": [90.0], "idle": [300.0]}, overdue={SITE: 1})
    patient.sides.now += 4
    patient.sides.pool(1, 1, overdue={SITE: 1})
    for number in range(polls):
        patient.sides.now += 1
        patient.sides.server({"idle": [305.0 + number, 0.5 + number]})
    assert patient.causes() == []
    patient.sides.pool(1, 1, overdue={SITE: 1})
    patient.sides.now += 5
    patient.sides.server({"idle": [310.0, 65.0]})
    assert patient.causes() == [Cause.LEAK]


@pytest.mark.parametrize("others", [[], [1.0]])
def test_an_overdue_checkout_stays_a_leak_when_its_session_is_ended(others: list[float]) -> None:
    patient = Patient()

    def poll(passed: float) -> None:
        patient.sides.pool(len(others), 1, overdue={SITE: 1})
        silent = [90.0 + passed] if passed < 60 else []
        patient.sides.server({"idle": [*silent, *others]})

    patient.live(130, poll)
    leak = patient.the(Cause.LEAK)
    assert (leak.sites, leak.figures["held_connections"]) == ({SITE: 1}, 1)
    # Of the application: which of its pools had them is unknown.
    assert any("1 connection of orders has no session" in one for one in leak.evidence)


def test_a_leak_does_not_shrink_when_all_its_sessions_are_ended_at_once() -> None:
    patient = Patient()
    held = {SITE: 3}

    def poll(passed: float) -> None:
        patient.sides.pool(2, 3, overdue=held)
        silent = [90.0 + passed] * 3 if passed < 60 else []
        patient.sides.server({"idle": [*silent, 1.0, 1.0]})
        if passed >= 65:
            leak = patient.the(Cause.LEAK)
            assert leak.figures["held_connections"] == 3, passed

    patient.live(130, poll)


def test_a_leak_that_has_filled_its_pool_says_what_that_does_to_others() -> None:
    patient = Patient()

    def poll(passed: float) -> None:
        patient.sides.pool(0, 10, leaked_slots={SITE: 10}, timeouts={"pool": passed})

    leak = patient.live(120, poll).the(Cause.LEAK)
    assert leak.summary == "10 connections checked out and not returned; the pool is full."
    assert "120 requests got no connection in the last 2 min." in leak.evidence


def test_a_session_that_is_gone_because_its_connection_was_dropped_explains_nothing() -> None:
    patient = Patient()

    def poll(_: float) -> None:
        patient.sides.pool(1, 2, overdue={OTHER: 1}, leaked_slots={SITE: 1})
        patient.sides.server({"active": [90.0], "idle": [1.0]})

    patient.live(70, poll)
    leak = patient.the(Cause.LEAK)
    assert leak.sites == {SITE: 1}, "the other one runs a statement"
    assert leak.figures["held_connections"] == 1
    (evidence,) = leak.evidence
    assert evidence.startswith("1 connection was dropped")


def test_an_overdue_checkout_whose_sessions_nobody_sees_may_be_a_leak() -> None:
    patient = Patient()
    patient.sides.pool(1, 1, overdue={SITE: 1})
    leak = patient.the(Cause.LEAK)
    assert (leak.severity, leak.sites) == (Severity.WARNING, {SITE: 1})


def test_who_waits_for_a_server_that_does_not_answer_leaks_nothing() -> None:
    patient = looked_at(1, 1, {"idle": [90.0, 1.0]}, overdue={SITE: 1})
    patient.sides.now += 16
    patient.sides.pool(1, 1, overdue={SITE: 1})
    patient.sides.server({}, up=False)
    assert patient.causes() == [Cause.POSTGRESQL_UNREACHABLE]


@pytest.mark.parametrize(("age", "causes"), [(4.9, [Cause.LEAK]), (5.0, [])])
def test_with_a_short_threshold_a_statement_need_not_be_long_to_explain_a_checkout(
    age: float, causes: list[Cause]
) -> None:
    ages = {"active": [age], "idle": [15.0]}
    patient = looked_at(1, 1, ages, overdue={SITE: 1}, leak_after=10.0)
    assert patient.causes() == causes


def test_a_leak_that_both_sides_prove_needs_no_client() -> None:
    page = TargetId("app", "web:80", "orders")
    info = replace(INFO, client="HikariCP", host="", port="")
    patient = Patient(AppConfig(name="orders", server="main"))

    def poll(_: float) -> None:
        patient.sides.pool(1, 2, target=page, info=info, leak_after=None)
        patient.sides.server({"idle": [300.0, 200.0, 100.0]})

    patient.live(70, poll)
    leak = patient.the(Cause.LEAK)
    assert leak.figures["unreturned_connections"] == 2
    assert leak.severity is Severity.PROBLEM
    assert "try-with-resources" in leak.remedy
    assert leak.sites == {}


def of_two_pools(reports: int, state: str = "idle") -> Patient:
    """Three sessions do nothing, in a `state`; one is in a pool, and `reports` connections of
    another are out.
    """
    patient = Patient()

    def poll(_: float) -> None:
        patient.sides.pool(1, 2)
        patient.sides.pool(0, reports, name="reports", process="web:1")
        silent, others = [300.0, 200.0, 100.0], [1.0] * reports
        ages = {"idle": silent + others} if state == "idle" else {state: silent, "idle": others}
        patient.sides.server(ages)

    return patient.live(70, poll)


def test_of_several_pools_on_one_server_the_application_leaks() -> None:
    leak = of_two_pools(reports=2).the(Cause.LEAK)
    assert leak.subject == Subject(app="orders", server="main")
    assert leak.figures["unreturned_connections"] == 2


def test_an_application_that_leaks_in_transactions_is_not_reported_for_these_as_well() -> None:
    leak = of_two_pools(reports=2, state="idle_in_transaction").the(Cause.LEAK)
    assert leak.subject == Subject(app="orders", server="main")
    assert leak.figures["idle_in_transaction_sessions"] == 3
    assert "open transaction keeps its locks" in leak.remedy


def test_what_other_pools_can_not_have_is_the_pools_own_and_is_reported_once() -> None:
    own, other = of_two_pools(reports=1).findings()
    assert (own.subject.pool, own.figures["held_connections"]) == ("main", 1)
    assert (other.subject.pool, other.figures["unreturned_connections"]) == ("", 1)
    assert "Server main reports 2 sessions idle" in other.evidence[0]


def test_overdue_checkouts_of_a_pool_are_not_told_again_of_the_application() -> None:
    patient = Patient()

    def poll(_: float) -> None:
        patient.sides.pool(1, 2, overdue={SITE: 2})
        patient.sides.pool(0, 2, name="reports", process="web:1")
        patient.sides.server({"idle": [300.0, 200.0, 100.0, 1.0, 1.0]})

    leak = patient.live(70, poll).the(Cause.LEAK)
    assert (leak.subject.pool, leak.sites) == ("main", {SITE: 2})


@pytest.mark.parametrize(("down", "causes"), [(30, [Cause.UNKNOWN]), (8, [Cause.POOL_TOO_SMALL])])
def test_who_had_to_wait_for_a_server_that_was_away_has_no_pool_that_is_too_small(
    down: float, causes: list[Cause]
) -> None:
    patient = Patient()
    load = crowd(0.05)

    def poll(passed: float) -> None:
        load(patient.sides, passed)
        if 100 < passed < 100 + down:
            patient.sides.server({}, up=False)
        else:
            patient.sides.server({"active": [0.1] * 10})

    assert patient.live(200, poll).causes() == causes
    assert patient.live(600, poll).causes() == [Cause.POOL_TOO_SMALL]


def test_a_leak_that_is_estimated_is_a_warning_until_it_is_proven() -> None:
    patient = Patient(AppConfig(name="orders", server="main"))
    info = PoolInfo(client="HikariCP", source="micrometer", server="main", application="orders")

    def poll(active: float) -> Callable[[float], None]:
        def both(passed: float) -> None:
            for process, out in (("web:0", active), ("web:1", 0)):
                patient.sides.pool(
                    10 - out, out, process=process, info=info, leak_after=None,
                    target=TargetId("app", process, "orders"),
                    held=0.02 * patient.sides.now, returned=patient.sides.now,
                )  # fmt: skip
            patient.sides.server({"idle": [300.0] * 12 + [0.5] * 8})

        return both

    leak = patient.live(100, poll(1)).the(Cause.LEAK)
    assert (leak.severity, leak.amount) == (Severity.WARNING, 1)
    assert leak.figures["unexplained_connections"] == leak.figures["held_connections"] == 1
    assert leak.summary.startswith("About 1 connection ")
    evidence = " ".join(leak.evidence)
    assert "Little's law" in evidence
    assert "web:0 (1)" in evidence
    leak = patient.live(100, poll(9)).the(Cause.LEAK)
    assert (leak.severity, leak.amount) == (Severity.PROBLEM, 9)


@pytest.mark.parametrize("pools", [1, 2])
def test_a_leak_that_is_proven_by_address_tells_where_its_sessions_come_from(pools: int) -> None:
    patient = Patient(AppConfig(name="orders", server="main"))

    def poll(_: float) -> None:
        for number, (idle, active) in enumerate([(3, 7), (5, 5)]):
            target = TargetId("app", f"web-{number}:80", "orders")
            name = f"pool-{number % pools}"
            patient.sides.pool(
                idle, active, name=name, process=f"web-{number}", target=target,
                address=f"192.0.2.{number}",
            )  # fmt: skip
        ages = {"192.0.2.0": [300.0] * 6 + [1.0] * 4, "192.0.2.1": [1.0] * 10}
        patient.sides.server(
            {ClientKey(session_key(), address): {"idle": each} for address, each in ages.items()}
        )

    leak = patient.live(70, poll).the(Cause.LEAK)
    assert leak.figures["unreturned_connections"] == 3
    assert "Their sessions come from 192.0.2.0 (3)." in leak.evidence


def crowd(hold: float, **more: Any) -> Callable[[BothSides, float], None]:
    """A pool of 10 that is turned over as a whole, by checkouts of so many seconds; 3 wait."""

    def poll(sides: BothSides, passed: float) -> None:
        held = 10.0 * passed
        sides.pool(
            0, 10, waiting=3, held=held, returned=held / hold, acquire_wait=3 * passed,
            **{"timeouts": {"pool": 0}, **more},
        )  # fmt: skip

    return poll


def test_requests_that_wait_for_connections_that_come_back_soon_need_a_larger_pool() -> None:
    patient = Patient()
    poll = crowd(hold=0.2)
    patient.live(200, lambda passed: poll(patient.sides, passed))
    small = patient.the(Cause.POOL_TOO_SMALL)
    assert small.severity is Severity.PROBLEM, "requests wait at a saturated pool"
    assert small.figures["hold_seconds"] == pytest.approx(0.2)
    assert small.figures["waiting_requests"] == pytest.approx(3, rel=0.1)
    assert "max_size" in small.remedy


def test_requests_that_wait_for_connections_that_are_held_for_long_do_not() -> None:
    patient = Patient()
    poll = crowd(hold=4.0)
    patient.live(200, lambda passed: poll(patient.sides, passed))
    assert patient.the(Cause.LONG_CHECKOUTS).figures["hold_seconds"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("every", "oldest", "causes"),
    [
        (240, 0.1, [Cause.LONG_CHECKOUTS]),
        (240, None, [Cause.LONG_CHECKOUTS]),
        (240, 1.0, [Cause.UNKNOWN]),
        (5, None, [Cause.UNKNOWN]),
    ],
)
def test_a_lock_explains_long_checkouts_only_where_somebody_waits_for_a_while(
    every: int, oldest: float | None, causes: list[Cause]
) -> None:
    patient = Patient()
    poll = crowd(hold=4.0)

    def both(passed: float) -> None:
        poll(patient.sides, passed)
        waits = passed % every == 0
        groups = {session_key(): group(1, oldest) if waits else group()}
        patient.sides.server({"active": [4.0] * 10}, groups=groups)

    assert patient.live(600, both).causes() == causes


@pytest.mark.parametrize(
    ("every", "wait", "causes"),
    [
        (240, 0.1, [Cause.LONG_CHECKOUTS]),
        (240, 4.0, [Cause.UNKNOWN]),
    ],
)
def test_a_wait_at_the_bouncer_explains_long_checkouts_only_where_it_is_long(
    every: int, wait: float, causes: list[Cause]
) -> None:
    """For some minutes, as the means of checkouts are: what else is wrong then is not known."""
    patient = Patient()
    poll = crowd(hold=4.0, info=replace(INFO, port="6432"))

    def both(passed: float) -> None:
        poll(patient.sides, passed)
        waits = passed % every == 0
        clients = ClientGroup(counts={"active": 10}, oldest_waiting=wait if waits else None)
        origins = {BouncerOrigin("orders", ""): clients}
        patient.sides.bouncer(0, active=10, origins=origins, clients_read=True)

    assert patient.live(600, both).causes() == causes


def test_a_pool_that_is_full_of_leaked_connections_is_not_too_small() -> None:
    patient = Patient()

    def poll(passed: float) -> None:
        patient.sides.pool(
            0, 10, waiting=3, held=0.5 * passed, returned=50 * passed, acquire_wait=3 * passed,
            leaked_slots={SITE: 9}, timeouts={"pool": passed},
        )  # fmt: skip

    assert patient.live(200, poll).causes() == [Cause.LEAK]


def test_a_burst_of_some_seconds_is_nothing() -> None:
    patient = Patient()

    def poll(passed: float) -> None:
        full, over = 100 <= passed < 110, passed >= 110
        patient.sides.pool(
            0 if full else 9, 10 if full else 1, waiting=5 * full, held=passed + 30 * over,
            returned=10 * passed, acquire_wait=20.0 * over, timeouts={"pool": 0},
        )  # fmt: skip

    assert patient.live(300, poll).findings() == []


def test_a_trend_says_when_the_pool_will_be_full() -> None:
    patient = Patient()

    def poll(passed: float) -> None:
        leaked = passed // 300
        patient.sides.pool(1, leaked, leaked_slots={SITE: leaked} if leaked else {})

    leak = patient.live(2400, poll).the(Cause.LEAK)
    # 8 of 10 are lost after 40 minutes, one each 5 minutes.
    assert leak.figures["seconds_to_saturation"] == pytest.approx(700, abs=250)


def group(waiting: int = 0, oldest: float | None = None, blocking: int | None = 0) -> SessionGroup:
    return SessionGroup(
        ages={"active": (1.0,)}, waiting=waiting, oldest_waiting=oldest,
        blocking=blocking,
    )  # fmt: skip


def test_many_that_wait_for_a_lock_are_a_pile_up_behind_somebody() -> None:
    patient = Patient()
    patient.sides.server(
        {"active": [1.0]},
        groups={session_key(): group(6, 12.0), session_key("migration"): group(blocking=1)},
    )
    pile = patient.the(Cause.LOCK_PILE_UP)
    assert pile.severity is Severity.PROBLEM
    assert pile.subject == Subject(server="main")
    assert pile.figures["waiting_sessions"] == 6
    assert pile.evidence == (
        "Waiting: orders (6); the longest for 12 s.",
        "Blocking them: migration (1).",
    )


def test_a_pile_up_of_which_not_all_blockers_are_known_says_so() -> None:
    patient = Patient()
    groups = {
        session_key(): group(120, 12.0, blocking=None),
        session_key("known"): group(blocking=1),
    }
    patient.sides.server({"active": [1.0]}, groups=groups)
    assert "Blocking some of them: known (1)." in patient.the(Cause.LOCK_PILE_UP).evidence


def test_a_single_one_that_has_waited_for_long_is_a_warning() -> None:
    patient = Patient()
    patient.sides.server({"active": [1.0]}, groups={session_key(): group(1, 31.0)})
    assert patient.the(Cause.LOCK_PILE_UP).severity is Severity.WARNING
    patient.sides.server({"active": [1.0]}, groups={session_key(): group(1, 29.0)})
    assert patient.findings() == []


def test_deadlocks_of_the_last_quarter_of_an_hour_are_reported() -> None:
    patient = Patient()
    deadlocks = 7

    def poll(passed: float) -> None:
        count = deadlocks + (passed >= 60)
        patient.sides.server({}, databases={"shop": DatabaseCounters(deadlocks=count)})

    assert patient.live(120, poll).the(Cause.LOCK_PILE_UP).figures["deadlocks"] == 1
    deadlocks += 1
    assert patient.live(1100, lambda _: poll(0)).findings() == []


def test_an_open_transaction_names_its_application_and_the_setting_that_is_missing() -> None:
    patient = Patient()
    settings = replace(SETTINGS, timeouts={"idle_in_transaction_session_timeout": 0.0})
    patient.sides.server({"idle_in_transaction": [600.0, 5.0]}, settings=settings)
    open_one = patient.the(Cause.IDLE_IN_TRANSACTION)
    assert open_one.subject == Subject(app="orders", server="main")
    assert open_one.figures == {"sessions": 1, "oldest_seconds": 600.0}
    assert open_one.evidence == (
        "Role orders; the longest for 10 min.",
        "idle_in_transaction_session_timeout is off on the server.",
    )


def test_a_kept_connection_is_a_leak_with_its_line_and_with_what_its_transaction_holds() -> None:
    """SQLAlchemy and psycopg begin a transaction with the first statement."""
    patient = Patient()
    begun = patient.sides.now
    transaction = {"writers": 1, "oldest_snapshot": 7000, "blocking": 1, "waiting": 0}

    def poll(_: float) -> None:
        age = patient.sides.now - begun
        patient.sides.pool(0, 1, overdue={SITE: 1} if age >= 60 else {})
        ages: Ages = {"idle_in_transaction": [Open(age + 1, age)]}
        patient.sides.server(ages, held=transaction)

    patient.live(65, poll)
    leak = patient.the(Cause.LEAK)
    assert leak.severity is Severity.PROBLEM, "both sides prove it"
    assert (leak.sites, leak.sites_are_certain) == ({SITE: 1}, True)
    assert leak.figures["idle_in_transaction_sessions"] == 1
    evidence = " ".join(leak.evidence)
    for words in ("a transaction open", "locks on these rows", "7000 transactions", "blocks"):
        assert words in evidence, words
    assert "putconn()" in leak.remedy
    assert "open transaction keeps its locks" in leak.remedy


def test_a_transaction_is_no_evidence_of_a_leak_whose_session_is_outside_one() -> None:
    leak = looked_at(1, 1, {"idle": [90.0, 1.0]}, overdue={SITE: 1}).the(Cause.LEAK)
    assert "idle_in_transaction_sessions" not in leak.figures
    assert "transaction" not in leak.remedy


@pytest.mark.parametrize(
    ("silent", "causes"),
    [(2, [Cause.LEAK]), (3, [Cause.LEAK, Cause.IDLE_IN_TRANSACTION])],
)
def test_idle_in_transaction_is_left_for_sessions_without_an_overdue_checkout(
    silent: int, causes: list[Cause]
) -> None:
    """Such as that of a person at a prompt, or of a process that is not instrumented."""
    ages = {"idle_in_transaction": [130.0] * silent}
    patient = looked_at(0, 2, ages, overdue={SITE: 2})
    assert patient.causes() == causes
    if silent == 3:
        assert patient.findings()[1].figures["sessions"] == 1


def test_the_same_name_in_another_database_is_not_the_pools_session() -> None:
    patient = Patient()
    patient.sides.pool(0, 1, overdue={SITE: 1}, info=replace(INFO, application=""))
    patient.sides.server(
        {
            session_key(""): {"idle": [90.0]},
            session_key("", "cron"): {"idle_in_transaction": [500.0]},
        }
    )
    assert patient.causes() == [Cause.LEAK, Cause.IDLE_IN_TRANSACTION]


def test_only_the_line_to_blame_is_named_beside_long_statements() -> None:
    overdue = {OTHER: 5, SITE: 1}
    five_work = {"active": [100.0] * 5, "idle": [90.0]}
    unknown = looked_at(0, 6, five_work, overdue=overdue).the(Cause.LEAK)
    assert unknown.figures["held_connections"] == 1
    assert not unknown.sites_are_certain
    one_works = {"active": [100.0], "idle": [90.0] * 5}
    known = looked_at(0, 6, one_works, overdue=overdue).the(Cause.LEAK)
    assert (known.sites, known.sites_are_certain) == ({OTHER: 4}, True)


def test_a_line_that_drops_connections_is_named_where_that_of_the_kept_ones_is_unknown() -> None:
    more = "shop/search.py:55 find"
    five_work = {"active": [100.0] * 5, "idle": [90.0]}
    patient = looked_at(0, 7, five_work, overdue={OTHER: 5, more: 1}, leaked_slots={SITE: 1})
    leak = patient.the(Cause.LEAK)
    assert (leak.sites, leak.sites_are_certain) == ({SITE: 1}, True)
    assert any(OTHER in one and more in one for one in leak.evidence)


@pytest.mark.parametrize("application", ["", "orders"])
def test_a_long_statement_explains_its_checkout_with_or_without_an_application_name(
    application: str,
) -> None:
    patient = Patient()
    patient.sides.pool(1, 1, overdue={SITE: 1}, info=replace(INFO, application=application))
    patient.sides.server(
        {
            session_key(application): {"active": [100.0], "idle": [90.0]},
            session_key(application, "billing"): {"idle": [500.0]},
        }
    )
    assert patient.causes() == []


@pytest.mark.parametrize(
    ("used", "pools", "expected"),
    [
        (50, 9, []),
        (80, 9, [(Cause.SERVER_FULL, Severity.WARNING)]),
        (95, 9, [(Cause.SERVER_FULL, Severity.PROBLEM)]),
        (50, 10, [(Cause.SERVER_OVERSUBSCRIBED, Severity.WARNING)]),
        (95, 10, [(Cause.SERVER_OVERSUBSCRIBED, Severity.PROBLEM)]),
    ],
)
def test_a_server_is_full_or_may_become_so(
    used: int, pools: int, expected: list[tuple[Cause, Severity]]
) -> None:
    """Of 100 slots, 3 are reserved; each pool may have 10."""
    patient = Patient()
    for number in range(pools):
        patient.sides.pool(1, 0, process=f"web:{number}")
    patient.sides.server({"idle": [1.0]})
    patient.sides.server({"idle": [1.0]}, used=used)
    patient.sides.now += 1
    patient.sides.server({"idle": [1.0]}, used=used)
    assert [(one.cause, one.severity) for one in patient.findings()] == expected


@pytest.mark.parametrize(("limit", "count"), [(10, 8), (10, 9), (0, 0), (1, 1)])
def test_a_connection_limit_is_reached_long_before_the_server_is_full(
    limit: int, count: int
) -> None:
    patient = Patient()
    settings = replace(SETTINGS, database_limits={"shop": limit}, role_limits={"orders": limit})
    patient.sides.server({"idle": [1.0] * count}, settings=settings)
    full = limit and count / limit > 0.8
    assert patient.causes() == [Cause.CONNECTION_LIMIT] * (2 if full else 0)
    subjects = {(one.subject.database, one.subject.user) for one in patient.findings()}
    assert subjects == ({("shop", ""), ("", "orders")} if full else set())


@pytest.mark.parametrize(
    ("kind", "reason", "cause", "severity"),
    [
        ("server", "timeout", Cause.POSTGRESQL_UNREACHABLE, Severity.PROBLEM),
        ("server", "too_many_connections", Cause.SERVER_FULL, Severity.PROBLEM),
        ("server", "role_limit", Cause.CONNECTION_LIMIT, Severity.PROBLEM),
        ("server", "database_limit", Cause.CONNECTION_LIMIT, Severity.PROBLEM),
        ("app", "refused", Cause.TARGET_UNREACHABLE, Severity.WARNING),
        ("process", "timeout", Cause.TARGET_UNREACHABLE, Severity.WARNING),
    ],
)
def test_what_has_never_answered_is_reported(
    kind: Kind, reason: str, cause: Cause, severity: Severity
) -> None:
    patient = Patient()
    patient.sides.unread(TargetId(kind, "it"))
    assert patient.findings() == []
    patient.sides.fail(TargetId(kind, "it"), reason)
    found = patient.the(cause)
    assert found.severity is severity
    assert found.evidence == (f"The last poll failed ({reason}): nothing answers",)


@pytest.mark.parametrize(
    ("reason", "limited", "settings", "cause"),
    [
        ("too_many_connections", "", {"max_connections": 14}, Cause.SERVER_FULL),
        ("role_limit", "orders", {"role_limits": {"orders": 10}}, Cause.CONNECTION_LIMIT),
        ("database_limit", "shop", {"database_limits": {"shop": 10}}, Cause.CONNECTION_LIMIT),
    ],
)
def test_a_refused_login_is_evidence_of_the_limit_that_is_nearly_used_up(
    reason: str, limited: str, settings: dict[str, Any], cause: Cause
) -> None:
    patient = Patient()
    patient.sides.server({"idle": [1.0] * 9}, used=9, settings=replace(SETTINGS, **settings))
    assert patient.the(cause).severity is Severity.WARNING
    patient.sides.fail(TargetId("server", "main"), reason, limited=limited)
    found = patient.the(cause)
    assert (found.severity, found.amount) == (Severity.PROBLEM, 9)
    assert any("last poll failed" in one for one in found.evidence)


@pytest.mark.parametrize("later", [0.0, 60.0], ids=["at once", "when its last figures are old"])
def test_pools_that_may_open_too_many_explain_that_the_exporter_is_refused(later: float) -> None:
    patient = Patient()
    for number in range(10):
        patient.sides.pool(1, 0, process=f"web:{number}")
    patient.sides.server({"idle": [1.0]}, used=50)
    assert patient.the(Cause.SERVER_OVERSUBSCRIBED).severity is Severity.WARNING
    patient.sides.fail(TargetId("server", "main"), "too_many_connections")
    patient.sides.now += later
    for number in range(10):
        patient.sides.pool(1, 0, process=f"web:{number}")
    patient.sides.fail(TargetId("server", "main"), "too_many_connections")
    found = patient.the(Cause.SERVER_OVERSUBSCRIBED)
    assert (found.severity, found.amount) == (Severity.PROBLEM, 100)
    assert found.figures["failed_polls"]
    assert found.figures["pools_max_connections"] == 100
    assert found.figures["available_connections"] == 97
    assert any("last poll failed" in one for one in found.evidence)
    assert "pg_stat_activity" in found.remedy, "a slot is needed now"
    assert "PgBouncer" in found.remedy


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("process", "timeout", "does it hang"),
        ("app", "timeout", "serve its metrics page"),
        ("app", "auth", "basic_auth"),
        ("bouncer", "auth", "stats_users"),
        ("bouncer", "timeout", "admin console"),
        ("server", "auth", "pg_hba.conf"),
        ("server", "timeout", "psql"),
        ("log", "permission", "right to read it"),
    ],
)
def test_what_to_do_about_a_target_fits_its_kind(kind: Kind, reason: str, words: str) -> None:
    patient = Patient()
    patient.sides.fail(TargetId(kind, "it"), reason)
    (finding,) = patient.findings()
    assert words in finding.remedy


def test_a_target_that_flaps_is_not_told_before_nothing_is_known_any_more() -> None:
    patient = Patient()
    patient.sides.pool(1, 1)
    patient.sides.fail(TargetId("process", "orders-0", "orders"))
    assert patient.findings() == []
    patient.sides.now += 16
    assert patient.causes() == [Cause.TARGET_UNREACHABLE]


@pytest.mark.parametrize(
    ("up", "causes"),
    [(False, [Cause.POSTGRESQL_UNREACHABLE]), (True, [Cause.TARGET_UNREACHABLE])],
)
def test_a_log_is_not_reported_besides_its_server_that_does_not_answer(
    up: bool, causes: list[Cause]
) -> None:
    patient = Patient()
    patient.sides.server({}, up=up)
    patient.sides.fail(TargetId("log", "main"))
    assert patient.causes() == causes


def test_two_causes_at_once_are_two_findings_the_worse_first() -> None:
    patient = Patient()
    patient.sides.pool(1, 2, leaked_slots={SITE: 1})
    patient.sides.server({"idle": [5.0], "idle_in_transaction": [200.0]})
    assert patient.causes() == [Cause.LEAK, Cause.IDLE_IN_TRANSACTION]


@pytest.mark.parametrize("state", ["idle", "idle_in_transaction"])
def test_a_pool_that_both_sides_prove_to_leak_is_not_too_small_though_its_page_tells_no_times(
    state: str,
) -> None:
    page = TargetId("app", "web:80", "orders")
    info = replace(INFO, client="database/sql", host="", port="")
    patient = Patient(AppConfig(name="orders", server="main"))

    def poll(passed: float) -> None:
        patient.sides.pool(0, 10, waiting=4, acquire_wait=4 * passed, target=page, info=info)
        patient.sides.server({state: [3000.0] * 10})

    assert patient.live(600, poll).causes() == [Cause.LEAK]


def test_where_its_page_tells_no_times_a_pool_is_too_small_beside_its_leak() -> None:
    page = TargetId("app", "web:80", "orders")
    info = replace(INFO, client="database/sql", host="", port="")
    patient = Patient(AppConfig(name="orders", server="main"))

    def poll(passed: float) -> None:
        patient.sides.pool(0, 10, waiting=4, acquire_wait=4 * passed, target=page, info=info)
        patient.sides.server({"idle": [3000.0], "active": [0.01] * 9})

    assert set(patient.live(600, poll).causes()) == {Cause.LEAK, Cause.POOL_TOO_SMALL}


def test_an_application_with_a_server_in_each_region_leaks_where_it_leaks() -> None:
    patient = Patient()
    far = session_key()

    def poll(_: float) -> None:
        patient.sides.pool(1, 0, info=replace(INFO, host="east.example"))
        patient.sides.server({far: {"idle": [300.0]}}, host="east.example", address="192.0.2.1")
        patient.sides.pool(0, 1, process="web:1", info=replace(INFO, host="west.example"))
        patient.sides.server(
            {far: {"idle": [300.0]}}, name="west", host="west.example", address="192.0.2.2"
        )

    leak = patient.live(70, poll).the(Cause.LEAK)
    assert leak.subject == Subject(app="orders", pool="main", server="west")
    assert leak.figures["unreturned_connections"] == 1


@pytest.mark.parametrize("hidden", [True, False])
def test_a_revoked_grant_is_a_finding_that_names_it(hidden: bool) -> None:
    """Also while nobody else has a session: the next one would be hidden."""
    patient = Patient()
    settings = replace(SETTINGS, sees_all=hidden)
    patient.sides.server({"idle": [1.0]}, hidden=hidden, settings=settings)
    finding = patient.the(Cause.SESSIONS_HIDDEN)
    assert (finding.severity, finding.subject) == (Severity.WARNING, Subject(server="main"))
    assert finding.figures["hidden_sessions"] == hidden
    assert "GRANT pg_monitor" in finding.remedy
    points = {one.name: one.verdict for one in patient.sides.analysis.checks}
    assert points["sessions"] is Verdict.WARNING
    assert points["idle_in_transaction"] is points["lock_waits"] is Verdict.UNKNOWN


def test_sessions_that_are_not_tracked_need_a_setting_and_no_grant() -> None:
    patient = Patient()
    patient.sides.server({"idle": [1.0]}, hidden={"disabled": 2})
    finding = patient.the(Cause.SESSIONS_HIDDEN)
    assert "track_activities" in finding.remedy
    assert "GRANT" not in finding.remedy


@pytest.mark.parametrize(
    ("kind", "reason", "cause", "word"),
    [
        ("server", "timeout", Cause.POSTGRESQL_UNREACHABLE, "does not answer"),
        ("server", "refused", Cause.POSTGRESQL_UNREACHABLE, "does not answer"),
        ("server", "protocol", Cause.POSTGRESQL_UNREACHABLE, "can't be read"),
        ("server", "auth", Cause.LOGIN_FAILED, "can't log in"),
        ("server", "permission", Cause.LOGIN_FAILED, "can't log in"),
        ("server", "too_many_connections", Cause.SERVER_FULL, "No connection is left"),
        ("bouncer", "auth", Cause.LOGIN_FAILED, "can't log in"),
        ("bouncer", "too_many_connections", Cause.TARGET_UNREACHABLE, "can't be read"),
        ("app", "auth", Cause.LOGIN_FAILED, "can't log in"),
        ("app", "timeout", Cause.TARGET_UNREACHABLE, "does not answer"),
        ("process", "permission", Cause.TARGET_UNREACHABLE, "can't be read"),
        ("log", "permission", Cause.TARGET_UNREACHABLE, "can't be read"),
    ],
)
def test_what_has_answered_is_not_called_silent(
    kind: Kind, reason: str, cause: Cause, word: str
) -> None:
    patient = Patient()
    patient.sides.fail(TargetId(kind, "main", "orders"), reason, "because of this")
    found = patient.the(cause)
    assert word in found.summary
    assert "because of this" in found.evidence[0]
    assert found.severity is (Severity.PROBLEM if kind == "server" else Severity.WARNING)


def test_a_server_is_down_at_its_first_failure_and_others_when_their_readings_are_old() -> None:
    patient = looked_at(9, 1, {"idle": [5.0] * 9, "active": [0.1]})
    patient.sides.fail(process_id("orders-0"))
    assert patient.causes() == []
    patient.sides.server({}, up=False)
    assert patient.causes() == [Cause.POSTGRESQL_UNREACHABLE]
    patient.sides.now += 4 * INTERVAL
    assert patient.causes() == [Cause.POSTGRESQL_UNREACHABLE, Cause.TARGET_UNREACHABLE]


def test_connections_lost_inside_the_library_count_as_utilisation() -> None:
    sides = looked_at(1, 2, {"idle": [1.0]}, max=10, unaccounted=6).sides
    (pool,) = sides.analysis.fleet.pools
    assert pool.utilisation == 0.8
