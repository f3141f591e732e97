"""The states of the targets: what is fresh, and which target owns a pool."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pg_pool_exporter.model import Health, PoolId, Snapshot, TargetId
from pg_pool_exporter.polling.poller import next_poll
from pg_pool_exporter.polling.store import Change, Store, TargetState
from support.sources import snapshot

ORDERS = TargetState(key=TargetId("process", "orders-0"), interval=5.0)
BILLING = TargetState(key=TargetId("app", "billing"), interval=5.0)
FIRST, SECOND = TargetId("process", "a"), TargetId("process", "b")
PAGE = TargetId("app", "127.0.0.1:8080/actuator/prometheus", "orders")
POOL, OTHER = "orders/main/web:0", "orders/main/web:1"


def test_each_replacement_changes_the_version() -> None:
    store = Store()
    versions = {store.version}
    store.put(ORDERS)
    versions.add(store.version)
    store.put(ORDERS)
    versions.add(store.version)
    store.remove(ORDERS.key)
    versions.add(store.version)
    assert len(versions) == 4


def test_removing_a_target_that_is_not_there_changes_nothing() -> None:
    store = Store()
    store.remove(ORDERS.key)
    assert store.version == 0


def test_targets_keep_the_order_in_which_they_came() -> None:
    store = Store()
    for state in (ORDERS, BILLING, ORDERS):
        store.put(state)
    assert [state.key.name for state in store.states()] == ["orders-0", "billing"]


def test_a_target_is_identified_by_its_kind_and_its_name() -> None:
    store = Store()
    store.put(TargetState(key=TargetId("server", "main"), interval=5.0))
    store.put(TargetState(key=TargetId("app", "main"), interval=1.0, health=Health(up=True)))
    server = store.get(TargetId("server", "main"))
    assert server is not None
    assert not server.health.up


def test_a_state_is_stored_when_everything_is_prepared() -> None:
    store = Store()
    prepared: list[tuple[TargetState, TargetState | None]] = []

    async def prepare(state: TargetState) -> None:
        prepared.append((state, store.get(state.key)))

    store.before_publishing(prepare)
    store.put(ORDERS)
    newer = replace(ORDERS, health=Health(up=True))
    asyncio.run(store.publish(newer))
    assert prepared == [(newer, ORDERS)]
    assert store.get(ORDERS.key) is newer


def test_a_snapshot_is_fresh_for_three_intervals_and_what_polls_stray() -> None:
    state = TargetState(key=ORDERS.key, interval=5.0, snapshot=Snapshot(), taken=100.0)
    assert state.fresh(115.9) is state.snapshot
    assert state.fresh(116.0) is None


def test_two_failed_polls_leave_a_snapshot_fresh_until_the_third_poll() -> None:
    state = TargetState(key=ORDERS.key, interval=5.0, snapshot=Snapshot(), taken=100.0)
    at = 100.0
    for number in range(1, 30):
        due = at
        for failed in range(3):
            due = next_poll("orders", 5.0, due, due, number + failed)
        late = replace(state, taken=at)
        assert late.fresh(due - 0.01) is state.snapshot, number
        at = next_poll("orders", 5.0, at, at, number)


def test_a_subscriber_reads_all_changes_in_order() -> None:
    store = Store()
    store.put(BILLING)
    changes = store.subscribe()
    store.put(ORDERS)
    asyncio.run(store.publish(BILLING))
    store.remove(ORDERS.key)
    store.remove(ORDERS.key)
    found = [changes.get_nowait() for _ in range(changes.qsize())]
    assert found == [
        Change(ORDERS.key, ORDERS), Change(BILLING.key, BILLING), Change(ORDERS.key, None),
    ]  # fmt: skip


class Fleet:
    """Targets that report pools, some of them the same ones."""

    def __init__(self) -> None:
        self.store = Store()

    def polled(
        self,
        key: TargetId,
        *pools: str,
        at: float = 0.0,
        folded: int = 0,
        client_key: str = "",
        is_local: bool = True,
        interval: float = 5.0,
    ) -> None:
        found = snapshot(*pools, folded=folded)
        if client_key:
            own = PoolId(*client_key.split("/"))
            found = replace(found, pools=tuple(replace(one, client_key=own) for one in found.pools))
        self.store.put(
            TargetState(key=key, interval=interval, snapshot=found, taken=at, is_local=is_local)
        )

    def shown(self, now: float = 1.0) -> dict[str, list[str]]:
        """The pools of each target at `now`, by process."""
        return {
            state.key.name: [pool.key.process for pool in state.pools]
            for state in self.store.states()
            if state.fresh(now)
        }


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_pools_of_different_targets_are_all_shown(fleet: Fleet) -> None:
    fleet.polled(FIRST, POOL)
    fleet.polled(SECOND, OTHER)
    assert fleet.shown() == {"a": ["web:0"], "b": ["web:1"]}


def test_a_pool_that_two_targets_report_belongs_to_the_first_at_each_poll(fleet: Fleet) -> None:
    for at in (0.0, 5.0, 10.0):
        fleet.polled(FIRST, POOL, at=at)
        fleet.polled(SECOND, POOL, OTHER, at=at)
        assert fleet.shown(at) == {"a": ["web:0"], "b": ["web:1"]}


@pytest.mark.parametrize("gone", ["removed", "reports it no more", "expired"])
def test_a_pool_passes_to_the_other_target_at_its_next_poll(fleet: Fleet, gone: str) -> None:
    fleet.polled(FIRST, POOL)
    fleet.polled(SECOND, POOL)
    if gone == "removed":
        fleet.store.remove(FIRST)
    elif gone == "reports it no more":
        fleet.polled(FIRST, OTHER, at=14.0)
    now = 16.0 if gone == "expired" else 14.0
    fleet.polled(SECOND, POOL, at=now)
    assert fleet.shown(now)["b"] == ["web:0"]
    fleet.polled(FIRST, POOL, at=now)
    assert fleet.shown(now) == {"a": [], "b": ["web:0"]}


def test_a_failed_poll_takes_no_pool_from_its_owner(fleet: Fleet) -> None:
    fleet.polled(FIRST, POOL)
    fleet.polled(SECOND, POOL, at=15.0)
    former = fleet.store.get(FIRST)
    assert former is not None
    fleet.store.put(replace(former, health=Health(polls=2, reason="timeout")))
    fleet.polled(SECOND, POOL, at=20.0)
    assert fleet.shown(20.0) == {"b": ["web:0"]}


TAGGED, TAGGED_TOO = "orders/main/web:0:eu", "orders/main/web:0:us"


@pytest.mark.parametrize("name", [POOL, TAGGED])
@pytest.mark.parametrize("first", [FIRST, PAGE])
@pytest.mark.parametrize("interval", [5.0, 60.0])
def test_a_process_at_its_socket_owns_a_pool_that_a_page_here_shows_too(
    fleet: Fleet, name: str, first: TargetId, interval: float
) -> None:
    for at in (0.0, 5.0, 10.0):
        for key in (FIRST, PAGE) if first == FIRST else (PAGE, FIRST):
            if key == PAGE:
                fleet.polled(PAGE, name, at=at, client_key=POOL)
            elif not at % interval:
                fleet.polled(FIRST, POOL, at=at, interval=interval)
            assert sum(map(len, fleet.shown(at).values())) == 1
        assert fleet.shown(at) == {FIRST.name: ["web:0"], PAGE.name: []}
    assert [state.folded for state in fleet.store.states()] == [0, 0]
    fleet.store.remove(FIRST)
    fleet.polled(PAGE, name, at=15.0, client_key=POOL)
    assert len(fleet.shown(15.0)[PAGE.name]) == 1
    fleet.polled(FIRST, POOL, at=16.0)
    assert fleet.shown(16.0) == {FIRST.name: ["web:0"], PAGE.name: []}


@pytest.mark.parametrize("name", [POOL, TAGGED])
def test_a_process_that_no_longer_answers_leaves_its_pool_to_the_page(
    fleet: Fleet, name: str
) -> None:
    fleet.polled(PAGE, name, client_key=POOL)
    fleet.polled(FIRST, POOL)
    former = fleet.store.get(FIRST)
    assert former is not None
    for at in (16.0, 20.0):
        fleet.polled(PAGE, name, at=at, client_key=POOL)
        fleet.store.put(replace(former, health=Health(reason="timeout")))
        assert [len(pools) for pools in fleet.shown(at).values()] == [1]


def test_a_process_takes_one_pool_from_a_page_with_several_of_its_name(fleet: Fleet) -> None:
    fleet.polled(PAGE, TAGGED, TAGGED_TOO, client_key=POOL)
    assert fleet.shown() == {PAGE.name: ["web:0:eu", "web:0:us"]}
    for _ in range(2):
        fleet.polled(FIRST, POOL)
        assert fleet.shown() == {PAGE.name: ["web:0:us"], FIRST.name: ["web:0"]}
        fleet.polled(PAGE, TAGGED, TAGGED_TOO, client_key=POOL)


def test_pages_here_of_processes_of_one_name_are_all_shown(fleet: Fleet) -> None:
    """Containers on the host's network, each with a process of the same number."""
    other = PAGE._replace(name="127.0.0.1:8081/metrics")
    for _ in range(2):
        fleet.polled(PAGE, TAGGED, client_key=POOL)
        fleet.polled(other, TAGGED_TOO, client_key=POOL)
        assert fleet.shown() == {PAGE.name: ["web:0:eu"], other.name: ["web:0:us"]}
    for _ in range(2):
        fleet.polled(FIRST, POOL)
        fleet.polled(other, TAGGED_TOO, client_key=POOL)
        fleet.polled(PAGE, TAGGED, client_key=POOL)
        assert fleet.shown() == {PAGE.name: [], other.name: ["web:0:us"], FIRST.name: ["web:0"]}


def test_a_page_that_yields_changes_before_the_process(fleet: Fleet) -> None:
    fleet.polled(PAGE, TAGGED, OTHER, client_key=POOL)
    changes = fleet.store.subscribe()
    fleet.polled(FIRST, POOL)
    fleet.polled(FIRST, POOL)
    found = [changes.get_nowait() for _ in range(changes.qsize())]
    assert [key for key, _ in found] == [PAGE, FIRST, FIRST]
    assert found[0].state is fleet.store.get(PAGE)


def test_a_page_elsewhere_can_show_a_process_of_the_same_name(fleet: Fleet) -> None:
    for _ in range(2):
        fleet.polled(PAGE, TAGGED, client_key=POOL, is_local=False)
        fleet.polled(FIRST, POOL)
        assert fleet.shown() == {FIRST.name: ["web:0"], PAGE.name: ["web:0:eu"]}


def test_pools_that_are_left_out_count_as_folded(fleet: Fleet) -> None:
    fleet.polled(FIRST, POOL, folded=2)
    fleet.polled(SECOND, POOL, folded=3)
    fleet.store.put(ORDERS)
    assert [state.folded for state in fleet.store.states()] == [2, 4, 0]
