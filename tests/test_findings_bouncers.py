"""What is found at a bouncer, and what a healthy one that looks alike does not have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity
from pg_pool_exporter.analysis.findings.wording import spell
from pg_pool_exporter.model import (
    Backend,
    BouncerDatabase,
    BouncerOrigin,
    BouncerPool,
    BouncerPoolKey,
    BouncerUser,
    ClientGroup,
    Hold,
)
from support.both_sides import INFO, BothSides

SIZE = 20
WAIT = {"oldest_waiting": 3.0}
Doing = tuple[str, float]
"""What a session does, and for how many seconds."""


def bouncer(
    sides: BothSides,
    doing: Iterable[Doing],
    *,
    waiting: float = 5,
    mode: str = "transaction",
    application: str = "web",
    known: bool = True,
    role: str = "orders",
    **more: Any,
) -> None:
    """A bouncer with one pool, and what the sessions of its connections do."""
    doing = list(doing)
    holds = tuple(
        Hold(application, "10.0.0.7", str(40000 + pid), seconds, "127.0.0.1", "5432", pid, role)
        for pid, (_, seconds) in enumerate(doing, 1)
    )
    backends = {
        pid: Backend(role, state, seconds, None if state == "idle" else seconds)
        for pid, (state, seconds) in enumerate(doing, 1)
    }
    sides.server({"idle": [1.0]}, backends=backends if known else {})
    group = ClientGroup(counts={"active": len(doing), "waiting": waiting, "idle": 0})
    pool = {
        "oldest_waiting": 3.0 if waiting else None,
        "mode": mode,
        "holds": holds,
        "clients_read": True,
        "origins": {BouncerOrigin(application, "10.0.0.7"): group},
    }
    sides.bouncer(waiting, active=len(doing), **{**pool, **more})


def found(sides: BothSides) -> list[Finding]:
    """All that is found at the bouncer."""
    return [one for one in sides.analysis.findings if one.subject.target is not None]


def only(sides: BothSides) -> Finding:
    """The only finding at the bouncer."""
    (finding,) = found(sides)
    return finding


BUSY = [("active", 0.01), ("active", 0.02)] * (SIZE // 2)
FORGOTTEN = [("idle_in_transaction", 300.0)] * 12 + [("active", 0.01)] * 8
LONG = [("active", 9.0)] * 15 + [("active", 0.01)] * 5
KEPT = [("idle", 300.0)] * SIZE


@pytest.mark.parametrize(
    ("doing", "mode", "cause"),
    [
        (BUSY, "transaction", Cause.BOUNCER_POOL_TOO_SMALL),
        (BUSY, "statement", Cause.BOUNCER_POOL_TOO_SMALL),
        (LONG, "transaction", Cause.BOUNCER_LONG_TRANSACTIONS),
        (FORGOTTEN, "transaction", Cause.BOUNCER_IDLE_IN_TRANSACTION),
        (FORGOTTEN, "session", Cause.BOUNCER_IDLE_IN_TRANSACTION),
        (KEPT, "session", Cause.BOUNCER_SESSION_HELD),
        # One that works for long among many that do not is no reason for the others to wait.
        ([("active", 9.0), *BUSY[1:]], "transaction", Cause.BOUNCER_POOL_TOO_SMALL),
        # Between the statements of a transaction that goes on.
        ([("idle_in_transaction", 0.1)] * SIZE, "transaction", Cause.BOUNCER_POOL_TOO_SMALL),
    ],
)
def test_the_reason_why_clients_wait_is_what_the_others_do(
    doing: list[Doing], mode: str, cause: Cause
) -> None:
    sides = BothSides()
    bouncer(sides, doing, mode=mode)
    finding = only(sides)
    assert (finding.cause, finding.severity) == (cause, Severity.PROBLEM)
    assert str(finding.subject) == "shop/orders of bouncer edge"
    assert finding.remedy


@pytest.mark.parametrize(
    ("doing", "mode"),
    [
        (BUSY, "transaction"),
        (LONG, "transaction"),
        (KEPT, "session"),
        ([("idle_in_transaction", 20.0)] * SIZE, "transaction"),
    ],
)
def test_nothing_is_found_where_nobody_waits(doing: list[Doing], mode: str) -> None:
    """In session mode the idle connections of an application's pool look like this."""
    sides = BothSides()
    bouncer(sides, doing, mode=mode, waiting=0)
    assert found(sides) == []


def test_a_wait_for_a_moment_is_no_finding() -> None:
    sides = BothSides()
    bouncer(sides, BUSY, oldest_waiting=0.2)
    assert found(sides) == []


@pytest.mark.parametrize(
    ("mode", "causes"),
    [("session", [Cause.UNKNOWN]), ("transaction", [Cause.BOUNCER_POOL_TOO_SMALL])],
)
def test_a_session_that_has_done_nothing_for_a_moment_has_not_come_back(
    mode: str, causes: list[Cause]
) -> None:
    sides = BothSides()
    bouncer(sides, [("idle", 2.0)] * SIZE, mode=mode)
    assert [one.cause for one in found(sides)] == causes


@pytest.mark.parametrize(
    ("mean", "cause"),
    [(4.0, Cause.BOUNCER_LONG_TRANSACTIONS), (0.1, Cause.BOUNCER_POOL_TOO_SMALL)],
)
def test_where_all_have_just_begun_the_transactions_before_them_tell(
    mean: float, cause: Cause
) -> None:
    sides = BothSides()
    bouncer(sides, BUSY, databases={"shop": BouncerDatabase(mean_transaction=mean)})
    assert only(sides).cause is cause


def test_a_forgotten_transaction_is_named_with_application_address_and_line() -> None:
    """Before anybody waits: in transaction mode nobody else gets its connection."""
    sides = BothSides()
    sides.pool(0, 3, app="web", info=INFO)
    bouncer(sides, [("idle_in_transaction", 200.0), ("active", 0.1)], waiting=0)
    finding = only(sides)
    assert (finding.cause, finding.severity) == (
        Cause.BOUNCER_IDLE_IN_TRANSACTION, Severity.WARNING,
    )  # fmt: skip
    assert finding.subject.app == "web"
    assert "web keeps 1 connection of 20 to the server idle in transaction" in finding.summary
    evidence = " ".join(finding.evidence)
    assert "10.0.0.7:40001" in evidence
    assert "shop/db.py:3 <module>" in evidence
    assert "idle_transaction_timeout" in finding.remedy


def test_of_an_application_with_two_pools_both_lines_are_named() -> None:
    sides = BothSides()
    lines = {"cache": "cache.py:7 connect", "main": "orders.py:3 engine"}
    for name, line in lines.items():
        sides.pool(0, 3, app=f"web-{name}", name=name, info=replace(INFO, application="web"),
                   instances={line: 1.0})  # fmt: skip
    bouncer(sides, [("idle_in_transaction", 200.0), ("active", 0.1)], waiting=0)
    evidence = " ".join(only(sides).evidence)
    assert "is made at one of cache.py:7 connect, orders.py:3 engine." in evidence


def test_two_applications_that_forget_are_two_findings() -> None:
    sides = BothSides()
    bouncer(sides, FORGOTTEN[:1], waiting=0)
    pool = sides.analysis.fleet.bouncer_pools[0].sample
    holds = [pool.holds[0], pool.holds[0]._replace(application="jobs", pid=1)]
    sides.bouncer(0, active=2, holds=tuple(holds), clients_read=True)
    assert {one.subject.app for one in found(sides)} == {"web", "jobs"}


@pytest.mark.parametrize("doing", [BUSY, FORGOTTEN])
def test_without_the_server_s_sessions_the_reason_is_judged_by_the_bouncer_s_clock(
    doing: list[Doing],
) -> None:
    """Whole seconds since the last request: of twelve that sent none for long it is unknown whether
    they work.
    """
    sides = BothSides()
    bouncer(sides, doing, known=False)
    long = doing is FORGOTTEN
    assert only(sides).cause is (
        Cause.BOUNCER_LONG_TRANSACTIONS if long else Cause.BOUNCER_POOL_TOO_SMALL
    )


@pytest.mark.parametrize("mode", ["session", ""])
@pytest.mark.parametrize("doing", [KEPT, LONG, BUSY])
def test_without_the_server_s_sessions_session_mode_has_no_cause(
    mode: str, doing: list[Doing]
) -> None:
    """A client that sends nothing may work, or keep its connection idle until it disconnects."""
    sides = BothSides()
    bouncer(sides, doing, mode=mode, known=False, databases={"shop": BouncerDatabase(
        mean_transaction=0.1)})  # fmt: skip
    finding = only(sides)
    assert finding.cause is Cause.UNKNOWN
    silent = spell(max(seconds for _, seconds in doing))
    assert (
        "the sessions of 20 clients that have one are not seen, the oldest of their last requests "
        f"was {silent} ago" in " ".join(finding.evidence)
    )


def test_in_session_mode_the_sessions_that_are_seen_tell_if_they_are_most() -> None:
    sides = BothSides()
    bouncer(sides, LONG, mode="session")
    assert only(sides).cause is Cause.BOUNCER_LONG_TRANSACTIONS


@pytest.mark.parametrize("doing", [KEPT, LONG, BUSY])
def test_pools_that_are_added_up_have_no_cause_in_common(doing: list[Doing]) -> None:
    """Nor is there a pool `other` whose size could be changed."""
    sides = BothSides()
    bouncer(sides, doing, mode="session", database="other", user="other", size=20)
    finding = only(sides)
    assert finding.cause is Cause.UNKNOWN
    assert "other = " not in finding.remedy


def test_a_forgotten_transaction_is_found_in_pools_that_are_added_up() -> None:
    sides = BothSides()
    bouncer(sides, FORGOTTEN, database="other", user="other")
    causes = {one.cause: one.severity for one in found(sides)}
    assert causes == {
        Cause.BOUNCER_IDLE_IN_TRANSACTION: Severity.WARNING, Cause.UNKNOWN: Severity.PROBLEM
    }  # fmt: skip


def test_a_process_id_that_belongs_to_another_role_is_not_the_backend() -> None:
    sides = BothSides()
    bouncer(sides, FORGOTTEN, waiting=0)
    backends = {pid: Backend("other", "idle_in_transaction", 300, 300) for pid in range(1, 21)}
    sides.server({"idle": [1.0]}, backends=backends)
    assert found(sides) == []


def test_the_server_is_found_by_its_sessions_where_the_bouncer_has_another_address_for_it() -> None:
    sides = BothSides()
    bouncer(sides, FORGOTTEN, waiting=0)
    pool = sides.analysis.fleet.bouncer_pools[0].sample
    elsewhere = tuple(
        one._replace(server_host="10.9.9.9", server_port="6000") for one in pool.holds
    )
    sides.bouncer(0, active=20, holds=elsewhere, clients_read=True)
    assert only(sides).cause is Cause.BOUNCER_IDLE_IN_TRANSACTION
    sides.server({"idle": [1.0]}, name="twin", port="7777", backends={})
    assert only(sides).cause is Cause.BOUNCER_IDLE_IN_TRANSACTION


@pytest.mark.parametrize(
    ("count", "application", "address", "is_found"),
    [
        (1, "", "", False),
        (2, "psql", "10.0.0.7", False),  # the client's address, not the bouncer's
        (3, "", "", True),
        (1, "web", "", True),
        (1, "web - 10.0.0.7:40001", "", True),
        (1, "website", "", False),
        (1, "", "10.0.0.5", True),
    ],
)
def test_one_process_id_is_no_proof_that_a_session_is_the_bouncer_s(
    count: int, application: str, address: str, is_found: bool
) -> None:
    """In containers process ids are small, and the roles of many servers have the same names."""
    sides = BothSides()
    holds = tuple(
        Hold("web", "10.0.0.7", str(40000 + pid), 300.0, "10.9.9.9", "5432", pid, "orders")
        for pid in range(1, count + 1)
    )
    forgotten = Backend("orders", "idle_in_transaction", 300.0, 300.0, application, address)
    sides.server({"idle": [1.0]}, backends={hold.pid: forgotten for hold in holds})
    sides.bouncer(
        0, active=count, mode="transaction", holds=holds, clients_read=True, address="10.0.0.5"
    )
    causes = [one.cause for one in found(sides)]
    assert causes == [Cause.BOUNCER_IDLE_IN_TRANSACTION] * is_found


def test_a_bouncer_without_application_names_is_not_told_by_their_absence() -> None:
    sides = BothSides()
    hold = Hold("", "10.0.0.7", "40001", 300.0, "10.9.9.9", "5432", 77, "orders")
    backend = Backend("orders", "idle_in_transaction", 300.0, 300.0, "", "")
    sides.server({"idle": [1.0]}, backends={77: backend})
    sides.bouncer(
        0, active=1, mode="transaction", holds=(hold,), clients_read=True, host="", address=""
    )
    assert found(sides) == []


def test_a_session_from_this_machine_is_not_told_by_its_address_to_be_the_bouncer_s() -> None:
    sides = BothSides()
    hold = Hold("web", "10.0.0.7", "40001", 300.0, "10.9.9.9", "5432", 77, "orders")
    backend = Backend("orders", "idle_in_transaction", 300.0, 300.0, "psql", "127.0.0.1")
    sides.server({"idle": [1.0]}, backends={77: backend})
    sides.bouncer(0, active=1, mode="transaction", holds=(hold,), clients_read=True)
    assert found(sides) == []


def test_a_pool_without_connections_whose_clients_wait_has_no_server() -> None:
    sides = BothSides()
    group = ClientGroup(counts={"waiting": 4}, oldest_silent={"waiting": 9.0})
    sides.bouncer(
        4, active=0, oldest_waiting=None, clients_read=True,
        origins={BouncerOrigin("web", ""): group},
        connections={"active": 0, "idle": 0, "login": 1},
    )  # fmt: skip
    finding = only(sides)
    assert finding.cause is Cause.BOUNCER_SERVER_UNAVAILABLE
    assert "1 connection logs in." in finding.evidence


def test_a_server_that_gives_a_pool_no_more_connections_is_why_its_clients_wait() -> None:
    """What those do that have one of the few connections is no reason: the pool has room."""
    sides = BothSides()
    bouncer(sides, KEPT[:2], mode="session", connections={"active": 2, "idle": 0, "login": 1})
    finding = only(sides)
    assert finding.cause is Cause.BOUNCER_SERVER_UNAVAILABLE
    assert "no more than 2 of 20" in finding.summary
    assert "1 connection logs in." in finding.evidence


def test_a_forgotten_transaction_in_a_pool_with_room_is_not_why_its_clients_wait() -> None:
    sides = BothSides()
    bouncer(sides, FORGOTTEN[:2], connections={"active": 2, "idle": 0})
    assert {one.cause: one.severity for one in found(sides)} == {
        Cause.BOUNCER_IDLE_IN_TRANSACTION: Severity.WARNING,
        Cause.BOUNCER_SERVER_UNAVAILABLE: Severity.PROBLEM,
    }


def test_a_pool_with_room_and_idle_connections_has_no_cause() -> None:
    sides = BothSides()
    bouncer(sides, BUSY[:2], connections={"active": 2, "idle": 3})
    assert only(sides).cause is Cause.UNKNOWN


LIMITS: list[tuple[str, dict[str, Any], BouncerPoolKey]] = [
    (
        "max_db_connections",
        {"databases": {"shop": BouncerDatabase(connections=10, max_connections=10)}},
        BouncerPoolKey("shop", "reports"),
    ),
    (
        "max_user_connections",
        {"users": {"orders": BouncerUser(connections=10, max_connections=10)}},
        BouncerPoolKey("archive", "orders"),
    ),
]


@pytest.mark.parametrize(("setting", "limit", "other"), LIMITS)
@pytest.mark.parametrize("own", [0, 2])
def test_a_limit_whose_connections_other_pools_have_is_named_with_these_pools(
    setting: str, limit: dict[str, Any], other: BouncerPoolKey, own: int
) -> None:
    """The server is not asked for more, so it is not the server; nor is it what own clients do."""
    sides = BothSides()
    beside = {other: BouncerPool(connections={"active": 10.0 - own})}
    bouncer(
        sides, KEPT[:own], mode="session", connections={"active": own, "idle": 0}, beside=beside,
        **limit,
    )  # fmt: skip
    finding = only(sides)
    assert finding.cause is Cause.BOUNCER_POOL_TOO_SMALL
    assert f"10 of {setting} 10" in finding.summary
    assert f"{other.database}/{other.user} ({10 - own})" in " ".join(finding.evidence)
    assert setting in finding.remedy


@pytest.mark.parametrize(("setting", "limit", "other"), LIMITS)
def test_a_limit_that_the_pool_itself_has_reached_leaves_the_cause_to_its_own_clients(
    setting: str, limit: dict[str, Any], other: BouncerPoolKey
) -> None:
    sides = BothSides()
    beside = {other: BouncerPool(connections={"active": 2.0})}
    bouncer(
        sides, KEPT[:8], mode="session", connections={"active": 8, "idle": 0}, beside=beside,
        **limit,
    )  # fmt: skip
    finding = only(sides)
    assert finding.cause is Cause.BOUNCER_SESSION_HELD
    assert f"10 of {setting} 10" in " ".join(finding.evidence)


def test_connections_of_pools_that_are_not_shown_are_counted_as_others() -> None:
    sides = BothSides()
    bouncer(sides, [], connections={"active": 0, "idle": 0}, **LIMITS[0][1])
    assert "others (10)" in " ".join(only(sides).evidence)


@pytest.mark.parametrize("paused", [None, False])
def test_a_pause_that_the_bouncer_does_not_show_may_be_why_there_is_no_connection(
    paused: bool | None,
) -> None:
    """PgBouncer before 1.19, of which all is paused."""
    sides = BothSides()
    bouncer(sides, [], connections={"active": 0, "idle": 0}, paused=paused)
    finding = only(sides)
    assert finding.cause is Cause.BOUNCER_SERVER_UNAVAILABLE
    assert ("`RESUME`" in " ".join(finding.evidence)) == (paused is None)


def test_a_first_login_that_has_just_come_is_no_finding() -> None:
    sides = BothSides()
    group = ClientGroup(counts={"waiting": 1}, oldest_silent={"waiting": 1.0})
    sides.bouncer(
        1, active=0, oldest_waiting=None, connections={"active": 0, "login": 1},
        clients_read=True, origins={BouncerOrigin("web", ""): group},
    )  # fmt: skip
    assert found(sides) == []


def test_a_paused_database_is_why_its_clients_wait() -> None:
    sides = BothSides()
    sides.bouncer(0, active=0, databases={"shop": BouncerDatabase(paused=True)})
    assert only(sides).severity is Severity.WARNING
    sides.bouncer(3, active=0, databases={"shop": BouncerDatabase(paused=True, disabled=False)})
    finding = only(sides)
    assert (finding.cause, finding.severity) == (Cause.BOUNCER_PAUSED, Severity.PROBLEM)
    assert "`RESUME shop`" in finding.remedy
    sides.bouncer(0, active=0, databases={"shop": BouncerDatabase(disabled=True)})
    assert "`ENABLE shop`" in only(sides).remedy
    sides.bouncer(3, active=0, paused=True)
    assert "`RESUME`" in only(sides).remedy


@pytest.mark.parametrize(
    ("name", "quoted"), [("Shop_1", "Shop_1"), ("my-shop", '"my-shop"'), ('a"b', '"a""b"')]
)
def test_a_database_is_quoted_where_the_console_needs_it(name: str, quoted: str) -> None:
    sides = BothSides()
    sides.bouncer(3, active=0, database=name, databases={name: BouncerDatabase(paused=True)})
    assert f"`RESUME {quoted}`" in only(sides).remedy
    sides.bouncer(0, active=0, databases={name: BouncerDatabase(disabled=True)})
    assert f"`ENABLE {quoted}`" in only(sides).remedy


@pytest.mark.parametrize(
    ("clients", "severity"), [(80, None), (81, Severity.WARNING), (96, Severity.PROBLEM)]
)
@pytest.mark.parametrize(
    ("of", "setting"),
    [
        ("bouncer", "max_client_conn"),
        ("databases", "max_db_client_connections"),
        ("users", "max_user_client_connections"),
    ],
)
def test_limits_of_clients_that_are_nearly_reached(
    clients: float, severity: Severity | None, of: str, setting: str
) -> None:
    samples: dict[str, dict[str, Any]] = {
        "bouncer": {"connected": clients, "max_clients": 100},
        "databases": {"databases": {"shop": BouncerDatabase(clients=clients, max_clients=100)}},
        "users": {"users": {"orders": BouncerUser(clients=clients, max_clients=100)}},
    }
    sample = samples[of]
    sides = BothSides()
    sides.bouncer(0, **sample)
    if severity is None:
        assert found(sides) == []
        return
    finding = only(sides)
    assert (finding.cause, finding.severity) == (Cause.BOUNCER_TOO_MANY_CLIENTS, severity)
    assert f"`SET {setting} =" in finding.remedy


@pytest.mark.parametrize(
    ("logins", "transactions", "is_found"),
    [(50, 60, True), (50, 500, False), (5, 5, False), (None, 500, False)],
)
def test_clients_that_log_in_for_each_transaction(
    logins: float | None, transactions: float, is_found: bool
) -> None:
    sides = BothSides()
    database = BouncerDatabase(login_rate=logins, transaction_rate=transactions)
    sides.bouncer(0, databases={"shop": database})
    assert [one.cause for one in found(sides)] == [Cause.BOUNCER_LOGINS] * is_found


def test_clients_that_get_no_connection_log_in_again_and_again_for_that_reason() -> None:
    sides = BothSides()
    database = BouncerDatabase(login_rate=50, transaction_rate=0)
    sides.bouncer(5, active=0, connections={"login": 1}, databases={"shop": database})
    assert only(sides).cause is Cause.BOUNCER_SERVER_UNAVAILABLE


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "`SET default_pool_size = 40`"),
        (
            {"databases": {"shop": BouncerDatabase(connections=20, max_connections=20)}},
            "max_db_connections",
        ),
        (
            {"users": {"orders": BouncerUser(connections=20, max_connections=20)}},
            "max_user_connections",
        ),
    ],
)
def test_the_remedy_names_the_limit_that_is_reached_and_what_the_server_has_left(
    more: dict[str, Any], words: str
) -> None:
    sides = BothSides()
    bouncer(sides, BUSY, **more)
    finding = only(sides)
    assert words in finding.remedy
    assert "Server main has 95 of 97 slots left." in finding.evidence
    assert "Waiting: web (5)." in finding.evidence


@pytest.mark.parametrize(
    ("database", "role", "waits", "is_explained"),
    [
        ("shop", "orders", None, True),
        ("other", "orders", 3.0, False),
        ("shop", "forced", 3.0, True),
        ("shop", "other", None, False),
    ],
)
def test_requests_of_a_pool_wait_because_of_its_bouncer(
    database: str, role: str, waits: float | None, is_explained: bool
) -> None:
    """Not for an unknown reason, and not for one of its own. The bouncer may replace the role."""
    sides = BothSides()
    info = replace(INFO, port="6432", database=database)
    group = ClientGroup(counts={"waiting": 5, "active": 20}, oldest_waiting=waits)
    for _ in range(2):
        origins = {BouncerOrigin("orders", "", "orders"): group}
        bouncer(sides, LONG, role=role, user=role, origins=origins)
        sides.pool(0, 10, waiting=5.0, info=info)
        sides.now += 5
    (pool,) = sides.analysis.fleet.pools
    expected = Cause.BOUNCER_LONG_TRANSACTIONS if is_explained else Cause.UNKNOWN
    assert [one.cause for one in pool.verdict.explanations] == [expected] * is_explained
    own = [one.cause for one in sides.analysis.findings if one.subject.target is None]
    assert own == [Cause.UNKNOWN] * (not is_explained)
