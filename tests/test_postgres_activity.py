"""Rows as the server sends them: names, blockers, ages, our own sessions."""

from __future__ import annotations

from typing import Any

import pytest

from pg_pool_exporter.model import ClientKey, SessionGroup, SessionKey
from pg_pool_exporter.sources.postgres.activity import Activity, read_activity
from pg_pool_exporter.sources.postgres.server_clock import ServerClock
from pg_pool_exporter.sources.queries.rows import ActivityRow


def row(**values: Any) -> ActivityRow:
    default: dict[str, Any] = {
        "own": False, "hidden": False, "client": True, "datid": 5, "user": "role",
        "application": "app", "address": "192.0.2.7", "state": "idle", "pids": [100],
        "oldest_backend": None, "youngest_backend": None, "oldest_transaction": None,
        "waiting": 0, "blockers": None, "ages": [0.0], "clock": 1000.0,
        "transaction_ages": None, "transaction_state_ages": None, "writers": 0,
        "oldest_snapshot": None,
    }  # fmt: skip
    return ActivityRow(**{**default, **values})


def read(rows: list[ActivityRow], databases: dict[int, str], waits: dict[int, float]) -> Activity:
    return read_activity(rows, databases, waits, ServerClock())


def only(activity: Activity) -> tuple[ClientKey, SessionGroup]:
    (found,) = activity.sessions.items()
    return found


def by_application(activity: Activity) -> dict[str, SessionGroup]:
    return {key.sessions.application: group for key, group in activity.sessions.items()}


def test_our_own_sessions_are_counted_apart() -> None:
    activity = read([row(own=True, pids=[1, 2]), row()], {5: "db"}, {})
    assert activity.own == {1, 2}
    assert only(activity)[1].sessions == 1


@pytest.mark.parametrize(("datid", "name"), [(5, "db"), (None, "unknown"), (6, "unknown")])
def test_a_database_without_a_name_is_unknown(datid: int | None, name: str) -> None:
    key, _ = only(read([row(datid=datid)], {5: "db"}, {}))
    assert key.sessions.database == name


def test_a_clock_set_back_on_the_server_gives_no_negative_age() -> None:
    _, found = only(read([row(ages=[-3.0], oldest_backend=2.0)], {}, {}))
    assert found.ages == {"idle": (0.0,)}
    assert (found.oldest_backend, found.oldest_transaction) == (2, None)


def test_whoever_is_waited_for_blocks_whatever_it_is_that_waits() -> None:
    activity = read(
        [
            row(application="holder", pids=[1, 2, 3]),
            row(application="waiter", pids=[4], waiting=1, blockers="1,2"),
            row(client=False, pids=[9], waiting=1, blockers=",2,3,0"),
        ],
        {},
        {},
    )
    assert {name: one.blocking for name, one in by_application(activity).items()} == {
        "holder": 3,
        "waiter": 0,
    }


def test_of_more_waiting_sessions_than_are_asked_known_blockers_are_a_lower_bound() -> None:
    """Who blocks the others is unknown, not nobody."""
    transaction = "idle in transaction"
    activity = read(
        [
            row(application="crowd", pids=list(range(1000, 1101)), waiting=101, blockers="7"),
            row(application="known", pids=[7], state=transaction),
            row(application="known", pids=[9]),
            row(application="batch", pids=[8], state=transaction),
        ],
        {},
        {},
    )
    assert {name: one.blocking for name, one in by_application(activity).items()} == {
        "crowd": None,
        "known": 1,
        "batch": None,
    }


def test_a_hidden_session_has_no_known_wait_and_makes_it_unknown_who_blocks() -> None:
    activity = read([row(application="seen"), row(application="", hidden=True)], {}, {})
    assert {
        name: (one.waiting, one.blocking) for name, one in by_application(activity).items()
    } == {
        "seen": (0, None),
        "": (None, None),
    }


def test_a_hidden_background_process_hides_no_wait_of_a_client() -> None:
    _, found = only(read([row(), row(client=False, hidden=True)], {}, {}))
    assert (found.waiting, found.blocking) == (0, 0)


def test_the_longest_wait_of_a_group_is_that_of_its_sessions() -> None:
    rows = [row(pids=[1, 2, 3], waiting=2), row(application="other", pids=[4], waiting=1)]
    activity = read(rows, {}, {1: 5.0, 3: 7.0, 9: 100.0})
    assert [one.oldest_waiting for one in activity.sessions.values()] == [7.0, None]


KEY = SessionKey("db", "role", "app")


@pytest.mark.parametrize(
    ("rows", "ages", "hidden"),
    [
        pytest.param(
            [row(ages=[1.0, 9.0, 5.0], pids=[1, 2, 3]), row(state="active", ages=[2.0])],
            {"idle": (9.0, 5.0, 1.0), "active": (2.0,)},
            {},
            id="the longest first, by state",
        ),
        pytest.param(
            [row(state="unknown", ages=[None])],
            {"unknown": (0.0,)},
            {},
            id="one that has just begun has no state, and no age",
        ),
        pytest.param(
            [row(), row(state="unknown", hidden=True, ages=[None, None], pids=[7, 8])],
            {"idle": (0.0,)},
            {"unknown": 2},
            id="hidden sessions are counted, and have no age",
        ),
        pytest.param(
            [row(state="disabled", ages=[7.0])],
            {},
            {"disabled": 1},
            id="a session with track_activities off is hidden too",
        ),
        pytest.param(
            [row(state="invented", ages=[7.0]), row(ages=[1.0])],
            {"unknown": (7.0,), "idle": (1.0,)},
            {},
            id="a state that a later version invents is unknown",
        ),
    ],
)
def test_sessions_are_grouped_by_client_with_the_age_of_each(
    rows: list[ActivityRow], ages: dict[str, tuple[float, ...]], hidden: dict[str, int]
) -> None:
    key, group = only(read([*rows, row(own=True, pids=[1])], {5: "db"}, {}))
    assert key == ClientKey(KEY, "192.0.2.7")
    assert (group.ages, group.hidden) == (ages, hidden)


def test_the_clock_of_the_server_is_reported_also_when_nobody_else_is_there() -> None:
    assert read([row(own=True, clock=1234.5)], {}, {}).clock == 1234.5
