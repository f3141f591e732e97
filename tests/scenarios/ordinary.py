"""Applications that are common, and healthy. On the virtual clock only.

Their kinds of work run live in other scenarios.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

from scenarios.scenario import Scenario, Setup
from scenarios.world import Client, Load, Work

_MINUTE = 60.0
# Statements of one transaction that follow each other.
_TASK = Work(statement=1.5, statements=20, pause=0.5, transaction=True, site="shop/tasks.py:4 sync")
_STREAM = Work(
    statement=0.05, statements=20, pause=10.0, longest_pause=45.0, transaction=True,
    site="shop/export.py:12 rows",
)  # fmt: skip


def _come_and_go(
    setup: Setup, app: str, every: float, lasts: float, begin: Callable[[str], Load]
) -> None:
    """A new process every `every` seconds, which ends when it has lasted."""
    numbers = count()

    def start() -> None:
        process = f"{app}:{next(numbers)}"
        load = begin(process)

        def stop() -> None:
            load.stopped = True
            setup.stop(process)

        setup.world.after(lasts, stop)

    setup.world.every(every, start)


def _always_at_work(setup: Setup, client: Client, work: Work) -> Load:
    """Workers, as many as connections, each of which begins when it has ended its last work."""
    load = Load(client, 0, lambda: work)

    def begin() -> None:
        if not load.stopped:
            for _ in range(client.pool.most - client.pool.active):
                client.request(work)

    setup.world.every(0.1, begin, setup.world.now)
    return load


def _prefork(setup: Setup) -> None:
    """As Celery's: each child has one connection, and is replaced after ten minutes."""
    _come_and_go(
        setup, "orders", 120.0, 600.0,
        lambda child: _always_at_work(setup, setup.pool(process=child, most=1, least=0), _TASK),
    )  # fmt: skip


def _pinged(setup: Setup) -> None:
    """As HikariCP's keepalive: idle connections are pinged every two minutes."""
    client = setup.pool(least=10, lifetime=None)
    setup.load(client, 1.0)

    def ping() -> None:
        for _, session in client.pool.idle:
            session.become("idle", setup.world.now)

    setup.world.every(2 * _MINUTE, ping)


def _autoscaled(setup: Setup) -> None:
    setup.load(setup.pool(), 2.0)
    _come_and_go(
        setup, "orders", 180.0, 600.0, lambda pod: setup.load(setup.pool(process=pod), 2.0)
    )


def _each_minute(setup: Setup) -> None:
    """A job that is started every minute and ends before the next."""
    _come_and_go(
        setup, "reports", 60.0, 55.0,
        lambda job: setup.load(setup.pool("reports", job, most=2, least=1), 1.0),
    )  # fmt: skip


def _two_pools(setup: Setup) -> None:
    """One for requests and one for reports, with the same connection string."""
    setup.load(setup.pool(least=10, lifetime=None), 5.0)
    setup.load(setup.pool(name="reports", least=5, lifetime=None), 1 / 300)


def _clock_steps(setup: Setup) -> None:
    setup.load(setup.pool(least=5), 2.0)
    for minute, skew in ((25, 3600.0), (35, -600.0), (45, 0.0), (50, 45.0)):
        setup.world.at(minute * _MINUTE, partial(setattr, setup.server, "skew", skew))


def _rush(setup: Setup) -> None:
    """A cache expires every quarter of an hour: six requests for each connection at once."""
    client = setup.pool()
    setup.load(client, 2.0)

    def rush() -> None:
        for _ in range(60):
            client.request(Work(statement=0.5, statements=1))

    setup.world.every(15 * _MINUTE, rush, 300.0)


def _streams(setup: Setup) -> None:
    """Slow clients fetch rows from cursors for minutes."""
    client = setup.pool(most=30, least=10, lifetime=None)
    setup.load(client, 2.0)
    setup.load(client, 1 / 30, _STREAM)


ORDINARY = tuple(
    Scenario(name=name, title=title, build=build, hours=1.0)
    for name, title, build in (
        ("prefork", "Prefork workers that are always at work and replaced", _prefork),
        ("pinged", "Idle connections pinged every two minutes", _pinged),
        ("autoscaled", "Processes that come and go with the load", _autoscaled),
        ("each-minute", "A job started every minute", _each_minute),
        ("two-pools", "Two pools with one connection string", _two_pools),
        ("clock-steps", "The server's clock is set four times", _clock_steps),
        ("rush", "Six requests for each connection at once", _rush),
        ("streams", "Cursors read for minutes", _streams),
    )
)
