"""Workloads that look odd and are not: nothing may be said of them."""

from __future__ import annotations

from collections import Counter
from functools import partial

from scenarios.exporter import Page
from scenarios.scenario import Scenario, Setup
from scenarios.world import Work

_MINUTE = 60.0


def _bursts(setup: Setup) -> None:
    client = setup.pool()
    setup.load(client, 1.0)

    def burst() -> None:
        for _ in range(12):
            client.request(Work(statement=3.0, statements=1))

    setup.world.every(10 * _MINUTE, burst, 5 * _MINUTE)


def _batch(setup: Setup) -> None:
    setup.load(setup.pool(), 2.0)
    night = setup.pool(app="reports", process="batch:0", most=4, least=1)

    def long_query() -> None:
        if 30 * _MINUTE <= setup.world.now <= 60 * _MINUTE:
            night.request(Work(statement=120.0, statements=1, site="reports/nightly.py:9 run"))

    setup.world.every(3 * _MINUTE, long_query, 30 * _MINUTE)


def _batch_in_transaction(setup: Setup) -> None:
    """Statements of one transaction follow each other for 20 minutes."""
    setup.load(setup.pool(), 2.0)
    night = setup.pool(app="reports", process="batch:0", most=4, least=3, lifetime=None)
    setup.world.at(
        30 * _MINUTE,
        lambda: night.request(
            Work(
                statement=2.0, statements=480, pause=0.5, transaction=True,
                site="reports/nightly.py:9 run",
            )
        ),
    )  # fmt: skip


def _think_time(setup: Setup) -> None:
    """People look at what they have read, for less than a minute, before they go on."""
    think = Work(
        statement=0.02, statements=4, pause=25.0, longest_pause=45.0, transaction=True,
        site="shop/checkout.py:5 ask",
    )  # fmt: skip
    client = setup.pool(most=20, least=10, lifetime=None)
    setup.load(client, 0.5)
    setup.load(client, 1 / 30, think)


def _no_application_name(setup: Setup) -> None:
    """As the libraries have it by default: what distinguishes two applications is their role."""
    client = setup.pool(application="", least=5, lifetime=None)
    setup.load(client, 1.0)
    setup.load(setup.pool(app="billing", process="job:0", application=""), 0.5)
    report = Work(statement=120.0, statements=1, site="reports/nightly.py:9 run")
    setup.world.every(10 * _MINUTE, lambda: client.request(report), 30 * _MINUTE)


def _breathes(setup: Setup) -> None:
    client = setup.pool(most=20)
    load = setup.load(client, 1.0, Work(statement=0.5, statements=2))
    for number in range(6):
        setup.world.at(number * 20 * _MINUTE, lambda: setattr(load, "rate", 11.0))
        setup.world.at((number * 20 + 8) * _MINUTE, lambda: setattr(load, "rate", 0.2))


def _min_idle(setup: Setup) -> None:
    setup.pool(least=10, lifetime=None)


def _rolling_restart(setup: Setup) -> None:
    loads = {}
    for number in range(6):
        process = f"web:{number}"
        loads[process] = setup.load(setup.pool(process=process), 1.0)

    def restart(process: str) -> None:
        loads[process].stopped = True
        setup.stop(process)
        successor = f"{process}0"
        setup.load(setup.pool(process=successor), 1.0)

    for number in range(6):
        at = (40 + number) * _MINUTE
        setup.world.at(at, lambda number=number: restart(f"web:{number}"))  # type: ignore[misc] # mypy can't infer a default's type


def _bouncer(setup: Setup) -> None:
    # The pool's connections end at the bouncer, which has few sessions under the same name.
    page = Page(native=setup.native, host="bouncer.example", port="6432")
    client = setup.pool(page=page)
    setup.load(client, 2.0)
    client.request(Work(statement=1e9, statements=1, long_lived=True))
    setup.world.at(0.0, lambda: setup.foreign_sessions(3, "orders"))


def _fifty(setup: Setup) -> None:
    setup.server.max_connections = 400
    for number in range(50):
        setup.load(setup.pool(process=f"web:{number}", most=4, least=1), 0.2)


def _skew(setup: Setup) -> None:
    setup.server.skew = -3600.0
    setup.load(setup.pool(), 2.0)


def _flapping(setup: Setup) -> None:
    setup.load(setup.pool(), 2.0)
    setup.load(setup.pool(process="web:1"), 2.0)
    names = {"web-1", "web:1"}
    setup.world.every(40.0, lambda: setup.exporter.failing.update(names), 300.0)
    setup.world.every(40.0, lambda: setup.exporter.failing.difference_update(names), 309.0)


def _low_traffic(setup: Setup) -> None:
    setup.load(setup.pool(least=5, lifetime=None), 1 / 600)


def _listen(setup: Setup) -> None:
    client = setup.pool()
    listen = Work(statement=0.001, statements=1, ending="keep", long_lived=True)
    client.request(listen)
    setup.load(client, 1.0)


def _lost_attempts(setup: Setup) -> None:
    """A slot is missing now and then for a moment: a connection is on its way."""
    client = setup.pool()
    setup.load(client, 2.0)
    setup.world.every(_MINUTE, lambda: client.pool.missing.append(setup.world.now), 300.0)
    setup.world.every(_MINUTE, client.pool.missing.clear, 340.0)


def _seldom_reclaimed(setup: Setup) -> None:
    client = setup.pool()
    setup.load(client, 2.0)
    setup.world.every(2 * _MINUTE, lambda: client.request(Work(ending="forget")), 300.0)


def _made_anew(setup: Setup) -> None:
    """A new pool at each reload of the configuration, and one for each tenant, once."""
    client = setup.pool()
    setup.load(client, 2.0)
    setup.world.every(2 * _MINUTE, lambda: client.pool.make_anew("shop/reload.py:5 reload"), 300.0)

    def tenant(number: int) -> None:
        setup.pool(app="billing", process=f"tenant:{number}", most=2, least=1)

    for number in range(12):
        setup.world.at(1800.0 + 10 * number, partial(tenant, number))


def _tenants(setup: Setup) -> None:
    """A pool for each tenant: dozens at the start, one each minute later, and a morning on which
    those that have roles of their own come one after the other.
    """
    setup.server.max_connections = 400
    setup.load(setup.pool(), 2.0)

    def tenant(number: int, user: str = "") -> None:
        client = setup.pool(name=f"tenant-{number}", most=2, least=0, user=user)
        client.pool.made = Counter({"shop/tenants.py:8 pool_of": 1})
        client.request(Work())

    for number in range(30):
        tenant(number)
        setup.world.at((5 + number) * _MINUTE, partial(tenant, 100 + number))
        setup.world.at(40 * _MINUTE + 10 * number, partial(tenant, 200 + number, f"role_{number}"))


HEALTHY = (
    Scenario(name="bursts", title="Bursts to 100 % for a few seconds", build=_bursts),
    Scenario(name="batch", title="Nightly batch with long queries", build=_batch),
    Scenario(name="batch-in-transaction", title="Nightly batch in one transaction",
             build=_batch_in_transaction),
    Scenario(name="think-time", title="Think time inside transactions", build=_think_time),
    Scenario(name="no-application-name", title="Long queries, and no application_name",
             build=_no_application_name, pages=("client",)),
    Scenario(name="breathing", title="A pool that shrinks and grows", build=_breathes),
    Scenario(name="min-idle", title="Connections idle for hours", build=_min_idle),
    Scenario(name="rolling-restart", title="Rolling restart of all processes",
             build=_rolling_restart),
    Scenario(name="pgbouncer", title="PgBouncer in front", build=_bouncer),
    Scenario(name="fifty-processes", title="An application with 50 processes", build=_fifty,
             hours=1.0),
    Scenario(name="clock-skew", title="The server's clock is an hour behind", build=_skew),
    Scenario(name="flapping", title="A target that flaps", build=_flapping),
    Scenario(name="low-traffic", title="Low traffic: idle for hours, checked out for milliseconds",
             build=_low_traffic),
    Scenario(name="on-their-way", title="Connections that are counted before they are made",
             build=_lost_attempts, pages=("client",)),
    Scenario(name="seldom-reclaimed", title="A few connections left to the garbage collector",
             build=_seldom_reclaimed, pages=("client",)),
    Scenario(name="made-anew", title="A pool made anew at each reload", build=_made_anew,
             pages=("client",)),
    Scenario(name="tenants", title="A pool for each tenant", build=_tenants, hours=1.0,
             pages=("client",)),
    Scenario(name="listen", title="A LISTEN connection, declared long-lived", build=_listen,
             long_lived=1),
)  # fmt: skip
