"""The checklist: what each point says, from what is known."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from pg_pool_exporter.analysis.checklist.check import Check
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.findings.finding import Cause, Verdict
from pg_pool_exporter.model import (
    Backend,
    BouncerDatabase,
    DatabaseCounters,
    Health,
    Hold,
    LogCounts,
    SessionGroup,
    Snapshot,
    TargetId,
    TimeoutOverride,
)
from pg_pool_exporter.polling.store import TargetState
from support.agreement import shown
from support.both_sides import INFO, SETTINGS, BothSides, session_key
from support.sources import process_id

SITE = "shop/cart.py:88 hold"
TIMEOUT = "idle_in_transaction_session_timeout"
NAMES = [
    "targets", "pool_utilisation", "waiting_requests", "bouncers", "leaks", "pool_handling",
    "sessions",
    "old_sessions", "idle_in_transaction", "lock_waits", "deadlocks", "timeouts", "settings",
    "demand_and_supply", "exporter",
]  # fmt: skip


def checks(sides: BothSides) -> dict[str, Check]:
    found = sides.analysis.checks
    assert [one.name for one in found] == NAMES
    return {one.name: one for one in found}


def healthy(**settings: Any) -> BothSides:
    sides = BothSides()
    sides.pool(8, 2, waiting=0, leaked=0)
    sides.server(
        {"idle": [5.0] * 8, "active": [0.1] * 2},
        settings=replace(SETTINGS, timeouts={TIMEOUT: 300.0}, **settings),
    )
    return sides


def test_requests_that_no_pool_counts_are_unknown_not_fine() -> None:
    """As those of Go's database/sql, which has no gauge of them."""
    sides = BothSides()
    sides.pool(8, 2)
    point = checks(sides)["waiting_requests"]
    assert point.verdict is Verdict.UNKNOWN
    assert "0" not in point.figure
    sides.pool(8, 2, app="billing", waiting=0)
    point = checks(sides)["waiting_requests"]
    assert (point.verdict, point.figure) == (Verdict.FINE, "0 wait now, unknown for 1 pool")


def test_everything_is_fine() -> None:
    found = checks(healthy())
    for name in ("leaks", "timeouts"):
        point = found.pop(name)
        assert (point.verdict, point.figure) == (
            Verdict.UNKNOWN, "the pools have been watched for less than a minute"
        )  # fmt: skip
    assert {one.verdict for one in found.values()} == {Verdict.FINE}
    assert found["targets"].figure == "2 of 2 answer"
    assert found["pool_utilisation"].figure == "at most 20%, orders/main"
    assert found["sessions"].figure == "8 idle, 2 active"
    assert found["demand_and_supply"].figure == "main: 11 of 97 slots in use, pools may open 10"


def test_leaks_are_unknown_until_a_pool_was_watched_for_a_minute_or_both_sides_prove_it() -> None:
    sides = healthy()
    point = checks(sides)["leaks"]
    assert point.verdict is Verdict.UNKNOWN
    assert "until both sides have been read for 60 s" in point.evidence[0]
    watched(sides, waiting=0, leak_after=None)
    assert (checks(sides)["leaks"].verdict, checks(sides)["leaks"].figure) == (
        Verdict.UNKNOWN, "nothing known yet",
    )  # fmt: skip
    watched(sides, waiting=0)
    assert checks(sides)["leaks"].verdict is Verdict.FINE
    sides.pool(1, 1, app="billing")
    assert checks(sides)["leaks"].figure == "none known, unknown for 1 pool"


def test_a_leak_of_one_application_hides_no_other_whose_server_is_unknown() -> None:
    sides = healthy()
    sides.pool(1, 2, leaked_slots={SITE: 1})
    sides.pool(1, 1, app="billing", info=replace(INFO, host="", port=""), leak_after=None)
    point = checks(sides)["leaks"]
    assert (point.verdict, point.figure) == (
        Verdict.PROBLEM, "1 not returned, unknown for 1 pool",
    )  # fmt: skip
    assert point.evidence[-1].startswith("billing/main: no proof")
    assert "`server` of the application" in point.evidence[-1]


def test_totals_of_a_pool_that_is_gone_hide_nothing_of_the_others() -> None:
    sides = healthy()
    watched(sides, waiting=0)
    info = replace(INFO, source="closed")
    sides.pool(0, 0, process="web:1", max=None, leak_after=None, info=info)
    (pool,) = sides.analysis.fleet.pools
    assert (len(pool.processes), pool.max) == (2, 10)
    assert checks(sides)["leaks"].verdict is Verdict.FINE


@pytest.mark.parametrize(("idle", "active"), [(1, 0), (0, 1), (None, None), (0, 0)])
def test_a_pool_without_a_maximum_is_not_taken_for_a_gone_one(
    idle: float | None, active: float | None
) -> None:
    sides = healthy()
    watched(sides, waiting=0)
    sides.pool(idle, active, process="web:1", max=None, leak_after=None)
    (pool,) = sides.analysis.fleet.pools
    assert pool.max is None
    assert checks(sides)["leaks"].verdict is Verdict.UNKNOWN


def test_where_nothing_is_known_nothing_is_called_fine() -> None:
    found = checks(BothSides())
    assert found.pop("targets").verdict is Verdict.WARNING
    del found["exporter"]  # what it is given can be used
    unknown = {name for name, one in found.items() if one.verdict is Verdict.UNKNOWN}
    assert unknown == set(found)


def test_a_server_that_does_not_answer_is_not_called_a_missing_one() -> None:
    sides = BothSides()
    sides.pool(1, 1)
    assert checks(sides)["lock_waits"].figure == "no server is configured"
    sides.fail(TargetId("server", "main"), "refused")
    found = checks(sides)
    for name in ("sessions", "lock_waits", "settings", "demand_and_supply"):
        assert found[name].figure.startswith("no server answers")


@pytest.mark.parametrize("client", ["asyncpg", "psycopg2"])
def test_a_pool_that_keeps_dropped_connections_is_judged_by_its_overdue_ones(client: str) -> None:
    """Also where its server is unknown: then nothing explains them."""
    sides = BothSides()
    info = replace(INFO, client=client, host="elsewhere.example")
    watched(sides, waiting=0, info=info, leaked=None)
    assert checks(sides)["leaks"].verdict is Verdict.FINE
    sides.pool(1, 1, info=info, leaked=None, overdue={"shop.py:1 f": 1})
    assert checks(sides)["leaks"].verdict is Verdict.WARNING


def test_a_leaked_connection_idle_in_transaction_is_no_fine_transaction() -> None:
    sides = BothSides()
    sides.pool(0, 1, overdue={SITE: 1})
    sides.server({"idle_in_transaction": [130.0]})
    found = checks(sides)
    assert found["leaks"].verdict is found["idle_in_transaction"].verdict is Verdict.WARNING
    assert SITE in found["leaks"].evidence[0]
    assert found["idle_in_transaction"].evidence == (
        "orders/main on server main: connections of its leak; see leaks",
    )
    assert not found["idle_in_transaction"].remedy  # it stands with the leak


def test_a_pool_without_figures_is_unknown() -> None:
    sides = BothSides()
    sides.pool(None, nan, max=None, leak_after=None)
    found = checks(sides)
    assert found["pool_utilisation"].verdict is found["leaks"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("active", "waiting", "verdict"),
    [
        (8, 0, Verdict.FINE),
        (9, 0, Verdict.WARNING),
        (10, 0, Verdict.WARNING),
        (10, 1, Verdict.PROBLEM),
    ],
)
def test_the_use_of_a_pool(active: int, waiting: int, verdict: Verdict) -> None:
    sides = BothSides()
    for _ in range(2):
        sides.pool(0, active, waiting=waiting)
    point = checks(sides)["pool_utilisation"]
    assert point.verdict is verdict
    assert bool(point.evidence) is (verdict is not Verdict.FINE)


def test_waiting_requests_are_a_problem_before_the_reason_is_known() -> None:
    sides = BothSides()
    for _ in range(2):
        sides.pool(0, 10, waiting=3)
    point = checks(sides)["waiting_requests"]
    assert (point.verdict, point.figure) == (Verdict.PROBLEM, "3 wait now")
    assert "3 requests wait" in point.evidence[0]
    assert "why is unknown yet" in point.evidence[0]
    assert "Watch for some minutes" in point.remedy[0]


def watched(sides: BothSides, *, waiting: float, **pool: Any) -> None:
    """For three minutes, in which this number of requests wait."""
    for _ in range(4):
        sides.pool(0, 10, waiting=waiting, **pool)
        sides.now += 60
    sides.now -= 60


def test_requests_that_wait_because_of_a_leak_are_as_bad_as_the_leak() -> None:
    sides = healthy()
    watched(sides, waiting=1, held=0.0, returned=0.0, leaked_slots={SITE: 10})
    point = checks(sides)["waiting_requests"]
    assert point.verdict is Verdict.PROBLEM
    assert point.evidence == ("orders/main: 1 request waits now, because of leak (see below)",)
    assert not point.remedy  # it stands with the leak


@pytest.mark.parametrize(
    ("who", "reported"), [("orders", "lock"), ("reports", "why is unknown yet")]
)
def test_locks_are_a_reason_to_wait_for_the_application_that_waits_for_them(
    who: str, reported: str
) -> None:
    sides = BothSides()
    for _ in range(2):
        sides.pool(0, 10, waiting=3)
    groups = {session_key(who): SessionGroup(waiting=5, oldest_waiting=30.0)}
    sides.server({"active": [1.0] * 10}, groups=groups)
    (evidence,) = checks(sides)["waiting_requests"].evidence
    assert reported in evidence.partition("requests wait")[2]


def test_a_pool_that_is_too_small_is_reported_once() -> None:
    sides = healthy()
    for number in range(40):
        held = 50.0 * number
        sides.pool(0, 10, waiting=3, held=held, returned=20 * held, acquire_wait=15.0 * number)
        sides.server({"active": [0.1] * 10})
        sides.now += 5
    sides.now -= 5
    point = checks(sides)["waiting_requests"]
    (evidence,) = point.evidence
    assert "there are too few" in evidence


def test_an_application_is_held_up_by_findings_about_the_name_of_its_sessions() -> None:
    sides = healthy()
    for _ in range(2):
        sides.pool(0, 10, app="shop", waiting=2, target=TargetId("process", "shop-0", "shop"))
    sides.server({"idle_in_transaction": [130.0] * 10})
    (evidence,) = checks(sides)["waiting_requests"].evidence
    assert evidence == (
        "shop/main: 2 requests wait now, because of idle in transaction (see below)"
    )


def test_requests_that_wait_because_their_server_does_not_answer() -> None:
    sides = healthy()
    watched(sides, waiting=2, held=0.0, returned=0.0)
    sides.fail(TargetId("server", "main"), "timeout")
    point = checks(sides)["waiting_requests"]
    assert "PostgreSQL unreachable" in point.evidence[0]


def test_requests_that_waited_for_a_moment_only_are_fine() -> None:
    sides = healthy()
    watched(sides, waiting=0, held=0.0, returned=0.0)
    sides.pool(1, 9, waiting=1)
    point = checks(sides)["waiting_requests"]
    assert (point.verdict, point.figure) == (Verdict.FINE, "1 wait now")
    sides.now += 2
    sides.pool(0, 10, waiting=1)
    point = checks(sides)["waiting_requests"]
    assert point.verdict is Verdict.PROBLEM, "the pool is full"


def test_a_full_server_is_no_reason_to_wait_for_a_pool_that_has_all_it_may_have() -> None:
    settings = replace(SETTINGS, max_connections=14)
    for most, reported in ((10, "why is unknown yet"), (12, "server oversubscribed")):
        sides = BothSides()
        for _ in range(2):
            sides.pool(0, 10, waiting=3, max=most)
        sides.server({"active": [1.0] * 10}, settings=settings)
        (evidence,) = checks(sides)["waiting_requests"].evidence
        assert reported in evidence


@pytest.mark.parametrize("pools", [1, 2])
def test_suspects_of_several_pools_are_reported_once_of_their_application(pools: int) -> None:
    sides = BothSides()
    for _ in range(4):
        for number in range(pools):
            sides.pool(1, 2, name=f"p{number}", process=f"web:{number}")
        sides.server({"idle": [300.0] * 3})
        sides.now += 5
    sides.now -= 5
    suspects = [one for one in checks(sides)["leaks"].evidence if "suspected" in one]
    name = "orders/p0" if pools == 1 else "orders"
    assert [one.partition(":")[0] for one in suspects] == [name]


def test_what_is_overdue_at_a_server_that_does_not_answer_is_not_called_fine() -> None:
    sides = healthy()
    sides.now += 20
    sides.pool(1, 1, overdue={SITE: 1})
    sides.server({}, up=False)
    point = checks(sides)["leaks"]
    assert point.verdict is Verdict.UNKNOWN
    assert "orders/main: 1 checkout is overdue, and the state of its sessions" in point.evidence[0]


def test_where_the_server_has_no_session_by_its_name_the_name_may_be_wrong() -> None:
    sides = BothSides()
    sides.pool(1, 2)
    sides.server({session_key("other"): {"idle": [5.0]}})
    assert "is `application_name` right" in checks(sides)["leaks"].evidence[0]


@pytest.mark.parametrize(
    ("waiting", "oldest", "verdict"),
    [(0, None, Verdict.FINE), (5, 1.0, Verdict.FINE), (5, 3.0, Verdict.PROBLEM)],
)
def test_clients_of_a_bouncer_that_wait(
    waiting: int, oldest: float | None, verdict: Verdict
) -> None:
    sides = healthy()
    sides.bouncer(waiting, oldest_waiting=oldest)
    point = checks(sides)["waiting_requests"]
    assert (point.verdict, point.figure) == (
        verdict, f"0 wait now; at bouncers {waiting} clients wait"
    )  # fmt: skip
    if verdict is Verdict.PROBLEM:
        (evidence,) = point.evidence
        assert "shop/orders of bouncer edge: 5 clients wait, the first for 3.0 s" in evidence
        assert "20 of 20 connections are in use" in evidence
        assert "default_pool_size" in point.remedy[0]


def test_a_bouncer_s_clients_and_the_connections_that_they_keep_are_named() -> None:
    sides = healthy()
    hold = Hold("web", "10.0.0.7", "40001", 300, "127.0.0.1", "5432", 77, "orders")
    backend = Backend("orders", "idle_in_transaction", 300, 310)
    sides.server({"idle": [1.0]}, backends={77: backend})
    sides.bouncer(2, active=1, holds=(hold,), clients_read=True)
    points = checks(sides)
    assert points["bouncers"].verdict is Verdict.PROBLEM
    assert points["bouncers"].figure == "1 connection in use, 2 clients wait"
    assert (
        "shop/orders of bouncer edge: web at 10.0.0.7:40001 has a connection, idle in "
        "transaction for 5 min (process 77 of server main)" in points["bouncers"].evidence
    )
    waiting = points["waiting_requests"]
    assert waiting.verdict is Verdict.PROBLEM
    assert "because of bouncer idle in transaction (see below)" in " ".join(waiting.evidence)


def test_an_idle_session_that_nobody_waits_for_is_not_worth_a_line() -> None:
    """As each connection of an application's pool in session mode."""
    sides = healthy()
    hold = Hold("web", "10.0.0.7", "40001", 300, "127.0.0.1", "5432", 77, "orders")
    sides.server({"idle": [1.0]}, backends={77: Backend("orders", "idle", 300, None)})
    sides.bouncer(0, active=1, holds=(hold,), clients_read=True, mode="session")
    assert checks(sides)["bouncers"].evidence == ()
    assert "10.0.0.7:40001" not in shown(sides.analysis)


def test_bouncers_are_fine_without_one_and_unknown_where_none_answers() -> None:
    sides = healthy()
    assert checks(sides)["bouncers"].verdict is Verdict.FINE
    sides.unread(TargetId("bouncer", "edge"))
    assert checks(sides)["bouncers"].verdict is Verdict.UNKNOWN


def test_bouncers_are_not_fine_while_one_of_them_does_not_answer() -> None:
    sides = healthy()
    sides.bouncer(0, active=3)
    assert checks(sides)["bouncers"].verdict is Verdict.FINE
    sides.fail(TargetId("bouncer", "west"))
    point = checks(sides)["bouncers"]
    assert point.verdict is Verdict.UNKNOWN
    assert point.figure == "3 connections in use, 0 clients wait; 1 bouncer is not read"
    assert "bouncer west is not read: whether its clients wait is unknown" in point.evidence
    sides.bouncer(0, databases={"shop": BouncerDatabase(paused=True)})
    assert checks(sides)["bouncers"].verdict is Verdict.WARNING


def test_clients_of_a_bouncer_that_wait_for_an_unknown_cause_are_not_fine() -> None:
    sides = healthy()
    sides.bouncer(5)
    point = checks(sides)["bouncers"]
    assert (point.verdict, point.causes) == (Verdict.PROBLEM, (Cause.UNKNOWN,))
    assert "5 clients wait, the first for 3.0 s" in point.evidence[0]


def test_a_leak_comes_with_its_line_and_the_remedy_of_its_library() -> None:
    sides = healthy()
    sides.pool(1, 2, leaked_slots={SITE: 1})
    point = checks(sides)["leaks"]
    assert (point.verdict, point.figure) == (Verdict.PROBLEM, "1 not returned")
    assert f"Checked out at {SITE} (1)." in point.evidence[0]
    assert "putconn()" in point.remedy[0]


def test_sessions_that_cannot_be_seen_name_the_grant() -> None:
    sides = healthy()
    sides.server({"unknown": [1.0]}, hidden=True)
    found = checks(sides)
    assert found["sessions"].verdict is Verdict.WARNING
    assert "GRANT pg_monitor" in found["sessions"].remedy[0]
    for name in ("old_sessions", "idle_in_transaction", "lock_waits"):
        assert found[name].verdict is Verdict.UNKNOWN
    assert found["lock_waits"].figure.endswith("of those whose state is visible")


def test_sessions_that_a_pool_counts_and_the_server_has_not() -> None:
    sides = healthy()
    for _ in range(20):
        sides.pool(8, 2)
        sides.server({"idle": [1.0] * 7})
        sides.now += 5
    sides.now -= 5
    point = checks(sides)["old_sessions"]
    assert point.verdict is Verdict.WARNING
    assert "orders on server main: 3 connections of its pools without a session" in point.evidence


def test_how_old_the_oldest_session_is() -> None:
    sides = healthy()
    sides.server({}, groups={session_key(): SessionGroup(oldest_backend=1440.0)})
    assert checks(sides)["old_sessions"].figure == "the oldest is 24 min old"


def test_slots_lost_by_dropping_in_several_pools_explain_together_what_the_server_has_not() -> None:
    sides = healthy()
    for _ in range(20):
        sides.pool(2, 1, leaked_slots={"shop.py:1 f": 1})
        sides.pool(2, 1, name="reports", process="web:1", leaked_slots={"shop.py:2 g": 1})
        sides.server({"idle": [1.0] * 4})
        sides.now += 5
    sides.now -= 5
    point = checks(sides)["old_sessions"]
    assert point.verdict is Verdict.FINE


@pytest.mark.parametrize(("age", "verdict"), [(119.0, Verdict.FINE), (120.0, Verdict.WARNING)])
def test_transactions_in_which_nothing_happens(age: float, verdict: Verdict) -> None:
    sides = healthy()
    sides.server({"idle_in_transaction": [age]})
    point = checks(sides)["idle_in_transaction"]
    assert point.verdict is verdict
    assert point.figure.startswith("1 now, the longest for ")


@pytest.mark.parametrize(
    ("waiting", "oldest", "verdict"),
    [(4, 29.0, Verdict.FINE), (1, 30.0, Verdict.WARNING), (5, 1.0, Verdict.PROBLEM)],
)
def test_waiting_for_locks(waiting: int, oldest: float, verdict: Verdict) -> None:
    sides = healthy()
    groups = {
        session_key("orders"): SessionGroup(waiting=waiting, oldest_waiting=oldest, blocking=0),
        session_key("reports"): SessionGroup(blocking=1),
    }
    sides.server({}, groups=groups)
    point = checks(sides)["lock_waits"]
    assert (point.verdict, point.figure) == (verdict, f"{waiting} waiting, 1 blocking")
    if verdict is not Verdict.FINE:
        assert "Blocking them: reports (1)." in point.evidence[0]


def test_deadlocks_are_a_point_of_their_own() -> None:
    sides = BothSides()
    sides.server({}, databases={"shop": DatabaseCounters(deadlocks=1)})
    sides.now += 61
    sides.server({}, databases={"shop": DatabaseCounters(deadlocks=3)})
    found = checks(sides)
    assert found["deadlocks"].evidence == ("server main, database shop: 2",)
    assert found["deadlocks"].verdict is Verdict.WARNING
    assert found["lock_waits"].verdict is Verdict.FINE


def log_is_read(sides: BothSides, *, has_records: bool = True) -> None:
    counts = LogCounts(
        timeouts={"shop": {"lock": 3, "statement": 0}} if has_records else {},
        opened=None, closed=None, refused={"other": 0} if has_records else {}, read=0, lag=0,
    )  # fmt: skip
    sides.store.put(
        TargetState(
            key=TargetId("log", "main"), interval=5, snapshot=Snapshot(log=counts), taken=sides.now
        )
    )


def test_counts_of_a_log_that_is_read_no_more_are_not_fine() -> None:
    sides = BothSides()
    log_is_read(sides)
    assert checks(sides)["timeouts"].verdict is Verdict.FINE
    sides.now += 86400
    point = checks(sides)["timeouts"]
    assert (point.verdict, point.figure) == (Verdict.UNKNOWN, "no pools, and no log is read")
    watched(sides, waiting=0, leaked=0)
    point = checks(sides)["timeouts"]
    assert point.verdict is Verdict.UNKNOWN
    assert point.evidence == ("server main: its log is not read now",)
    log_is_read(sides)
    assert checks(sides)["timeouts"].verdict is Verdict.FINE


def test_a_log_without_a_record_yet_is_not_called_unread() -> None:
    sides = BothSides()
    watched(sides, waiting=0, leaked=0)
    log_is_read(sides, has_records=False)
    point = checks(sides)["timeouts"]
    assert point.verdict is Verdict.UNKNOWN
    assert point.evidence == ("server main: its log has no record yet",)


def test_requests_that_got_no_connection_and_time_outs_of_the_log() -> None:
    sides = healthy()
    for minute in range(3):
        sides.pool(0, 10, timeouts={"pool": 2.0 * minute})
        sides.now += 60
    sides.now -= 60
    log_is_read(sides)
    point = checks(sides)["timeouts"]
    assert point.verdict is Verdict.PROBLEM
    assert point.figure == "4 requests got no connection in the last 2 min"
    assert "orders/main: 4 requests got none" in point.evidence
    assert "server main, since its log is read: 3 lock" in point.evidence


@pytest.mark.parametrize(
    ("timeouts", "verdict"),
    [
        ({TIMEOUT: 300.0}, Verdict.FINE),
        ({TIMEOUT: 0.0}, Verdict.WARNING),
        ({}, Verdict.UNKNOWN),
    ],
)
def test_settings_that_are_missing(timeouts: dict[str, float], verdict: Verdict) -> None:
    sides = healthy()
    own = {TimeoutOverride(TIMEOUT, "", "batch"): 60.0}
    sides.server({}, settings=replace(SETTINGS, timeouts=timeouts, overrides=own))
    point = checks(sides)["settings"]
    assert point.verdict is verdict
    if verdict is Verdict.WARNING:
        assert f"ALTER ROLE … SET {TIMEOUT}" in point.remedy[0]
        assert point.evidence[0].endswith("; 1 database or role has its own")


def test_demand_that_is_more_than_the_supply() -> None:
    sides = healthy()
    sides.pool(8, 2, max=98)
    sides.now += 5
    sides.server({"idle": [5.0]})
    point = checks(sides)["demand_and_supply"]
    assert point.verdict is Verdict.WARNING
    assert "98" in point.evidence[0]


def test_what_does_not_answer() -> None:
    sides = healthy()
    sides.fail(TargetId("app", "web:81", "mail"), "refused")
    point = checks(sides)["targets"]
    assert (point.verdict, point.figure) == (Verdict.WARNING, "2 of 3 answer")
    assert "The last poll failed (refused): nothing answers" in point.evidence[0]


def test_its_size_is_bounded() -> None:
    sides = healthy()
    for number in range(100):
        sides.pool(0, 10, app=f"a{number}", target=TargetId("app", str(number), "a"))
    for point in checks(sides).values():
        assert len(point.evidence) <= 22


PLACE = "/run/pg-pool-exporter (user 0, group 995, mode 2770), as user 998"


def looking(sides: BothSides, place: str = PLACE) -> Check:
    """The point about targets, while sockets are looked for in a place."""
    sides.analyzer.exporter = ExporterStatus(socket_directory=place)
    return checks(sides)["targets"]


def test_a_server_without_any_application_is_not_called_fine() -> None:
    sides = BothSides()
    sides.server({"idle": [5.0]})
    point = looking(sides)
    assert (point.verdict, point.figure) == (
        Verdict.WARNING, "1 of 1 answer; no application is watched",
    )  # fmt: skip
    assert PLACE in point.evidence[0]
    assert "instrument(pool)" in point.remedy[0]


def test_nothing_at_all_is_watched() -> None:
    point = looking(BothSides())
    assert (point.verdict, point.figure) == (Verdict.WARNING, "none; no application is watched")
    assert PLACE in point.evidence[0]


def test_a_process_without_a_pool_is_not_called_fine() -> None:
    sides = BothSides()
    sides.store.put(
        TargetState(
            key=process_id("orders-0"), interval=5, health=Health(up=True, polls=1),
            snapshot=Snapshot(),
        )
    )  # fmt: skip
    point = looking(sides)
    assert (point.verdict, point.figure) == (Verdict.WARNING, "1 of 1 answer; no pool is watched")


def test_servers_alone_are_fine_where_applications_are_not_looked_for() -> None:
    sides = BothSides()
    sides.server({"idle": [5.0]})
    assert looking(sides, place="").verdict is Verdict.FINE


def test_an_application_that_is_not_read_yet_is_not_called_a_missing_one() -> None:
    sides = BothSides()
    sides.unread(process_id("orders-0"))
    assert looking(sides).verdict is Verdict.FINE
