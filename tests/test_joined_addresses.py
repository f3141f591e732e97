"""What is proven address by address, where each process of an application has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from pg_pool_exporter.analysis.evidence.bounds import pool_reading
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import ClientKey, TargetId
from support.both_sides import INFO, INTERVAL, ORDERS, BothSides, session_key, unreturned

A, B, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.99"
LEAKY = [300.0] * 6 + [1.0] * 4
"""Of one process: six sessions that do nothing, of which four are in a pool at most."""
BUSY = [1.0] * 10
Sessions = Mapping[str, list[float]]


def watch(
    *,
    sessions: Sessions,
    addresses: tuple[str | None, str | None] = (A, B),
    third: str | None = "",
    at: str = "192.0.2.50",
    after: Callable[[BothSides], None] | None = None,
) -> BothSides:
    """Two processes whose pools are used in turns; the first has not given six back. A third, if it
    has an address or None, has a single connection in its pool.
    """
    sides = BothSides(AppConfig(name="orders", server="main"))
    until = sides.now + 70
    while sides.now <= until:
        process(sides, 0, idle=3, active=7, address=addresses[0])
        process(sides, 1, idle=9, active=1, address=addresses[1])
        if third != "":
            process(sides, 2, idle=1, active=0, address=third)
        server(sides, sessions, at)
        sides.now += INTERVAL
    if after is not None:
        after(sides)
        server(sides, sessions, at)
    return sides


def process(sides: BothSides, number: int, *, idle: int, active: int, address: str | None) -> None:
    target = TargetId("app", f"web-{number}:80", "orders")
    sides.pool(idle, active, process=f"web-{number}", target=target, address=address)


def server(sides: BothSides, sessions: Sessions, at: str) -> None:
    sides.server(
        {ClientKey(session_key(), address): {"idle": ages} for address, ages in sessions.items()},
        address=at,
    )


def test_a_process_that_leaks_is_reported_though_the_others_have_as_many_in_their_pools() -> None:
    sides = watch(sessions={A: LEAKY, B: BUSY})
    assert unreturned(sides) == 3
    assert sides.evidence("unreturned_at") == {ORDERS: {A: 3}}


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param((A, A), id="read at one address"),
        pytest.param((A, None), id="one is read through a socket"),
        pytest.param((ELSEWHERE, "192.0.2.98"), id="read through something in between"),
        pytest.param((A, "2001:db8::2"), id="read over IPv4 and over IPv6"),
    ],
)
def test_where_addresses_tell_nothing_all_processes_together_must_have_lost_more(
    addresses: tuple[str | None, str | None],
) -> None:
    sides = watch(sessions={A: LEAKY, B: BUSY}, addresses=addresses)
    assert unreturned(sides) == 0
    assert sides.evidence("unreturned_at") == {}


@pytest.mark.parametrize(("elsewhere", "held"), [(1, 2), (2, 1), (3, 0), (9, 0)])
def test_each_session_from_elsewhere_may_be_one_of_them(elsewhere: int, held: int) -> None:
    sides = watch(sessions={A: LEAKY, B: BUSY, ELSEWHERE: [1.0] * elsewhere})
    assert unreturned(sides) == held
    assert sides.evidence("unreturned_at") == {}


def test_sessions_that_all_come_through_one_address_are_reported_together() -> None:
    sides = watch(sessions={ELSEWHERE: [*LEAKY, *BUSY]})
    assert unreturned(sides) == 0
    sides = watch(sessions={ELSEWHERE: [300.0] * 16 + [1.0] * 4})
    assert unreturned(sides) == 4


def test_sessions_of_a_process_that_is_read_through_a_socket_may_come_from_anywhere() -> None:
    sides = watch(sessions={A: LEAKY, B: BUSY}, third=None)
    assert unreturned(sides) == 0


@pytest.mark.parametrize(("server_address", "held"), [("127.0.0.1", 3), ("192.0.2.50", 0)])
def test_a_page_at_our_127_0_0_1_is_not_what_a_server_elsewhere_sees_at_its_own(
    server_address: str, held: int
) -> None:
    sides = watch(
        sessions={"127.0.0.1": LEAKY, B: BUSY}, addresses=("127.0.0.1", B), at=server_address
    )
    assert unreturned(sides) == held


def test_a_process_that_has_moved_within_the_threshold_proves_nothing_yet() -> None:
    def move(sides: BothSides) -> None:
        process(sides, 0, idle=3, active=7, address=ELSEWHERE)

    assert unreturned(watch(sessions={A: LEAKY, B: BUSY}, after=move)) == 0


def test_another_application_under_the_same_name_may_have_them_in_its_pool() -> None:
    def begin(sides: BothSides) -> None:
        sides.pool(3, 0, app="billing", process="web-3", info=INFO, address="192.0.2.3")

    sides = watch(sessions={A: LEAKY, B: BUSY}, at="127.0.0.1", after=begin)
    assert unreturned(sides) == 0


def test_where_a_page_was_read_is_not_known_of_readings_at_two_addresses() -> None:
    at_a, at_b = (pool_reading(1, 2, address=address) for address in (A, B))
    assert at_a.union(at_a).address == A
    assert at_a.union(at_b).address is None


def test_a_new_process_at_an_address_of_its_own_does_not_hide_the_others() -> None:
    def begin(sides: BothSides) -> None:
        process(sides, 2, idle=5, active=0, address="192.0.2.3")

    assert unreturned(watch(sessions={A: LEAKY, B: BUSY}, after=begin)) == 3


def test_a_new_process_at_the_same_address_may_have_them_in_its_pool() -> None:
    def begin(sides: BothSides) -> None:
        process(sides, 2, idle=2, active=0, address=A)

    assert unreturned(watch(sessions={A: LEAKY, B: BUSY}, after=begin)) == 1
