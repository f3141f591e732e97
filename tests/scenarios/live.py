"""How each scenario runs with real pools, a real PostgreSQL, the exporter and a real Prometheus.

All durations of the exporter and of our rules are divided by one factor; how often requests come is
multiplied by it. How long an application's statements take is not, as it is what it is.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scenarios import live_clients as clients
from scenarios.live_stand import App, Stand
from scenarios.ordinary import ORDINARY
from scenarios.scenario import Scenario
from scenarios.verdict import SCENARIOS
from support.wall_clock import offset_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How a scenario runs live. Times are real seconds."""

    apps: tuple[App, ...]
    seconds: float = 50.0
    """From the fault to the verdict."""
    act: Callable[[Stand], None] = lambda _stand: None
    """What somebody does to the running stand, from the fault on."""
    factor: float = 20.0
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """The server's."""
    bouncer: Mapping[str, str | int] | None = None
    """The settings of a PgBouncer in front of the server to which the applications connect."""
    link: bool = False
    """Whether there is a link between the two, `stand.link`."""


def _leak(kind: str, one_in: int = 200, rate: float = 30.0, *more: App, **pool: Any) -> Live:
    """A leak as fast as on the virtual clock."""
    return Live(apps=(App(fault=kind, one_in=one_in, rate=rate, **pool), *more), seconds=80.0)


def _fill(stand: Stand) -> None:
    for _ in range(90):
        stand.stack.enter_context(stand.cluster.connect(application_name="batch"))


def _forget_transactions(stand: Stand) -> None:
    """A job without a pool."""
    while not stand.ended.wait(5):
        job = stand.stack.enter_context(stand.cluster.connect(application_name="cron"))
        job.execute("BEGIN")


def _deploy(stand: Stand) -> None:
    for _ in range(8):
        stand.start(_SMALL)


def _stop_server(stand: Stand) -> None:
    stand.cluster.pause_all()
    stand.ended.wait()
    stand.cluster.resume()


def _stop_process(stand: Stand) -> None:
    stand.processes[1].send_signal(signal.SIGSTOP)
    stand.ended.wait()
    stand.processes[1].send_signal(signal.SIGCONT)


def _flap(stand: Stand) -> None:
    """A process hangs for half a second in every other one."""
    while not stand.ended.wait(1.45):
        stand.processes[1].send_signal(signal.SIGSTOP)
        stand.ended.wait(0.55)
        stand.processes[1].send_signal(signal.SIGCONT)


def _restart_all(stand: Stand) -> None:
    for process in list(stand.processes):
        stand.end(process)
        stand.start(_SMALL)
        if stand.ended.wait(3):
            return


def _is_behind(stand: Stand) -> None:
    ((seconds,),) = stand.cluster.run("SELECT extract(epoch FROM clock_timestamp())")
    assert -3660 < float(seconds) - time.time() < -3540, "libfaketime has no effect"


def _is_in_front(stand: Stand) -> None:
    assert stand.bouncer is not None
    clients = {row["database"]: row["cl_active"] for row in stand.bouncer.console("SHOW POOLS")}
    assert clients["postgres"] > 0, "nobody is connected to the bouncer"


def _deploy_large(stand: Stand) -> None:
    stand.start(App(app="billing", rate=0, most=40))


def behind(mode: str = "transaction", size: int = 5, **more: int) -> Mapping[str, str | int]:
    """Settings of a PgBouncer."""
    return {"pool_mode": mode, "default_pool_size": size, **more}


_SMALL = App(rate=5)
_MIGRATION = App(app="billing", rate=0, fault="migrate", faulty_rate=0.04, most=2, least=1)
LIVE: dict[str, Live] = {
    "leak-drop-slow": _leak("drop"),
    "leak-drop-fast": _leak("drop", 40, 40.0),
    "leak-keep": _leak("keep"),
    "leak-in-transaction": _leak("keep_in_transaction"),
    "leak-exception": _leak("exception"),
    "leak-growing-pool": _leak("keep"),
    "leak-two-processes": _leak("keep", 200, 30.0, App(rate=30)),
    "leak-two-hosts": _leak(
        "keep", 200, 30.0, App(rate=30, host="127.0.0.3"), host="127.0.0.2"
    ),
    "leak-early-return": _leak("early_return", 300, 40.0),
    "too-small": Live(apps=(App(rate=6, otherwise="hold", fault="hold", faulty_rate=28),)),
    "slow-queries": Live(apps=(App(fault="slow", rate=6),)),
    "open-transactions": Live(apps=(App(rate=30),), act=_forget_transactions, seconds=80.0),
    "leak-beside-statements": Live(
        apps=(App(most=20, fault="keep_beside_reports", one_in=60),), seconds=60.0
    ),
    # Behind a link, whose address is not the server's.
    "leak-elsewhere": _leak("keep", library="psycopg2", host="127.0.0.2"),
    # Ends before the lock does: all that waited for half a minute would come back within the few
    # seconds that rates are over here.
    "lock-pile-up": Live(
        apps=(App(most=20, otherwise="lock", fault="lock"), _MIGRATION), seconds=28.0
    ),
    "slots-lost": _leak("lose"),
    "reclaimed": Live(apps=(App(fault="forget", one_in=20, rate=40),)),
    "pool-per-request": Live(apps=(App(fault="own_pool", one_in=10, rate=30),)),
    "pool-per-request-kept": Live(
        apps=(App(fault="keep_pool", one_in=25, rate=25),), seconds=80.0, factor=10.0,
        settings={"max_connections": "200"},
    ),
    "deadlocks": Live(apps=(App(fault="deadlock", one_in=240),)),
    "oversubscribed": Live(
        apps=(App(processes=6, rate=5),), act=_deploy, seconds=70.0
    ),
    "server-full": Live(apps=(App(),), act=_fill),
    "leak-and-locks": Live(
        apps=(
            App(fault="drop", one_in=200, rate=30),
            App(app="shop", most=20, otherwise="lock", fault="lock"),
            _MIGRATION,
        ),
        seconds=28.0,
    ),
    "leak-and-open-transactions": Live(
        apps=(
            App(fault="drop", one_in=200, rate=30),
        ),
        act=_forget_transactions,
        seconds=60.0,
    ),
    "postgresql-down": Live(apps=(App(),), act=_stop_server),
    "page-gone": Live(apps=(App(processes=2),), act=_stop_process),
    "bursts": Live(apps=(App(fault="burst", one_in=600),), seconds=75.0),
    "batch": Live(
        apps=(App(), App(app="reports", most=4, rate=0, fault="long_query", faulty_rate=0.11))
    ),
    "batch-in-transaction": Live(
        apps=(App(), App(app="reports", most=4, least=3, rate=0, fault="batch", faulty_rate=0.01))
    ),
    "think-time": Live(apps=(App(most=20, least=10, fault="think", one_in=20),)),
    "no-application-name": Live(
        apps=(
            App(named=False, least=5, fault="long_query", one_in=100),
            App(app="billing", named=False),
        )
    ),
    "breathing": Live(
        apps=(App(most=20, max_idle=2, rate=22, otherwise="half", fault="half",
                  period=60, busy=24),),
        seconds=125.0,
    ),
    "min-idle": Live(apps=(App(least=10, rate=0),)),
    "rolling-restart": Live(apps=(App(processes=6, rate=5),), act=_restart_all, seconds=60.0),
    "pgbouncer": Live(
        apps=(App(at_start=("listen",)),), bouncer=behind(size=3), act=_is_in_front
    ),
    # Fifty real processes are much for a small machine.
    "fifty-processes": Live(
        apps=(App(processes=50, most=4, least=1, rate=1),),
        factor=10.0,
        settings={"max_connections": "400"},
    ),
    "clock-skew": Live(apps=(App(),), environment=offset_by("-3600"), act=_is_behind),
    "flapping": Live(apps=(App(processes=2),), act=_flap),
    "low-traffic": Live(apps=(App(least=5, rate=1 / 30),)),
    "on-their-way": Live(apps=(App(fault="burst", one_in=600, max_idle=2),)),
    "seldom-reclaimed": Live(apps=(App(fault="forget", one_in=150),)),
    "made-anew": Live(apps=(App(fault="own_pool", one_in=150),)),
    "tenants": Live(apps=(App(at_start=("tenants",)),), factor=10.0),
    "listen": Live(apps=(App(at_start=("listen",)),)),
    "bouncer-leak": replace(_leak("keep"), bouncer=behind()),
    **{
        f"bouncer-{name}": Live(apps=(App(),), act=act, bouncer=settings)
        for name, act, settings in (
            ("idle-in-transaction", clients.forget_transactions, behind()),
            ("long-transactions", clients.run_long_statements, behind()),
            ("too-small", clients.rush, behind(size=2)),
            ("paused", clients.pause, behind()),
            ("too-many-clients", clients.connect_many, behind(max_client_conn=75)),
            ("oversubscribed", _deploy_large, behind(max_client_conn=30)),
            ("session-kept", clients.keep_some_connections, behind("session", 20)),
            ("long-with-room", clients.run_long_statements, behind(size=40)),
            ("many-clients", clients.connect_many, behind(size=8)),
            ("deployment", clients.connect_many, behind()),
        )
    },
    "bouncer-session-held": Live(
        apps=(App(most=clients.SESSIONS),), act=clients.keep_all_connections,
        bouncer=behind("session", clients.SESSIONS),
    ),
    "bouncer-server-unavailable": Live(
        apps=(App(),), act=clients.cut_the_link, bouncer=behind(), link=True
    ),
    "bouncer-logins": Live(
        apps=(App(),), act=clients.connect_for_each_request, bouncer=behind(), seconds=80.0
    ),
    # Longer than thinking lasts.
    "bouncer-think-time": Live(
        apps=(App(most=20, least=10, fault="think", one_in=20),), bouncer=behind(size=20),
        factor=10.0,
    ),
}  # fmt: skip


def stand_of(name: str, page: str) -> Live:
    """How a scenario runs whose pools are read by `page`.

    Other libraries' pools that leak have a fixed size, as on the virtual clock.
    """
    how = LIVE[name]
    if page == "client" or name == "leak-growing-pool":
        return how
    return replace(how, apps=tuple(replace(app, least=app.most) for app in how.apps))


def _name(scenario: Scenario, page: str) -> str:
    return scenario.name + page.removeprefix("client").replace("foreign, ", "-").lower()


RUNS = {
    _name(scenario, page): (scenario, page)
    for scenario in SCENARIOS
    for page in scenario.pages
    if scenario not in ORDINARY and (scenario.leak or page == "client")
}
"""What runs live, by name: leaks with each page, others with the client's if they have one."""
ALWAYS = ("leak-drop-slow", "leak-keep-lifo", "lock-pile-up", "low-traffic")
"""Those that run with all tests."""
