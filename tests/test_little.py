"""Connections that Little's law leaves unexplained: by tables of readings, and of both sides."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import pytest

from pg_pool_exporter.analysis.evidence.little import (
    HoldReading,
    Unended,
    Work,
    WorkReading,
    hold_reading,
    unexplained,
    unfinished_work,
    work_of,
)
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import AppOnServer, OpenTransaction, PoolId, PoolInfo, TargetId
from support.both_sides import BothSides

KEY = AppOnServer("main", "orders")
INFO = PoolInfo(client="HikariCP", source="micrometer", server="main", application="orders")
APP = AppConfig(name="orders")
SILENT = {"idle": [300.0, 300.0, 0.5]}


def window(active: Iterable[float], turnover: float, returned: float = 0.0) -> HoldReading:
    """A reading each five seconds; connections in use, and returned in a second, on average."""
    readings = [
        hold_reading(5.0 * at, 5.0 * at, one, turnover * 5 * at, returned * 5 * at, 0.0)
        for at, one in enumerate(active)
    ]
    return reduce(HoldReading.union, readings)


@pytest.mark.parametrize(
    ("active", "turnover", "work", "count"),
    [
        pytest.param([1] * 13, 0.02, 0, 1, id="one is always out, and hardly any checkout ends"),
        pytest.param([1, 1, 2, 1, 1] * 3, 0.02, 0, 1, id="another one now and then"),
        pytest.param([3] * 13, 0.02, 0, 3, id="three are always out"),
        pytest.param([1, 1, 1, 2, 2, 3] * 3, 0.02, 0, 1, id="as many as at the least reading"),
        pytest.param([1] * 12 + [0], 0.02, 0, 0, id="at one reading none is out"),
        pytest.param([1] * 13, 1.0, 0, 0, id="checkouts that end explain it"),
        pytest.param([1] * 13, 0.02, 1, 0, id="a session works all the time"),
        pytest.param([2] * 13, 0.02, 1, 0, id="one works, and two readings too few for the other"),
        pytest.param([2] * 60, 0.02, 1, 1, id="one works, the other one does not"),
        pytest.param([6] * 13, 5.0, 0, 0, id="too little for a busy pool"),
        pytest.param([10] * 13, 5.0, 0, 1, id="much for a busy pool: at least one"),
        pytest.param([10] * 53, 5.0, 0, 3, id="the more readings, the closer to the truth"),
    ],
)
def test_what_ended_checkouts_and_work_do_not_explain(
    active: list[float], turnover: float, work: float, count: int
) -> None:
    readings = window(active, turnover)
    assert unexplained(readings, [readings], work, ()) == count


def test_durations_that_are_rounded_down_to_nothing_still_explain_checkouts() -> None:
    assert unexplained(window([1] * 13, turnover=0.0, returned=1000), [], 0, ()) == 0


def test_a_burst_of_long_checkouts_in_a_part_of_the_window_is_no_leak() -> None:
    before, burst = window([3] * 7, 3.0), window([11] * 7, 3.0)
    assert unexplained(window([3] * 7 + [11] * 7, 3.0), [before, burst], 0, ()) == 0
    assert unexplained(window([11] * 14, 3.0), [burst, burst], 0, ()) > 0


@pytest.mark.parametrize(
    ("work", "turnover", "unfinished"),
    [
        pytest.param(Work(0, 0, ()), 1.0, 0.0, id="nothing works"),
        pytest.param(Work(1, 0, ()), 1.5, 0.0, id="checkouts that end work"),
        pytest.param(Work(2, 0, ()), 0.5, 1.5, id="more works than they explain"),
        pytest.param(Work(1, 1, ()), 1.5, 1.0, id="a long statement is not theirs"),
    ],
)
def test_work_that_belongs_to_no_ended_checkout(
    work: Work, turnover: float, unfinished: float
) -> None:
    assert unfinished_work(work, [window([1] * 13, turnover)]) == unfinished


@pytest.mark.parametrize(
    ("in_use_since", "count"),
    [
        pytest.param([], 2, id="nothing is known"),
        pytest.param([-100.0], 1, id="one of two, since long ago"),
        pytest.param([-100.0, -50.0], 0, id="both"),
        pytest.param([30.0], 1, id="one of two, since the middle"),
        pytest.param([64.0], 2, id="hardly for a moment"),
    ],
)
def test_connections_that_are_known_to_be_in_use_are_not_leaked(
    in_use_since: list[float], count: int
) -> None:
    readings = window([2] * 13, turnover=0.02)
    assert unexplained(readings, [readings], 0, in_use_since) == count


# Polls each 5 s from 100 to 195.
_POLLS = WorkReading(20, 20, 20, since=100.0, until=195.0)


@pytest.mark.parametrize(
    ("unended", "polls"),
    [
        pytest.param([], (20, 20), id="nothing"),
        pytest.param([Unended(90, 160, True, True)], (7, 7), id="silent from the start"),
        pytest.param([Unended(90, 160, False, True)], (7, 20), id="it had hardly worked before"),
        pytest.param([Unended(10, 130, True, True)], (13, 13), id="it was counted for 30 s"),
        pytest.param([Unended(10, 90, True, True)], (20, 20), id="it was not counted any more"),
        pytest.param([Unended(100, 160, True, True)] * 2, (0, 0), id="two"),
        pytest.param([Unended(150, 300, True, False)], (10, 10), id="one that goes on"),
    ],
)
def test_work_is_not_counted_twice_or_where_a_transaction_is_silent(
    unended: list[Unended], polls: tuple[int, int]
) -> None:
    work = work_of(_POLLS, unended)
    assert (20 * max(0, work.at_work), 20 * max(0, work.for_long)) == pytest.approx(polls)
    assert work.in_use_since == tuple(one.began for one in unended if not one.is_silent)


class Fleet:
    """One application behind another library's page, and the server."""

    def __init__(self, app: AppConfig = APP, *, page: float = 5.0, server: float = 5.0) -> None:
        self.sides = BothSides(app)
        self._page, self._server = page, server
        self._passed = 0.0

    def live(
        self,
        seconds: float,
        *,
        active: float = 1,
        sessions: Any = SILENT,
        process: str = "web:0",
        held: float | None = 0.01,
        **sample: Any,
    ) -> Fleet:
        """Poll both for so long; `held` is the mean in use by checkouts that end, `sample` what
        else the page shows.
        """
        until = self._passed + seconds
        while self._passed < until:
            if self._passed % self._page == 0:
                shown = {
                    "leak_after": None,
                    "held": None if held is None else held * self._passed,
                    "returned": self._passed,
                    **sample,
                }
                self.sides.pool(
                    3 - active, active, process=process, info=INFO,
                    target=TargetId("app", process, "orders"), **shown,
                )  # fmt: skip
            if self._passed % self._server == 0:
                self.sides.server(sessions)
            self._passed += 5.0
            self.sides.now += 5.0
        return self

    @property
    def unexplained(self) -> float | None:
        found: float | None = self.sides.evidence("unexplained").get(KEY)
        return found


def test_a_connection_that_never_comes_back_is_unexplained_after_the_threshold() -> None:
    fleet = Fleet().live(120, active=0)
    assert fleet.unexplained == 0
    assert fleet.live(60).unexplained == 0, "a checkout may last as long"
    assert fleet.live(40).unexplained == 1
    assert fleet.sides.evidence("unexplained_in") == {KEY: {PoolId("orders", "main", "web:0"): 1}}
    assert fleet.live(5, active=0).unexplained == 0


@pytest.mark.parametrize(
    ("sessions", "count"),
    [
        pytest.param({"idle": [300.0, 300.0, 300.0]}, 2, id="all are silent"),
        pytest.param({"idle": [300.0, 0.5, 0.1]}, 1, id="at most as many as are silent"),
        pytest.param({"idle": [30.0, 0.5, 0.1]}, 0, id="none is silent for long enough"),
        pytest.param({"idle_in_transaction": [300.0, 200.0], "idle": [1.0]}, 2,
                     id="silent in their transactions"),
        pytest.param({"idle_in_transaction": [30.0, 20.0], "idle": [300.0]}, 0,
                     id="transactions that go on"),
        pytest.param({"active": [30.0, 20.0], "idle": [300.0]}, 0, id="long statements"),
        pytest.param({"active": [0.01, 0.01], "idle": [300.0]}, 0, id="many short statements"),
    ],
)  # fmt: skip
def test_as_many_sessions_must_be_silent(sessions: Any, count: float) -> None:
    assert Fleet().live(300, active=2, sessions=sessions).unexplained == count


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param({"held": None}, id="the page shows no times"),
        pytest.param({"returned": None}, id="the page does not show how many were returned"),
        pytest.param({"leaked": 0.0}, id="the page reports leaks itself"),
        pytest.param({"leak_after": 60.0}, id="the page reports overdue checkouts itself"),
    ],
)
def test_without_times_nothing_is_estimated(sample: dict[str, Any]) -> None:
    assert Fleet().live(300, **sample).unexplained is None


@pytest.mark.parametrize(
    ("page", "server", "known"),
    [(5, 5, True), (15, 5, True), (5, 15, True), (15, 15, True), (60, 5, False)],
)
def test_pages_and_servers_may_be_read_at_different_intervals(
    page: float, server: float, known: bool
) -> None:
    fleet = Fleet(page=page, server=server).live(400)
    assert fleet.unexplained == (1 if known else None)


def test_after_a_restart_the_window_begins_anew() -> None:
    fleet = Fleet().live(300, held=1.0)
    assert fleet.live(50, held=0.01).unexplained is None
    assert fleet.live(30, held=0.01).unexplained == 1


def test_a_break_between_polls_begins_the_window_anew() -> None:
    fleet = Fleet().live(300)
    fleet.sides.now += 60
    assert fleet.live(40).unexplained is None
    assert fleet.live(40).unexplained == 1


def test_a_process_that_is_new_hides_no_other_one() -> None:
    fleet = Fleet().live(300)
    new = TargetId("app", "web:1", "orders")
    for _ in range(4):
        fleet.live(5)
        fleet.sides.pool(
            2, 1, process="web:1", info=INFO, leak_after=None, target=new, held=1.0, returned=9.0
        )
    assert fleet.unexplained == 1


def test_a_transaction_that_a_library_began_is_no_work_from_its_last_statement_on() -> None:
    fleet = Fleet().live(120, active=0)
    for passed in range(0, 100, 5):
        kept = {
            "idle_in_transaction": [OpenTransaction(passed + 0.01, passed)],
            "idle": [300.0, 0.5],
        }
        fleet.live(5, sessions=kept)
    assert fleet.unexplained == 1


def test_connections_that_are_declared_long_lived_are_no_leak() -> None:
    assert Fleet(APP.model_copy(update={"long_lived": 1})).live(300).unexplained == 0


def test_the_leak_threshold_is_that_of_the_application() -> None:
    fleet = Fleet(APP.model_copy(update={"leak_after": 120.0})).live(100)
    assert fleet.unexplained is None
    assert fleet.live(60).unexplained == 1


def test_sessions_that_nobody_sees_explain_nothing() -> None:
    assert Fleet().live(300, sessions={}).unexplained is None
