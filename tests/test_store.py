"""What is known of the targets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pg_pool_exporter.model import Health, Snapshot, TargetId
from pg_pool_exporter.polling.store import Store, TargetState

ORDERS = TargetState(key=TargetId("process", "orders-0"), interval=5.0)
BILLING = TargetState(key=TargetId("app", "billing"), interval=5.0)


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


def test_forgetting_a_target_that_is_not_there_changes_nothing() -> None:
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


def test_a_state_is_shown_when_what_is_made_of_it_is_ready() -> None:
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


def test_a_snapshot_expires_after_three_intervals() -> None:
    state = TargetState(
        key=TargetId("process", "orders-0"), interval=5.0, snapshot=Snapshot(), taken=100.0
    )
    assert state.expires == 115.0


def test_whoever_watches_is_told_what_has_changed_when_it_has() -> None:
    store = Store()
    seen: list[tuple[TargetId, TargetState | None]] = []
    store.watch(lambda key: seen.append((key, store.get(key))))
    store.put(ORDERS)
    asyncio.run(store.publish(BILLING))
    store.remove(ORDERS.key)
    store.remove(ORDERS.key)
    assert seen == [(ORDERS.key, ORDERS), (BILLING.key, BILLING), (ORDERS.key, None)]
