"""Applications behind a PgBouncer: what goes wrong there, and what looks like it and is not."""

from __future__ import annotations

from functools import partial

from pg_pool_exporter.analysis.findings.finding import Cause
from scenarios.bouncer import Bouncer
from scenarios.exporter import Page
from scenarios.scenario import FAULT, Scenario, Setup
from scenarios.world import Client, Pool, Work
from support.console_source import HOST, PORT

_ROLE = "app"
"""All applications share it, and so the bouncer's pool."""
_KEEP = Work(ending="keep", site="shop/cart.py:88 hold")
_FORGOTTEN = Work(ending="keep", transaction=True, statements=1)


def _front(
    setup: Setup, *, mode: str = "transaction", size: int = 5, clients: int = 100
) -> Bouncer:
    bouncer = Bouncer(setup.server, mode=mode, size=size, most_clients=clients)
    setup.exporter.watch_bouncer("edge", bouncer)
    return bouncer


def _pool(setup: Setup, bouncer: Bouncer, app: str = "orders", most: int = 10) -> Client:
    page = Page(native=setup.native, host=HOST, port=PORT)
    return setup.pool(
        app, f"{app}:0", page=page, most=most, user=_ROLE, server=bouncer, lifetime=None
    )


def _unwatched(bouncer: Bouncer, application: str, most: int = 10, least: int = 0) -> Client:
    """Of an application whose pools are not read."""
    pool = Pool(bouncer, application, most=most, least=least, lifetime=None, user=_ROLE)
    return Client(pool)


def _deploy_crowd(setup: Setup, bouncer: Bouncer, clients: int) -> None:
    """At the fault, clients that do nothing."""

    def deploy() -> None:
        _unwatched(bouncer, "crowd", most=clients, least=clients)

    setup.world.at(FAULT, deploy)


def _leak(setup: Setup) -> None:
    setup.load(_pool(setup, _front(setup)), 1.5, setup.one_in(200, _KEEP))


def _idle_in_transaction(setup: Setup) -> None:
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)
    cron = _unwatched(bouncer, "cron")
    for number in range(3):
        setup.world.at(FAULT + 60 * number, lambda: cron.request(_FORGOTTEN))


def _think_time(setup: Setup) -> None:
    """Nothing is done in transactions for less than the threshold."""
    bouncer = _front(setup, size=10)
    client = _pool(setup, bouncer)
    setup.load(client, 1.0)
    think = Work(statement=0.02, statements=4, pause=8.0, longest_pause=20.0, transaction=True)
    setup.load(client, 1 / 20, think)


def _session_held(setup: Setup) -> None:
    """Another application's pool opens its connections, and needs none of them."""
    bouncer = _front(setup, mode="session", size=10)
    setup.load(_pool(setup, bouncer, most=6), 2.0)

    def deploy() -> None:
        greedy = _unwatched(bouncer, "greedy", least=9)
        for _ in range(9):
            greedy.request(Work(statement=0.5, statements=1))

    setup.world.at(FAULT, deploy)


def _session_kept(setup: Setup) -> None:
    """Idle pools keep connections in session mode, and nobody wants them."""
    bouncer = _front(setup, mode="session", size=20)
    setup.load(_pool(setup, bouncer, most=6), 2.0)
    idle = _unwatched(bouncer, "quiet", least=9)
    for _ in range(9):
        idle.request(Work(statement=0.5, statements=1))


def _long_transactions(setup: Setup) -> None:
    _exports(setup, _front(setup))


def _long_with_room(setup: Setup) -> None:
    """The same statements, with enough connections."""
    _exports(setup, _front(setup, size=20))


def _exports(setup: Setup, bouncer: Bouncer) -> None:
    """Statements of 40 s beside a light load, from the fault on."""
    setup.load(_pool(setup, bouncer), 1.0)
    reports = _unwatched(bouncer, "exports")
    long = Work(statement=40.0, statements=1)
    setup.world.every(6.0, lambda: reports.request(long), FAULT)


def _too_small(setup: Setup) -> None:
    bouncer = _front(setup, size=2)
    setup.load(_pool(setup, bouncer), 1.0)
    rush = setup.load(_unwatched(bouncer, "rush", most=40), 0.0, Work(statement=0.1, statements=1))
    setup.world.at(FAULT, lambda: setattr(rush, "rate", 30.0))


def _many_clients_few_connections(setup: Setup) -> None:
    """As a bouncer is meant: clients far outnumber connections, and each is served at once."""
    bouncer = _front(setup, size=8)
    setup.load(_pool(setup, bouncer), 4.0)
    crowd = _unwatched(bouncer, "crowd", most=60, least=60)
    setup.load(crowd, 20.0, Work(statement=0.05, statements=1))


def _server_unavailable(setup: Setup) -> None:
    """A route or a rule of a firewall is gone: the exporter still reaches the server."""
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)

    def cut() -> None:
        bouncer.reachable = False
        for each in bouncer.idle.values():
            while each:
                setup.server.close(each.pop())

    setup.world.at(FAULT, cut)


def _paused(setup: Setup) -> None:
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)
    setup.world.at(FAULT, lambda: setattr(bouncer, "paused", True))


def _too_many_clients(setup: Setup) -> None:
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)
    _deploy_crowd(setup, bouncer, 90)


def _oversubscribed(setup: Setup) -> None:
    bouncer = _front(setup, clients=50)
    setup.load(_pool(setup, bouncer), 2.0)

    def deploy() -> None:
        _pool(setup, bouncer, "billing", most=60)

    setup.world.at(FAULT, deploy)


def _logins(setup: Setup) -> None:
    """Another application connects for each request."""
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)
    setup.world.every(1 / 30, partial(_connects, bouncer), FAULT)


def _connects(bouncer: Bouncer) -> None:
    session = bouncer.connect("script", "script:0", _ROLE)

    def work() -> None:
        session.become("active", bouncer.world.now)
        session.become("idle", bouncer.world.now)
        bouncer.close(session)

    bouncer.begin(session, work)


def _deployment(setup: Setup) -> None:
    """Many log in at once, once."""
    bouncer = _front(setup)
    setup.load(_pool(setup, bouncer), 2.0)
    _deploy_crowd(setup, bouncer, 60)


BOUNCERS = (
    Scenario(
        name="bouncer-leak", title="Leak behind PgBouncer", build=_leak, bouncers=("edge",),
        causes=frozenset({Cause.LEAK}), to_blame=frozenset({_KEEP.site}), leak=True,
        pages=("client", "foreign, FIFO", "foreign, LIFO"),
    ),
    *(
        Scenario(
            name=f"bouncer-{name}", title=title, build=build, causes=frozenset({cause}),
            hours=1.0, bouncers=("edge",), pages=("client",),
        )
        for name, title, build, cause in (
            ("idle-in-transaction", "Transactions forgotten behind PgBouncer",
             _idle_in_transaction, Cause.BOUNCER_IDLE_IN_TRANSACTION),
            ("session-held", "An idle pool keeps PgBouncer's connections in session mode",
             _session_held, Cause.BOUNCER_SESSION_HELD),
            ("long-transactions", "Long statements behind PgBouncer",
             _long_transactions, Cause.BOUNCER_LONG_TRANSACTIONS),
            ("too-small", "PgBouncer's pool too small under load",
             _too_small, Cause.BOUNCER_POOL_TOO_SMALL),
            ("server-unavailable", "PgBouncer does not reach its server",
             _server_unavailable, Cause.BOUNCER_SERVER_UNAVAILABLE),
            ("paused", "PgBouncer paused", _paused, Cause.BOUNCER_PAUSED),
            ("too-many-clients", "Clients of PgBouncer near max_client_conn",
             _too_many_clients, Cause.BOUNCER_TOO_MANY_CLIENTS),
            ("oversubscribed", "Pools that may open more than max_client_conn",
             _oversubscribed, Cause.BOUNCER_LIMITS_OVERSUBSCRIBED),
            ("logins", "A login at PgBouncer for each request", _logins, Cause.BOUNCER_LOGINS),
        )
    ),
    *(
        Scenario(
            name=f"bouncer-{name}", title=title, build=build, hours=1.0, bouncers=("edge",),
            pages=("client", "foreign, LIFO"),
        )
        for name, title, build in (
            ("think-time", "Think time inside transactions behind PgBouncer", _think_time),
            ("session-kept", "Idle pools in session mode, with connections left", _session_kept),
            ("long-with-room", "Long statements behind PgBouncer, with connections left",
             _long_with_room),
            ("many-clients", "Many clients share few connections of PgBouncer",
             _many_clients_few_connections),
            ("deployment", "Many clients log in at PgBouncer at once", _deployment),
        )
    ),
)  # fmt: skip
