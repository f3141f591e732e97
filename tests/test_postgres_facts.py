"""Facts about a server that the configuration switches on: who connects from where, what working
sessions wait for, how long transactions lie idle, whose snapshot is the oldest.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import Any

import pytest

from pg_pool_exporter.config import FactsConfig
from pg_pool_exporter.metrics.catalogue import IDLE_BOUNDS
from pg_pool_exporter.model import ClientKey, ServerFacts, SessionGroup, SessionKey
from pg_pool_exporter.sources.postgres.facts import ServerFactsReader
from pg_pool_exporter.sources.queries.rows import SnapshotRow, WaitEventRow
from support.polling import poll, run, source_of
from support.postgres import Cluster, wait_until

ALL: dict[str, Any] = {
    "client_networks": True, "wait_events": True, "idle_in_transaction": True, "snapshots": True,
}  # fmt: skip


def facts_of(cluster: Cluster, *, dsn: str | None = None, **facts: Any) -> ServerFacts:
    found: list[ServerFacts | None] = []

    async def main() -> None:
        source = source_of(cluster, dsn=dsn, facts=FactsConfig(**facts))
        found.append((await poll(source)).facts)
        await source.close()

    run(main())
    assert found[0] is not None
    return found[0]


def test_all_of_them_are_read_from_each_version(every_postgres: Cluster) -> None:
    every_postgres.run("CREATE TABLE IF NOT EXISTS stock (id int)")
    directory = str(every_postgres.directory)
    with (
        every_postgres.connect(application_name="reader") as reader,
        every_postgres.connect(application_name="holder", host=directory) as holder,
    ):
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM stock")
        for _ in range(3):
            every_postgres.run("INSERT INTO stock VALUES (1)")
        holder.execute("SELECT pg_advisory_lock(9)")
        waiter = Thread(target=every_postgres.run, args=["SELECT pg_advisory_lock(9)"])
        waiter.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: every_postgres.run(waits), "one waits")
        facts = facts_of(every_postgres, **ALL)
        holder.execute("SELECT pg_advisory_unlock(9)")
        waiter.join()
    assert facts.networks == {"127.0.0.0/24": 2, "local": 1}
    assert facts.waits == {
        ("idle_in_transaction", "Client"): 1,
        ("idle", "Client"): 1,
        ("active", "Lock"): 1,
    }
    assert facts.snapshots is not None
    assert facts.snapshots[("client", "reader")] >= 3
    assert facts.idle_in_transaction is not None
    assert facts.idle_in_transaction.count == 1
    assert sum(facts.idle_in_transaction.counts[:-1]) == 1


def test_they_are_off_by_default_and_each_is_switched_on_alone(postgres: Cluster) -> None:
    assert facts_of(postgres) == ServerFacts()
    for key, field in (
        ("client_networks", "networks"),
        ("wait_events", "waits"),
        ("idle_in_transaction", "idle_in_transaction"),
        ("snapshots", "snapshots"),
    ):
        chosen: dict[str, Any] = {key: True}
        facts = facts_of(postgres, **chosen)
        known = [one for one in ServerFacts.__slots__ if getattr(facts, one) is not None]
        assert known == [field]


def test_what_the_role_may_not_see_is_unknown_and_not_none(cluster: Cluster) -> None:
    cluster.run("CREATE ROLE blind LOGIN")
    with cluster.connect():
        facts = facts_of(cluster, dsn=cluster.dsn(user="blind"), **ALL)
    assert facts == ServerFacts(networks={"unknown": 1}, waits={("unknown", "unknown"): 1})


def test_a_prepared_transaction_holds_a_snapshot_and_an_unused_slot_does_not(
    every_postgres: Cluster,
) -> None:
    settings = {"max_prepared_transactions": "2", "wal_level": "logical"}
    with Cluster(every_postgres.bindir, settings=settings) as own:
        own.run("SELECT pg_create_physical_replication_slot('standby', true)")
        with own.connect() as session:
            session.execute("BEGIN")
            session.execute("CREATE TABLE stock (id int)")
            session.execute("PREPARE TRANSACTION 'forgotten'")
        own.run("CREATE TABLE more (id int)")
        facts = facts_of(own, **ALL)
        own.run("ROLLBACK PREPARED 'forgotten'")
    assert facts.snapshots is not None
    assert facts.snapshots[("prepared_transaction", "")] >= 1
    assert ("replication_slot", "standby") not in facts.snapshots, "nothing has used it yet"


def read(
    config: Mapping[str, Any],
    sessions: Mapping[ClientKey, SessionGroup] | None = None,
    rows: Mapping[str, list[Any]] | None = None,
    limit: int = 100,
) -> ServerFacts:
    reader = ServerFactsReader(FactsConfig(**config), limit)
    return reader.read(sessions or {}, rows or {}, True, 0)


def at(address: str, sessions: int = 1) -> tuple[ClientKey, SessionGroup]:
    key = ClientKey(SessionKey("shop", "orders", "orders"), address)
    return key, SessionGroup(ages={"idle": (1.0,) * sessions})


@pytest.mark.parametrize(
    ("address", "prefixes", "network"),
    [
        ("10.1.2.3", {}, "10.1.2.0/24"),
        ("10.1.2.3", {"ipv4_prefix": 8}, "10.0.0.0/8"),
        ("10.1.2.3", {"ipv4_prefix": 32}, "10.1.2.3/32"),
        ("10.1.2.3", {"ipv4_prefix": 0}, "0.0.0.0/0"),
        ("2001:db8:1:2:3::4", {}, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", {"ipv6_prefix": 32}, "2001:db8::/32"),
        ("::ffff:10.1.2.3", {}, "10.1.2.0/24"),
        ("", {}, "local"),
        ("no address", {}, "unknown"),
    ],
)
def test_an_address_is_shown_by_its_network(
    address: str, prefixes: dict[str, int], network: str
) -> None:
    facts = read({"client_networks": True, **prefixes}, dict([at(address, 3)]))
    assert facts.networks == {network: 3}


def test_networks_beyond_the_limit_come_together_and_lose_no_session() -> None:
    sessions = dict(at(f"10.0.{number}.1", 1 + number) for number in range(5))
    facts = read({"client_networks": True}, sessions, limit=2)
    assert facts.networks == {"10.0.4.0/24": 5, "10.0.3.0/24": 4, "other": 6}


def test_the_oldest_of_the_holders_beyond_the_limit_is_shown_by_kind() -> None:
    rows = [SnapshotRow(holder="client backend", name=f"job-{age}", age=age) for age in range(5)]
    rows.append(SnapshotRow(holder="a new kind", name="x", age=7))
    facts = read({"snapshots": True}, rows={"snapshots": rows}, limit=2)
    assert facts.snapshots == {("other", "x"): 7, ("client", "job-4"): 4, ("client", "other"): 3}


def test_wait_events_are_bounded_whatever_a_server_calls_them() -> None:
    rows = [
        WaitEventRow(hidden=False, state="active", event_type=f"type {number}", sessions=2)
        for number in range(500)
    ]
    waits = read({"wait_events": True}, rows={"wait_events": rows}).waits
    assert waits is not None
    assert len(waits) == 101
    assert waits[("other", "other")] == 800


def test_each_age_is_in_the_bucket_of_its_bound() -> None:
    key = ClientKey(SessionKey("shop", "orders", "orders"))
    ages = (IDLE_BOUNDS[-1] + 1, 60.0, 0.5)
    group = SessionGroup(ages={"idle_in_transaction": ages, "idle": (5.0,)})
    aborted = SessionGroup(ages={"idle_in_transaction_aborted": (61.0,)})
    sessions = {key: group, key._replace(address="10.0.0.1"): aborted}
    histogram = read({"idle_in_transaction": True}, sessions).idle_in_transaction
    assert histogram is not None
    found = dict(zip((*IDLE_BOUNDS, "more"), histogram.counts, strict=True))
    assert {bound: count for bound, count in found.items() if count} == {
        1.0: 1, 60.0: 1, 300.0: 1, "more": 1
    }  # fmt: skip
    assert histogram.total == sum(ages) + 61
