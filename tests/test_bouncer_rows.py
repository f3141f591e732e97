"""What consoles of several versions and products show, as rows, becomes pools and databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from pg_pool_exporter.model import BouncerDatabase, BouncerOrigin, BouncerPool, BouncerPoolKey, Hold
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Row, Rows
from pg_pool_exporter.sources.pgbouncer.databases import databases, users
from pg_pool_exporter.sources.pgbouncer.dialects import dialect
from pg_pool_exporter.sources.pgbouncer.folding import BouncerFolding, Shown
from pg_pool_exporter.sources.pgbouncer.pools import pools, together
from support.consoles import CONSOLES, Recorded, rows

SHOP = BouncerPoolKey("shop", "app")


@pytest.mark.parametrize("recorded", CONSOLES, ids=lambda one: one.id)
def test_each_console_tells_what_it_knows_and_no_more(recorded: Recorded) -> None:
    spoken = dialect(recorded.version)
    assert pools(recorded.answers, spoken) == recorded.pools
    assert databases(recorded.answers, spoken) == recorded.databases
    assert users(recorded.answers) == recorded.users


def only_pool(row: Row, version: str = "PgBouncer 1.18.0", **answers: Rows) -> BouncerPool:
    """The pool `shop`/`app` by a row of SHOW POOLS."""
    shown = Answers(
        console="pgbouncer", pools=[{"database": "shop", "user": "app", **row}], **answers
    )
    return pools(shown, dialect(version))[SHOP]


@pytest.mark.parametrize("value", ["", "-1", "NaN", "inf", "1e9", "x", "9" * 30, "\u0661", None])
def test_what_is_no_number_is_not_reported(value: str | None) -> None:
    assert only_pool({"sv_active": value}).connections == {}


def test_rows_without_a_database_or_a_user_are_passed_over() -> None:
    shown = Answers(console="pgbouncer", pools=[{"user": "app"}, {"database": "shop"}, {}])
    assert pools(shown, dialect("PgBouncer 1.18.0")) == {}


def test_a_user_s_own_pool_size_wins_over_the_database_s() -> None:
    pool = only_pool(
        {"sv_active": "1"},
        databases=rows("name | pool_size | reserve_pool_size", "shop | 20 | 5"),
        users=rows("name | pool_size | reserve_pool_size", "app |         7 | ", "other | 1 | 1"),
    )
    assert (pool.size, pool.reserve_size) == (7, 5)


@pytest.mark.parametrize(
    ("version", "users_shown", "sizes"),
    [
        # The first three are as a console repeats the size of `anna`.
        (
            "PgBouncer 1.25.2",
            "admin: anna:5 bert:5 carl:5",
            {"anna": 5, "bert": None, "carl": None},
        ),
        ("PgBouncer 1.23.1", "anna:5 bert:5 carl:7 dora:7", {"anna": 5, "carl": 7, "dora": None}),
        ("something else", "anna:5 bert:5", {"anna": 5, "bert": None}),
        # The same number as the database's: whichever holds, it is that.
        ("PgBouncer 1.25.2", "anna:20 bert:20", {"anna": 20, "bert": 20}),
        # A user without a size after one that has one: nothing is repeated.
        ("PgBouncer 1.25.2", "anna:5 bert:5 carl:", {"anna": 5, "bert": 5, "carl": 20}),
        ("PgBouncer 1.26.1", "anna:5 bert:5", {"anna": 5, "bert": 5}),
        ("PgBouncer 2.0.0", "anna:5 bert:5", {"anna": 5, "bert": 5}),
    ],
)
def test_a_size_that_may_be_another_user_s_is_not_reported(
    version: str, users_shown: str, sizes: dict[str, float | None]
) -> None:
    """Up to 1.25 PgBouncer repeats a user's size for those after it (its issue 1323)."""
    lines = [one.split(":") for one in users_shown.split()]
    answers = Answers(
        console="pgbouncer",
        pools=[{"database": "shop", "user": user, "sv_active": "1"} for user in sizes],
        databases=rows("name | pool_size", "shop | 20"),
        users=[{"name": name, "pool_size": size and f"{size:>9}"} for name, size in lines],
    )
    found = {key.user: pool.size for key, pool in pools(answers, dialect(version)).items()}
    assert found == sizes


@pytest.mark.parametrize(
    "version",
    ["1.3-b2f9c9f-Release", "1.3--Release", "Odyssey 1.5.0 (git 2febeb5) Release, compiled by GCC"],
)
def test_idle_clients_of_odyssey_do_not_wait(version: str) -> None:
    """It shows those that do only where it has a column for the idle ones, too."""
    assert only_pool({"cl_active": "1", "cl_waiting": "7"}, version).clients == {"active": 1}
    pool = only_pool({"cl_active": "1", "cl_idle": "7", "cl_waiting": "2"}, version)
    assert pool.clients == {"active": 1, "waiting": 2}


@pytest.mark.parametrize(("version", "oldest"), [("PgCat 1.1.1", None), ("PgCat 1.2.0", 3)])
def test_a_wait_that_is_long_over_is_not_that_of_the_first_that_waits(
    version: str, oldest: float | None
) -> None:
    pool = only_pool({"cl_waiting": "1", "maxwait": "3", "maxwait_us": "0"}, version)
    assert pool.oldest_waiting == oldest


def test_clients_that_wait_without_a_query_have_no_age() -> None:
    """PgBouncer shows 0, however long their logins have waited for a connection."""
    row = {"cl_waiting": "2", "maxwait": "0", "maxwait_us": "0"}
    assert only_pool(row).oldest_waiting is None
    assert only_pool({**row, "maxwait_us": "1"}).oldest_waiting == 1e-6


def test_rows_of_each_kind_count_for_how_long_they_take_to_read() -> None:
    """A bouncer with thousands of databases may have few pools."""
    one: Rows = [{}]
    few = Answers(console="pgbouncer", pools=one)
    all_kinds = Answers(
        console="pgbouncer",
        pools=one, databases=one, stats=one, servers=one, active_sockets=one, users=one,
        clients=one,
    )  # fmt: skip
    assert (few.rows, all_kinds.rows) == (1, 7)


def servers(*times: str | None, state: str = "idle") -> Rows:
    """Connections to the server in a state, since these local times."""
    return [
        {"database": "shop", "user": "app", "state": state, "request_time": time} for time in times
    ]


@pytest.mark.parametrize(
    ("now", "since", "age"),
    [
        ("2025-03-30 12:00:10 CEST", ["2025-03-30 11:59:00 CEST", "2025-03-30 12:00:00 CEST"], 70),
        ("2025-03-30 12:00:10", ["2025-03-30 12:00:00"], 10),
        ("2025-03-30 12:00:10 -03", ["2025-03-30 12:00:00 -03"], 10),
        ("2025-03-30 12:00:10 CEST", ["2025-03-30 12:00:11 CEST"], 0),
        # Summer time begins or ends: how long ago that was is not clear from an abbreviation.
        ("2025-03-30 03:00:10 CEST", ["2025-03-30 01:59:00 CET", "2025-03-30 03:00:00 CEST"], None),
        ("2025-03-30 12:00:10 CEST", [None], None),
        ("2025-03-30 12:00:10 CEST", ["yesterday"], None),
        ("2025-03-30 12:00:10 CEST", ["2025-99-99 12:00:00 CEST"], None),
        ("soon", ["2025-03-30 12:00:00 CEST"], None),
        ("2025-03-30 12:00:10 CEST", [], None),
    ],
)
def test_the_longest_idle_connection_by_the_bouncer_s_own_clock(
    now: str, since: list[str | None], age: float | None
) -> None:
    active: Rows = [{"request_time": "2025-03-30 01:00:00 CET"}, {"request_time": now}]
    pool = only_pool({}, servers=servers(*since), active_sockets=active)
    assert pool.oldest_idle == age


def read_clients(clients: Rows, servers: Rows | None = None, **more: Rows) -> BouncerPool:
    """The pool `shop`/`app` with these clients, at 10:00:30 on the console."""
    now: Rows = [{"request_time": "2026-11-24 10:00:30 UTC"}]
    answers = {"clients": clients, "servers": servers or [], "active_sockets": now, **more}
    return only_pool({}, "PgBouncer 1.18.0", **answers)


def client(
    application: str, state: str = "active", *, addr: str = "10.0.0.7", port: int = 40000,
    since: int = 30, ptr: str = "", link: str = "", user: str = "app", wait: float = 0,
) -> Row:  # fmt: skip
    """A row of SHOW CLIENTS whose last request was at a second of the minute."""
    return {
        "user": user, "database": "shop", "state": state, "addr": addr, "port": str(port),
        "request_time": f"2026-11-24 10:00:{since:02} UTC", "wait": f"{int(wait)}",
        "wait_us": f"{wait % 1 * 1e6:.0f}", "ptr": ptr, "link": link,
        "application_name": application,
    }  # fmt: skip


def test_clients_are_counted_by_application_address_and_state() -> None:
    pool = read_clients(
        [
            client("web", ptr="0x1", link="0xa", since=10),
            client("web", since=25),  # without a link: idle, as PgBouncer shows it up to 1.24
            client("web", "idle", since=20),
            client("web", "waiting", wait=2.5),
            client("web", "waiting", wait=0.5),
            client("web", "waiting_cancel_req", addr="10.0.0.8"),
            client("", addr="unix"),
            client("web", "strange"),
        ]
    )
    assert {key[:2]: dict(group.counts) for key, group in pool.origins.items()} == {
        ("web", "10.0.0.7"): {"idle": 2, "active": 1, "waiting": 2},
        ("web", "10.0.0.8"): {"idle": 0, "active": 0, "waiting": 0, "cancel": 1},
        ("", ""): {"idle": 1, "active": 0, "waiting": 0},
    }
    web = pool.origins[BouncerOrigin("web", "10.0.0.7")]
    assert (web.oldest_waiting, web.oldest_active) == (2.5, 20)
    assert web.oldest_silent["idle"] == 10
    assert pool.clients_read


def test_a_connection_s_holder_is_the_client_that_it_is_linked_to() -> None:
    pool = read_clients(
        [
            client("web", ptr="0x1", link="0xa", since=10, port=40001),
            client("jobs", ptr="0x2", link="0xb", since=5, addr="unix", port=6432),
            client("web", ptr="0x3"),
        ],
        rows(
            "user | database | state | addr | port | link | remote_pid",
            "app | shop | active | 10.0.0.1 | 5432 | 0x1 | 77",
            "app | shop | active | unix | 5432 | 0x2 | 0",
            "app | shop | idle | 10.0.0.1 | 5432 | | 78",
            "app | shop | active | 10.0.0.1 | 5432 | 0x99 | 79",
        ),
    )
    assert pool.holds == (
        Hold("jobs", "", "6432", 25, "", "5432", None, "app"),
        Hold("web", "10.0.0.7", "40001", 20, "10.0.0.1", "5432", 77, "app"),
    )


@pytest.mark.parametrize(
    ("shown", "addr", "name"),
    [
        ("web - 10.0.0.7:40000", "10.0.0.7", "web"),
        ("web - [::1]:40000", "::1", "web"),
        ("web - unix(123@db-1):40000", "unix", "web"),
        ("web - unix:40000", "unix", "web"),
        ("web - 10.0.0.9:40000", "10.0.0.7", "web - 10.0.0.9:40000"),
        ("a - b", "10.0.0.7", "a - b"),
        ("x" * 100, "10.0.0.7", "x" * 63),
    ],
)
def test_the_host_that_the_bouncer_adds_is_no_part_of_the_application(
    shown: str, addr: str, name: str
) -> None:
    pool = read_clients([client(shown, addr=addr)])
    assert [one.application for one in pool.origins] == [name]


def test_a_client_whose_user_the_bouncer_replaces_belongs_to_that_user_s_pool() -> None:
    """`user=` of a database: SHOW CLIENTS has the client's own name, SHOW POOLS the other."""
    pool = read_clients(
        [client("web", user="guest")], databases=rows("name | force_user", "shop | app")
    )
    assert sum(pool.origins[BouncerOrigin("web", "10.0.0.7", "guest")].counts.values()) == 1


def test_applications_beyond_the_limit_are_added_up_as_other() -> None:
    names = ["web"] * 5 + ["jobs"] * 3 + ["a", "b", "other"]
    pool = read_clients([client(name) for name in names])
    shown = BouncerFolding(10, 2).fold(Shown(pools={SHOP: pool}, databases={}, users={}), 0.0)
    counts = {name: one.counts["idle"] for name, one in shown.pools[SHOP].applications.items()}
    assert counts == {"web": 5, "jobs": 3, "other": 3}
    assert shown.folded == 3


def test_clients_that_are_not_read_have_an_unknown_application() -> None:
    pool = only_pool({"cl_active": "3", "cl_waiting": "1"})
    shown = BouncerFolding(10, 10).fold(Shown(pools={SHOP: pool}, databases={}, users={}), 0.0)
    applications = shown.pools[SHOP].applications
    assert {name: one.counts for name, one in applications.items()} == {
        "unknown": {"active": 3, "waiting": 1}
    }


def test_a_connection_that_is_idle_for_long_is_idle_and_one_in_use_is_not() -> None:
    active: Rows = [{"request_time": "2025-03-30 12:00:10 UTC"}]
    used = servers("2025-03-30 12:00:00 UTC", state="used")
    busy = servers("2025-03-30 11:00:00 UTC", state="active")
    assert only_pool({}, servers=used + busy, active_sockets=active).oldest_idle == 10


def test_pools_together_add_up_and_the_oldest_age_counts() -> None:
    one = BouncerPool(
        connections={"idle": 1}, clients={"waiting": 2}, oldest_waiting=3, size=20, min_size=1
    )
    other = BouncerPool(
        connections={"idle": 4, "active": 1},
        clients={},
        oldest_waiting=5,
        oldest_idle=6,
        min_size=2,
    )
    assert together([one, other]) == BouncerPool(
        connections={"idle": 5, "active": 1},
        clients={"waiting": 2},
        oldest_waiting=5,
        oldest_idle=6,
        size=None,
        min_size=3,
    )


def test_a_counter_that_is_no_number_is_unknown_not_0() -> None:
    shown = Answers(
        console="pgbouncer",
        pools=[],
        stats=rows("database | total_xact_count | total_query_count", "a | 1 | 2", "a | x | 3"),
    )
    assert databases(shown, dialect("PgBouncer 1.18.0")) == {"a": BouncerDatabase(queries=5)}


def test_a_database_without_statistics_has_counted_nothing_yet() -> None:
    shown = Answers(
        console="pgbouncer",
        pools=[],
        databases=rows("name", "shop"),
        stats=rows("database | total_xact_count", "pgbouncer | 9"),
    )
    assert databases(shown, dialect("PgBouncer 1.18.0")) == {
        "shop": BouncerDatabase(transactions=0)
    }


TABLES = ("pools", "databases", "stats", "servers", "active_sockets", "users", "clients")
BAD = (None, "", "-1", str(2**63), str(2**64 - 1), "9" * 40, "1e308", "?")


@pytest.mark.parametrize("recorded", CONSOLES, ids=lambda one: one.id)
def test_one_bad_value_makes_no_other_one_wrong(recorded: Recorded) -> None:
    """Of each column of each table: what is read is what it was, or unknown."""
    spoken = dialect(recorded.version)
    for table in TABLES:
        for answers in _damaged(recorded.answers, table):
            assert pools(answers, spoken).keys() == recorded.pools.keys()
            for key, pool in pools(answers, spoken).items():
                right = recorded.pools.get(key)
                if right is not None:
                    assert pool.connections.items() <= right.connections.items()
                    assert pool.clients.items() <= right.clients.items()
            for name, database in databases(answers, spoken).items():
                before = recorded.databases[name]
                for field in fields(database):
                    found = getattr(database, field.name)
                    assert found in (None, "", getattr(before, field.name)), field.name
            users(answers)


@pytest.mark.parametrize("recorded", CONSOLES, ids=lambda one: one.id)
def test_a_column_that_is_missing_fails_nothing(recorded: Recorded) -> None:
    spoken = dialect(recorded.version)
    for table in TABLES:
        found: Rows = getattr(recorded.answers, table) or []
        for column in {column for row in found for column in row} - {*_COUNTED_BY}:
            rest: Rows = [{name: row[name] for name in row if name != column} for row in found]
            answers = _with(recorded.answers, table, rest)
            assert pools(answers, spoken).keys() == recorded.pools.keys()
            databases(answers, spoken)
            users(answers)


def _damaged(answers: Answers, table: str) -> Iterator[Answers]:
    found: Rows | None = getattr(answers, table)
    for number, row in enumerate(found or ()):
        assert found is not None
        for column in row:
            if column in _COUNTED_BY:
                continue
            for value in BAD:
                rows = [*found[:number], {**row, column: value}, *found[number + 1 :]]
                yield _with(answers, table, rows)


def _with(answers: Answers, table: str, rows: Rows) -> Answers:
    changed: dict[str, Any] = {table: rows}
    return replace(answers, **changed)


_COUNTED_BY = ("database", "user", "name")
