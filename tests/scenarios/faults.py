"""What else goes wrong: load, slow queries, transactions, locks, a full server."""

from __future__ import annotations

from pg_pool_exporter.analysis.finding import Cause
from scenarios.scenario import FAULT, Scenario, Setup
from scenarios.world import Lock, Work

_LOADED = Work(statement=0.2, statements=2, pause=0.001)


def _too_small(setup: Setup) -> None:
    load = setup.load(setup.pool(lifetime=None), 6.0, _LOADED)
    setup.world.at(FAULT, lambda: setattr(load, "rate", 24.5))


def _slow_queries(setup: Setup) -> None:
    slow = Work(statement=5.0, statements=1)
    setup.load(setup.pool(), 3.0, lambda: slow if setup.world.now >= FAULT else Work())


def _zombies(setup: Setup) -> None:
    setup.load(setup.pool(), 1.5, setup.one_in(200, Work(transaction=True, ending="zombie")))


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
    setup.load(
        setup.pool(), 1.5, setup.one_in(200, Work(ending=ending, site="shop/reports.py:17 export"))
    )
    lock = Lock()
    setup.locks.append(lock)
    other = setup.pool(app="billing", process="job:0", most=20)
    setup.load(other, 1.0, lambda: Work(lock=lock) if setup.world.random.random() < 0.1 else Work())
    setup.world.at(
        FAULT + 60,
        lambda: other.request(Work(statement=600.0, statements=1, lock=lock, transaction=True)),
    )


def _leak_and_zombies(setup: Setup) -> None:
    leak = Work(ending="drop" if setup.native else "keep", site="shop/reports.py:17 export")
    zombie = Work(transaction=True, ending="zombie", site="shop/cart.py:88 hold")

    def choose() -> Work:
        chance = setup.world.random.random()
        if setup.world.now < FAULT or chance > 1 / 100:
            return Work()
        return leak if chance < 1 / 150 else zombie

    setup.load(setup.pool(most=20), 1.5, choose)


def _down(setup: Setup) -> None:
    setup.load(setup.pool(), 1.0)
    setup.world.at(FAULT, lambda: setattr(setup.server, "up", False))


def _page_gone(setup: Setup) -> None:
    setup.load(setup.pool(), 1.0)
    setup.load(setup.pool(process="web:1"), 1.0)
    setup.world.at(FAULT, lambda: setup.exporter.failing.update({"web-1", "web:1"}))


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
        name="zombies", title="Transactions left open", build=_zombies,
        causes=_one(Cause.IDLE_IN_TRANSACTION),
    ),
    Scenario(
        name="lock-pile-up", title="Lock pile-up behind one blocker", build=_blocker, hours=1.0,
        causes=_one(Cause.LOCK_PILE_UP),
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
        causes=_one(Cause.LEAK, Cause.LOCK_PILE_UP),
    ),
    Scenario(
        name="leak-and-zombies", title="Two at once: leak and open transactions",
        build=_leak_and_zombies, causes=_one(Cause.LEAK, Cause.IDLE_IN_TRANSACTION),
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
