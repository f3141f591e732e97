"""Healthy workloads whose connections are checked out for long, or at unlucky moments.

Only behind another library's page: our client knows how long each checkout lasts.
"""

from __future__ import annotations

from functools import partial
from math import log, pi, sin

from scenarios.scenario import Scenario, Setup
from scenarios.world import Work

_MINUTE = 60.0
_FOREIGN = ("foreign, FIFO", "foreign, LIFO")


def _some(setup: Setup, chance: float, long: Work) -> None:
    """Quick requests in a pool of ten, and some long ones among them."""
    setup.load(
        setup.pool(least=10), 2.0, lambda: long if setup.world.random.random() < chance else Work()
    )


def _twenty_seconds(setup: Setup) -> None:
    # Between statements the session is idle, as if it were back in the pool.
    _some(setup, 0.01, Work(statement=0.02, statements=20, pause=1.0))


def _hundred_seconds(setup: Setup) -> None:
    _some(setup, 0.005, Work(statement=0.05, statements=100, pause=1.0, transaction=True))


def _heavy_tail(setup: Setup) -> None:
    mean, sigma = 0.3, 2.0

    def choose() -> Work:
        hold = setup.world.random.lognormvariate(log(mean) - sigma**2 / 2, sigma)
        return Work(statement=0.45 * hold, statements=2, pause=0.1 * hold)

    setup.load(setup.pool(most=20, least=10), 5.0, choose)


def _nightly(setup: Setup) -> None:
    setup.load(client := setup.pool(least=10), 2.0)
    batches = (
        Work(statement=0.02, statements=12_000, pause=0.005, transaction=True),
        Work(statement=0.02, statements=12_000, pause=0.005),  # a transaction each
        Work(statement=300.0, statements=1),
    )
    for number, batch in enumerate(batches):
        for at in (40, 41, 50):
            setup.world.at((at + number * 0.1) * _MINUTE, lambda batch=batch: client.request(batch))  # type: ignore[misc] # mypy can't infer a default's type


def _in_step(setup: Setup) -> None:
    client = setup.pool(least=10)
    setup.load(client, 0.5)
    first = setup.world.random.random()
    setup.world.every(1.0, lambda: client.request(Work(statement=0.05, statements=1)), first)


def _busy(setup: Setup) -> None:
    setup.load(setup.pool(most=20, least=20), 20.0, Work(statement=0.1, statements=2, pause=0.05))


def _steady(setup: Setup) -> None:
    setup.load(setup.pool(least=10), 2.0)


def _sinusoidal(setup: Setup) -> None:
    """Between no request and eight a second, in ten minutes."""
    load = setup.load(setup.pool(most=20, least=20), 4.0, Work(statement=0.2, pause=0.1))

    def change() -> None:
        load.rate = 4.0 * (1.0 + sin(2 * pi * setup.world.now / (10 * _MINUTE)))

    setup.world.every(1.0, change)


def _long_bursts(statements: int, rate: float, setup: Setup) -> None:
    """Each statement is followed by a pause, 0.82 seconds together."""
    client = setup.pool(most=20, least=20)
    setup.load(client, rate, Work(statement=0.2, statements=2, pause=0.1))

    def burst() -> None:
        for _ in range(8):
            client.request(Work(statement=0.02, statements=statements, pause=0.8))

    setup.world.every(8 * _MINUTE, burst, 5 * _MINUTE)


LONG_HOLDS = (
    Scenario(name="holds-20", title="Some checkouts last 20 seconds", build=_twenty_seconds,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="holds-100", title="Some transactions last 100 seconds", build=_hundred_seconds,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="heavy-tail", title="Heavy-tailed checkouts", build=_heavy_tail,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="night-jobs", title="Nine jobs at night, five minutes each", build=_nightly,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="in-step", title="A job each second, in step with the polls", build=_in_step,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="long-bursts", title="Bursts of 40-second checkouts in a busy pool",
             build=partial(_long_bursts, 50, 6.0), pages=_FOREIGN, hours=1.0),
    Scenario(name="longer-bursts", title="Bursts of 50-second checkouts",
             build=partial(_long_bursts, 60, 3.0), pages=_FOREIGN, hours=1.0),
    Scenario(name="steady", title="A steady load", build=_steady, pages=_FOREIGN, hours=1.0),
    Scenario(name="sinusoidal", title="A load that comes and goes", build=_sinusoidal,
             pages=_FOREIGN, hours=1.0),
    Scenario(name="busy", title="A busy pool", build=_busy, pages=_FOREIGN, hours=1.0),
)  # fmt: skip
