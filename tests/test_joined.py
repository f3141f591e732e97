"""What both sides prove together, and when they can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.model import AppOnServer, PoolInfo, TargetId
from support.both_sides import INTERVAL, ORDERS, BothSides, session_key, unreturned

HELD = {"idle": [300.0, 0.5]}
"""One session that has done nothing for minutes, and one that is in use now and then."""
PROCESS = TargetId("process", "orders-0", "orders")


def watch(
    sides: BothSides,
    *polls: Callable[[], Any],
    seconds: float = 70.0,
    sessions: Any = HELD,
) -> BothSides:
    """Poll for so long: the pool with one connection out and one in it, or what `polls` say."""
    until = sides.now + seconds
    while sides.now <= until:
        for poll in polls or [lambda: sides.pool(1, 1)]:
            poll()
        sides.server(sessions)
        sides.now += INTERVAL
    return sides


def test_a_connection_that_is_out_and_silent_for_the_threshold_is_unreturned() -> None:
    assert unreturned(watch(BothSides(), lambda: None)) is None
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1), sessions={"idle": [300.0, 200.0]})
    assert unreturned(sides) == 1


def test_one_that_was_back_at_a_single_reading_is_not() -> None:
    sides = BothSides()
    ages = {"idle": [300.0, 200.0]}
    watch(sides, lambda: sides.pool(1, 1), sessions=ages)
    sides.pool(2, 0)
    sides.server(ages)
    assert unreturned(sides) == 0
    sides.now += INTERVAL
    watch(sides, lambda: sides.pool(1, 1), seconds=50, sessions=ages)
    assert unreturned(sides) == 0
    watch(sides, lambda: sides.pool(1, 1), seconds=20, sessions=ages)
    assert unreturned(sides) == 1


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        pytest.param({"idle": [300.0], "active": [0.01]}, 1, id="the other one works"),
        pytest.param({"idle": [300.0, 0.5]}, 0, id="the one in the pool may be the silent one"),
        pytest.param({"idle": [59.0, 59.0]}, 0, id="not for long enough"),
        pytest.param(
            {"idle_in_transaction": [300.0], "idle": [200.0]}, 1,
            id="one idle in transaction does as little as an idle one",
        ),
        pytest.param(
            {"idle_in_transaction": [59.0], "idle": [300.0]}, 0,
            id="somebody thinks in a transaction",
        ),
    ],
)  # fmt: skip
def test_the_smaller_of_both_bounds_holds(ages: dict[str, list[float]], expected: float) -> None:
    sides = BothSides()
    pooled = 0 if "active" in ages else 1
    watch(sides, lambda: sides.pool(pooled, 2 - pooled), sessions=ages)
    assert unreturned(sides) == expected


@pytest.mark.parametrize(
    ("active", "proven"),
    [pytest.param(1, 0, id="it may be back"), pytest.param(2, 1, id="one of two is not")],
)
def test_a_page_of_node_by_opentelemetry_may_show_one_return_late(
    active: int, proven: float
) -> None:
    sides = BothSides(AppConfig(name="orders"))
    info = PoolInfo(client="node-postgres", source="otel", server="main", application="orders")
    page = TargetId("app", "web:0", "orders")
    ages = {"idle": [300.0, 300.0]}
    watch(
        sides,
        lambda: sides.pool(2 - active, active, target=page, info=info, leak_after=None),
        sessions=ages,
    )
    assert unreturned(sides) == proven


def test_a_session_of_somebody_else_under_the_same_name_proves_nothing() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 0), sessions={"idle": [300.0, 200.0]})
    assert unreturned(sides) == 0


def test_a_connection_declared_long_lived_may_be_out_for_ever() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(0, 1, long_lived=1), sessions={"idle": [300.0]})
    assert unreturned(sides) == 0
    assert sides.evidence("suspected")[ORDERS] == 0


def test_what_pages_do_not_tell_to_be_long_lived_the_configuration_does() -> None:
    sides = BothSides(AppConfig(name="orders", long_lived=1))
    watch(sides, lambda: sides.pool(0, 2), sessions={"idle": [300.0, 200.0]})
    assert unreturned(sides) == 1


def test_a_dropped_connection_has_no_session_and_is_missing() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1, leaked_slots={"shop.py:1 f": 1}),
          sessions={"idle": [300.0]})  # fmt: skip
    assert unreturned(sides) == 0
    assert sides.evidence("missing") == {ORDERS: 1}


def test_connections_are_missing_only_where_a_session_of_the_application_has_been_seen() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1), sessions={session_key("billing"): {"idle": [1.0]}})
    assert sides.evidence("missing") == {}


def test_suspects_come_before_the_proof() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1), seconds=15)
    assert sides.evidence("suspected") == {ORDERS: 1}
    assert unreturned(sides) is None


def test_fewer_than_three_readings_tell_nothing() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1), seconds=5)
    assert (sides.evidence("unreturned"), sides.evidence("suspected")) == ({}, {})


def _hide(sides: BothSides) -> None:
    sides.server(HELD, hidden=True)


def _lose_a_process(sides: BothSides) -> None:
    sides.pool(0, 0, process="web:1")
    sides.now += 16
    sides.pool(1, 1)


def _meet_an_unread_process(sides: BothSides) -> None:
    sides.unread(TargetId("process", "orders-7", "orders"))


def _meet_an_unread_page(sides: BothSides) -> None:
    sides.unread(TargetId("app", "web-2:9187", "orders"))


def _set_the_clock(sides: BothSides) -> None:
    sides.server(HELD, clock=2e9)


def _leave_a_gap(sides: BothSides) -> None:
    sides.now += 16
    sides.pool(1, 1)
    sides.server(HELD)


def _read_a_pool_that_shows_nothing(sides: BothSides) -> None:
    sides.pool(None, 1, process="web:1")


@pytest.mark.parametrize(
    "spoil",
    [
        _hide, _lose_a_process, _meet_an_unread_process, _meet_an_unread_page, _set_the_clock,
        _leave_a_gap, _read_a_pool_that_shows_nothing,
    ],
)  # fmt: skip
def test_it_is_absent_where_it_would_not_be_sound(spoil: Callable[[BothSides], None]) -> None:
    sides = watch(BothSides(), seconds=70)
    sides.now -= INTERVAL - 1
    assert unreturned(sides) is not None
    spoil(sides)
    if spoil is not _hide:
        sides.now += 1
        sides.server(HELD, clock=2e9 + 1 if spoil is _set_the_clock else None)
    assert unreturned(sides) is None


def test_a_clock_set_while_a_poll_takes_long_makes_no_session_older() -> None:
    """A poll that takes 3 s leaves open whether the server's clock has gone 2 s ahead."""
    sides = watch(BothSides(), sessions={"idle": [300.0, 57.0]})
    sides.server({"idle": [304.0, 61.0]}, clock=1e9 + sides.now - 1, took=3)
    assert unreturned(sides) == 0
    sides.now += INTERVAL
    sides.pool(1, 1)
    sides.server({"idle": [312.0, 69.0]}, clock=1e9 + sides.now + 2)
    assert unreturned(sides) == 1


def test_a_pool_that_no_longer_shows_what_is_in_it_is_not_taken_for_what_it_was() -> None:
    """It may have all that is silent by now, and the other's checkouts may be without a session."""
    sides = BothSides()
    watch(sides, lambda: sides.pool(0, 2), lambda: sides.pool(0, 0, process="web:1"))
    watch(
        sides,
        lambda: sides.pool(0, 2),
        lambda: sides.pool(None, None, process="web:1"),
        sessions={"idle": [65.0, 65.0]},
    )
    assert unreturned(sides) is None


def test_an_unread_process_of_another_application_does_not_matter() -> None:
    sides = watch(BothSides())
    sides.unread(TargetId("process", "billing-0", "billing"))
    sides.unread(TargetId("app", "web-2:9187", "billing"))
    sides.server(HELD)
    assert unreturned(sides) is not None


def test_a_process_that_was_read_only_lately_may_have_all_that_is_silent_in_its_pool() -> None:
    sides = BothSides()
    ages = {"idle": [300.0, 200.0]}
    watch(sides, lambda: sides.pool(1, 1), sessions=ages)
    assert unreturned(sides) == 1
    for _ in range(4):
        sides.pool(1, 1)
        sides.pool(0, 1, process="web:1")
        sides.server(ages)
        sides.now += INTERVAL
    assert unreturned(sides) == 0


@pytest.mark.parametrize(("silent", "expected"), [(2, 0), (3, 1)])
def test_pools_of_another_application_under_the_same_name_may_have_the_silent_sessions(
    silent: int, expected: int
) -> None:
    sides = BothSides()
    watch(
        sides,
        lambda: sides.pool(1, 1),
        lambda: sides.pool(0, 1, app="billing", process="job:0"),
        sessions={"idle": [300.0] * silent + [0.5] * (3 - silent)},
    )
    assert sides.evidence("unreturned") == {
        ORDERS: expected, AppOnServer("main", "billing"): expected
    }  # fmt: skip


def test_sessions_of_another_user_are_not_the_pools() -> None:
    sides = BothSides()
    watch(
        sides,
        lambda: sides.pool(1, 1),
        sessions={session_key(): {"idle": [300.0, 200.0]},
                  session_key(user="admin"): {"idle": [900.0], "active": [1.0]}},
    )  # fmt: skip
    assert unreturned(sides) == 1


def test_the_longest_leak_threshold_of_the_pools_holds() -> None:
    sides = BothSides()
    watch(
        sides,
        lambda: sides.pool(1, 1),
        lambda: sides.pool(0, 0, process="web:1", leak_after=250.0),
        sessions={"idle": [240.0, 200.0]},
        seconds=260,
    )
    assert unreturned(sides) == 0


def test_what_was_back_within_the_longest_threshold_is_not_unreturned() -> None:
    """Although it is longer ago than the threshold of the pool itself."""
    sides = BothSides()
    ages = {"idle": [900.0, 800.0]}

    def other() -> None:
        sides.pool(0, 0, process="web:1", leak_after=250.0)

    watch(sides, lambda: sides.pool(1, 1), other, sessions=ages, seconds=260)
    assert unreturned(sides) == 1
    watch(sides, lambda: sides.pool(2, 0), other, sessions=ages, seconds=0)
    watch(sides, lambda: sides.pool(1, 1), other, sessions=ages, seconds=200)
    assert unreturned(sides) == 0


def test_pages_that_tell_no_threshold_have_that_of_the_configuration() -> None:
    app = AppConfig.model_validate(
        {
            "name": "orders",
            "server": "main",
            "application_name": "Orders API ü",
            "leak_after": "20s",
        }
    )
    sides = BothSides(app)
    watch(
        sides,
        lambda: sides.pool(
            1, 1, leak_after=None, info=None, target=TargetId("app", "web:80", "orders")
        ),
        sessions={session_key("Orders API \\xc3\\xbc"): {"idle": [30.0, 25.0]}},
        seconds=30,
    )
    assert unreturned(sides) == 1


def test_a_pool_behind_something_else_is_not_joined() -> None:
    sides = BothSides()
    through = PoolInfo(host="127.0.0.1", port="6432", server="main", application="orders")
    watch(sides, lambda: sides.pool(1, 1, info=through))
    assert (sides.evidence("unreturned"), sides.analysis.fleet.pools_max) == ({}, {})


def test_a_server_that_is_gone_takes_along_what_was_joined_of_it() -> None:
    sides = watch(BothSides())
    sides.store.remove(TargetId("server", "main"))
    assert (sides.evidence("unreturned"), sides.analysis.fleet.pools_max) == ({}, {})


def test_a_server_that_does_not_answer_keeps_it_for_as_long_as_its_snapshot() -> None:
    sides = watch(BothSides())
    sides.server(HELD, up=False)
    assert unreturned(sides) is not None
    sides.now += 11
    sides.server(HELD, up=False)
    assert unreturned(sides) is None


def test_demand_is_the_sum_of_the_maxima_of_pools_that_are_there_now() -> None:
    sides = BothSides()
    sides.pool(1, 1)
    sides.pool(1, 1, process="web:1", max=20)
    sides.pool(1, 1, process="web:2", max=None)
    sides.pool(1, 1, process="web:0", target=TargetId("app", "web:9187", "orders"))
    sides.server(HELD)
    assert sides.analysis.fleet.pools_max == {"main": 30}
    sides.now += 16
    sides.pool(1, 1)
    sides.server(HELD)
    assert sides.analysis.fleet.pools_max == {"main": 10}


def test_without_a_known_maximum_there_is_no_demand() -> None:
    sides = BothSides()
    sides.pool(1, 1, max=None)
    sides.server(HELD)
    assert sides.analysis.fleet.pools_max == {}


def test_what_is_remembered_of_a_process_goes_with_it() -> None:
    sides = watch(BothSides())
    sides.store.remove(PROCESS)
    fleet = sides.analysis.fleet
    assert (fleet.pools, fleet.apps) == ((), ())
    sides.server(HELD)
    assert sides.analysis.fleet.evidence == {}


def test_a_pool_that_another_target_gives_too_is_taken_from_the_first_until_that_is_silent() -> (
    None
):
    other = TargetId("app", "localhost:9187", "orders")
    sides = BothSides()
    sides.pool(1, 1)
    sides.pool(5, 5, target=other)
    assert [pool.active for pool in sides.analysis.fleet.pools] == [1]
    sides.now += 16
    sides.pool(5, 5, target=other)
    assert [pool.active for pool in sides.analysis.fleet.pools] == [5]


def test_where_a_configuration_says_it_a_pool_leads_there_from_then_on() -> None:
    sides = BothSides()
    nowhere = PoolInfo(application="orders")
    sides.pool(1, 1, info=nowhere)
    sides.server(HELD)
    assert sides.analysis.fleet.pools_max == {}
    sides.analyzer.configure(Config(apps=(AppConfig(name="orders", server="main"),)))
    sides.now += 1
    sides.server(HELD)
    assert sides.analysis.fleet.pools_max == {"main": 10}


def test_a_pool_of_which_the_server_knows_no_session_proves_nothing() -> None:
    """Its sessions have another name there, or it leads elsewhere: 0 would say that all is well."""
    sides = BothSides()
    elsewhere = {session_key("PostgreSQL JDBC Driver"): {"idle": [300.0, 200.0]}}
    watch(sides, lambda: sides.pool(1, 1), sessions=elsewhere)
    assert (sides.evidence("unreturned"), sides.evidence("suspected")) == ({}, {})
    watch(sides, lambda: sides.pool(1, 1), sessions={**elsewhere, session_key(): {"idle": [1.0]}})
    assert unreturned(sides) == 0
    watch(sides, lambda: sides.pool(1, 1), sessions=elsewhere)
    assert unreturned(sides) is None
    assert sides.evidence("missing") == {ORDERS: 2}


def test_a_pool_without_connections_holds_none_whatever_the_server_knows() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(0, 0), sessions={session_key("billing"): {"idle": [300.0]}})
    assert unreturned(sides) == 0


def test_a_threshold_of_hours_is_waited_for() -> None:
    sides = BothSides()
    ages = {"idle": [9000.0, 8900.0]}
    watch(sides, lambda: sides.pool(2, 0, leak_after=7200.0), sessions=ages, seconds=600)
    watch(sides, lambda: sides.pool(1, 1, leak_after=7200.0), sessions=ages, seconds=4000)
    assert unreturned(sides) is None
    watch(sides, lambda: sides.pool(1, 1, leak_after=7200.0), sessions=ages, seconds=2600)
    assert unreturned(sides) == 0
    watch(sides, lambda: sides.pool(1, 1, leak_after=7200.0), sessions=ages, seconds=1200)
    assert unreturned(sides) == 1


def test_a_threshold_without_end_is_never_reached() -> None:
    sides = BothSides()
    watch(sides, lambda: sides.pool(1, 1, leak_after=1e300), sessions={"idle": [300.0, 200.0]})
    assert unreturned(sides) is None
