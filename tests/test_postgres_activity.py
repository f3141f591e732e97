"""Rows as the server sends them: names, blockers, ages, our own sessions."""

from __future__ import annotations

from typing import Any

import pytest

from pg_pool_exporter.model import Backends, ClientKey, SessionKey
from pg_pool_exporter.sources.postgres.activity import read_activity


def row(**values: Any) -> dict[str, Any]:
    default = {
        "own": False, "hidden": False, "client": True, "datid": 5, "user": "role",
        "application": "app", "address": "192.0.2.7", "state": "idle", "pids": [100],
        "oldest_backend": None, "oldest_transaction": None, "waiting": 0, "blockers": None,
        "ages": [0.0], "clock": 1000.0,
    }  # fmt: skip
    return {**default, **values}


def test_our_own_sessions_are_counted_apart() -> None:
    activity = read_activity([row(own=True, pids=[1, 2]), row()], {5: "db"}, {})
    assert activity.own == {1, 2}
    assert [one.sessions for one in activity.rows] == [1]


@pytest.mark.parametrize(("datid", "name"), [(5, "db"), (None, "unknown"), (6, "unknown")])
def test_a_database_without_a_name_is_unknown(datid: int | None, name: str) -> None:
    (found,) = read_activity([row(datid=datid)], {5: "db"}, {}).rows
    assert found.database == name


def test_a_clock_set_back_on_the_server_gives_no_negative_age() -> None:
    (found,) = read_activity([row(ages=[-3.0], oldest_backend=2.0)], {}, {}).rows
    assert (found.oldest_state, found.oldest_backend, found.oldest_transaction) == (0, 2, None)


def test_whoever_is_waited_for_blocks_whatever_it_is_that_waits() -> None:
    activity = read_activity(
        [
            row(application="holder", pids=[1, 2, 3]),
            row(application="waiter", pids=[4], waiting=1, blockers="1,2"),
            row(client=False, pids=[9], waiting=1, blockers=",2,3,0"),
        ],
        {},
        {},
    )
    assert {one.application: one.blocking for one in activity.rows} == {"holder": 3, "waiter": 0}


def test_a_hidden_session_has_no_known_wait_and_makes_it_unknown_who_blocks() -> None:
    activity = read_activity([row(application="seen"), row(application="", hidden=True)], {}, {})
    assert {one.application: (one.waiting, one.blocking) for one in activity.rows} == {
        "seen": (0, None),
        "": (None, None),
    }


def test_a_hidden_background_process_hides_no_wait_of_a_client() -> None:
    (found,) = read_activity([row(), row(client=False, hidden=True)], {}, {}).rows
    assert (found.waiting, found.blocking) == (0, 0)


def test_the_longest_wait_of_a_group_is_that_of_its_sessions() -> None:
    rows = [row(pids=[1, 2, 3], waiting=2), row(application="other", pids=[4], waiting=1)]
    activity = read_activity(rows, {}, {1: 5.0, 3: 7.0, 9: 100.0})
    assert [one.oldest_waiting for one in activity.rows] == [7.0, None]


KEY = SessionKey("db", "role", "app")


@pytest.mark.parametrize(
    ("rows", "backends"),
    [
        pytest.param(
            [row(ages=[1.0, 9.0, 5.0]), row(state="active", ages=[2.0])],
            Backends(ages={"idle": (9.0, 5.0, 1.0), "active": (2.0,)}),
            id="the longest first, by state",
        ),
        pytest.param(
            [row(state="unknown", ages=[None])],
            Backends(ages={"unknown": (0.0,)}),
            id="one that has just begun has no state, and no age",
        ),
        pytest.param(
            [row(), row(state="unknown", hidden=True, ages=[None])],
            Backends(ages={"idle": (0.0,)}, hidden=True),
            id="what can't be seen is in no state",
        ),
        pytest.param(
            [row(state="disabled", ages=[7.0])],
            Backends(ages={}, hidden=True),
            id="a session that does not tell what it does can't be seen either",
        ),
    ],
)
def test_sessions_are_told_one_by_one(rows: list[dict[str, Any]], backends: Backends) -> None:
    assert read_activity([*rows, row(own=True, pids=[1])], {5: "db"}, {}).backends == {
        ClientKey(KEY, "192.0.2.7"): backends
    }


def test_the_clock_of_the_server_is_told_also_when_nobody_else_is_there() -> None:
    assert read_activity([row(own=True, clock=1234.5)], {}, {}).clock == 1234.5
