"""What else goes wrong: load, slow queries, transactions, locks, a full server."""

from __future__ import annotations

from collections import Counter
from itertools import count

from pg_pool_exporter.analysis.findings.finding import Cause
from scenarios.exporter import Page
from scenarios.scenario import FAULT, Scenario, Setup
from scenarios.world import Lock, Work

_EXPORT = "shop/reports.py:17 export"
_LOADED = Work(statement=0.2, statements=2, pause=0.001)


def _too_small(setup: Setup) -> None:
    load = setup.load(setup.pool(lifetime=None), 6.0, _LOADED)
    setup.world.at(FAULT, lambda: setattr(load, "rate", 24.5))


def _slow_queries(setup: Setup) -> None:
    slow = Work(statement=5.0, statements=1)
    setup.load(setup.pool(), 3.0, lambda: slow if setup.world.now >= FAULT else Work())


def _open_transactions(setup: Setup) -> None:
    """A job without a pool, or one that is not watched, forgets transactions."""
    setup.load(setup.pool(), 1.5)
    setup.world.every(120.0, lambda: setup.forget_transaction("cron"), FAULT)


def _blocker(setup: Setup) -> None:
    lock = setup.locks[0]
    setup.load(
        setup.pool(most=20), 2.0,
        lambda: Work(lock=lock) if setup.world.random.random() < 0.1 else Work(),
    )  # fmt: skip
    migration = setup.pool(app="billing", process="job:0", most=2, least=1)
    setup.world.at(
        FAULT,
        lambda: migration.request(Work(statement=600.0, statements=1, lock=lock, transaction=True)),
    )


def _deadlocks(setup: Setup) -> None:
    setup.load(setup.pool(), 2.0)

    def deadlock() -> None:
        setup.server.deadlocks += 1

    setup.world.every(240.0, deadlock, FAULT)


def _oversubscribed(setup: Setup) -> None:
    for number in range(6):
        setup.load(setup.pool(process=f"web:{number}"), 1.0)

    def deploy() -> None:
        for number in range(6, 14):
            setup.load(setup.pool(process=f"web:{number}"), 1.0)

    setup.world.at(FAULT, deploy)


def _full(setup: Setup) -> None:
    setup.load(setup.pool(), 2.0)
    setup.world.at(FAULT, lambda: setup.foreign_sessions(90))


def _leak_and_lock(setup: Setup) -> None:
    ending = "drop" if setup.native else "keep"
    setup.load(setup.pool(), 1.5, setup.one_in(200, Work(ending=ending, site=_EXPORT)))
    lock = Lock()
    setup.locks.append(lock)
    other = setup.pool(app="billing", process="job:0", most=20)
    setup.load(other, 1.0, lambda: Work(lock=lock) if setup.world.random.random() < 0.1 else Work())
    setup.world.at(
        FAULT + 60,
        lambda: other.request(Work(statement=600.0, statements=1, lock=lock, transaction=True)),
    )


def _leak_and_open_transactions(setup: Setup) -> None:
    ending = "drop" if setup.native else "keep"
    setup.load(setup.pool(most=20), 1.5, setup.one_in(200, Work(ending=ending, site=_EXPORT)))
    setup.world.every(300.0, lambda: setup.forget_transaction("cron"), FAULT + 300)


def _leak_beside_statements(setup: Setup) -> None:
    """Each minute somebody runs a report that is overdue before it ends; one connection is kept."""
    client = setup.pool(most=20)
    setup.load(client, 1.5)
    report = Work(statement=300.0, statements=1, site="reports/nightly.py:9 run")
    setup.world.every(60.0, lambda: client.request(report), 300.0)
    setup.world.at(FAULT, lambda: client.request(Work(ending="keep", site=_EXPORT)))


def _leak_elsewhere(setup: Setup) -> None:
    """asyncpg and psycopg2 keep what is dropped, and nobody polls the server of this pool."""
    page = Page(native=True, host="elsewhere.example", loses_slots=False)
    work = setup.one_in(200, Work(ending="keep", site=_EXPORT))
    setup.load(setup.pool(page=page), 1.5, work)


def _down(setup: Setup) -> None:
    setup.load(setup.pool(), 1.0)
    setup.world.at(FAULT, lambda: setattr(setup.server, "up", False))


def _page_gone(setup: Setup) -> None:
    setup.load(setup.pool(), 1.0)
    setup.load(setup.pool(process="web:1"), 1.0)
    setup.world.at(FAULT, lambda: setup.exporter.failing.update({"web-1", "web:1"}))


def _slots_lost(setup: Setup) -> None:
    setup.load(setup.pool(), 1.5, setup.one_in(200, Work(ending="lose")))


def _reclaimed(setup: Setup) -> None:
    setup.load(
        setup.pool(), 2.0, setup.one_in(40, Work(ending="forget", site="shop/search.py:55 find"))
    )


def _pool_per_request(setup: Setup) -> None:
    client = setup.pool(least=0)
    load = setup.load(client, 2.0)

    def request() -> None:
        client.pool.make_anew("shop/api.py:12 session")
        client.request(Work())

    def begin() -> None:
        load.stopped = True
        setup.world.every(2.0, request, FAULT)

    setup.world.at(FAULT, begin)


def _pool_per_request_kept(setup: Setup) -> None:
    """Each in a list, under a name of its own."""
    setup.load(setup.pool(), 2.0)
    numbers = count(2)

    def request() -> None:
        client = setup.pool(name=f"main-{next(numbers)}", most=1, least=0)
        client.pool.made = Counter({"shop/api.py:12 session": 1})
        client.request(Work())

    setup.world.every(20.0, request, FAULT)


def _one(*causes: Cause) -> frozenset[Cause]:
    return frozenset(causes)


FAULTS = (
    Scenario(
        name="too-small", title="Pool too small under load", build=_too_small, hours=1.0,
        causes=_one(Cause.POOL_TOO_SMALL),
    ),
    Scenario(
        name="slow-queries", title="Slow queries hold connections", build=_slow_queries, hours=1.0,
        causes=_one(Cause.LONG_CHECKOUTS),
    ),
    Scenario(
        name="open-transactions", title="Transactions left open by a job without a pool",
        build=_open_transactions, causes=_one(Cause.IDLE_IN_TRANSACTION),
    ),
    Scenario(
        name="leak-beside-statements", title="One leak beside reports that run for minutes",
        build=_leak_beside_statements, causes=_one(Cause.LEAK), to_blame=frozenset({_EXPORT}),
        pages=("client",),
    ),
    Scenario(
        name="leak-elsewhere", title="Leak in a pool whose server is not polled",
        build=_leak_elsewhere, causes=_one(Cause.LEAK), to_blame=frozenset({_EXPORT}),
        pages=("client",),
    ),
    Scenario(
        name="lock-pile-up", title="Lock pile-up behind one blocker", build=_blocker, hours=1.0,
        causes=_one(Cause.LOCK_PILE_UP),
    ),
    Scenario(
        name="slots-lost", title="Slots lost inside the pool library", build=_slots_lost,
        causes=_one(Cause.SLOTS_LOST_IN_LIBRARY), pages=("client",),
    ),
    Scenario(
        name="reclaimed", title="Connections left to the garbage collector", build=_reclaimed,
        causes=_one(Cause.RECLAIMED_CONNECTIONS), hours=1.0, pages=("client",),
    ),
    Scenario(
        name="pool-per-request", title="A pool for each request", build=_pool_per_request,
        causes=_one(Cause.POOL_PER_REQUEST), hours=1.0, pages=("client",),
    ),
    Scenario(
        name="pool-per-request-kept", title="A pool for each request, all of them kept",
        build=_pool_per_request_kept, causes=_one(Cause.POOL_PER_REQUEST), hours=0.75,
        pages=("client",),
    ),
    Scenario(
        name="deadlocks", title="Deadlocks", build=_deadlocks, hours=1.0,
        causes=_one(Cause.LOCK_PILE_UP),
    ),
    Scenario(
        name="oversubscribed", title="Server oversubscribed by many pools", build=_oversubscribed,
        causes=_one(Cause.SERVER_OVERSUBSCRIBED),
    ),
    Scenario(
        name="server-full", title="Server full", build=_full, hours=1.0,
        causes=_one(Cause.SERVER_FULL),
    ),
    Scenario(
        name="leak-and-locks", title="Two at once: leak and lock pile-up", build=_leak_and_lock,
        causes=_one(Cause.LEAK, Cause.LOCK_PILE_UP), to_blame=frozenset({_EXPORT}),
    ),
    Scenario(
        name="leak-and-open-transactions", title="Two at once: leak and open transactions",
        build=_leak_and_open_transactions, causes=_one(Cause.LEAK, Cause.IDLE_IN_TRANSACTION),
        to_blame=frozenset({_EXPORT}),
    ),
    Scenario(
        name="postgresql-down", title="PostgreSQL unreachable", build=_down, hours=1.0,
        causes=_one(Cause.POSTGRESQL_UNREACHABLE),
    ),
    Scenario(
        name="page-gone", title="A process can't be read", build=_page_gone, hours=1.0,
        causes=_one(Cause.TARGET_UNREACHABLE),
    ),
)  # fmt: skip
