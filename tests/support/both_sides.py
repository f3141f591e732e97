"""One server and the pools of applications, reading by reading: for correlation and findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.model import (
    AppOnServer,
    BouncerPool,
    BouncerPoolKey,
    BouncerSample,
    ClientKey,
    DatabaseCounters,
    Health,
    OpenTransaction,
    PoolId,
    PoolInfo,
    PoolSample,
    ServerSample,
    ServerSettings,
    SessionGroup,
    SessionKey,
    Snapshot,
    TargetId,
)
from pg_pool_exporter.polling.store import Store, TargetState
from support.sources import process_id

INTERVAL = 5.0
ORDERS = AppOnServer("main", "orders")
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&\u202e\x1b[31m\ud800"
"""A name with everything that a page must not show as it is."""
_OF_BOUNCER = {
    "databases", "behind", "users", "paused", "max_clients", "host", "address", "port",
    "shares_port",
}  # fmt: skip
SETTINGS = ServerSettings(
    version="16.4", in_recovery=False, max_connections=100, reserved_connections=3
)
INFO = PoolInfo(
    client="psycopg_pool", source="instrumented", host="127.0.0.1", port="5432", database="shop",
    user="orders", application="orders",
)  # fmt: skip
Ages = Mapping[str, Iterable[float | OpenTransaction]]
"""By state, how long each session has been in it; with its transaction where that matters."""


def session_key(application: str = "orders", user: str = "orders") -> SessionKey:
    return SessionKey("shop", user, application)


class BothSides:
    """A store and its analysis. `now` is a time in seconds that only goes by on request."""

    def __init__(self, *apps: AppConfig) -> None:
        self.now = 1000.0
        self.store = Store()
        self.analyzer = Analyzer(self.store, Config(apps=apps), clock=lambda: self.now)

    @property
    def analysis(self) -> Analysis:
        """What is known now."""
        return self.analyzer.update()

    def evidence(self, field: str) -> dict[AppOnServer, Any]:
        """A field of the evidence, where it is known, by application and server."""
        found = self.analysis.fleet.evidence.items()
        values = {key: getattr(one, field) for key, one in found}
        return {key: value for key, value in values.items() if value not in (None, {})}

    def server(
        self,
        sessions: Mapping[ClientKey, Ages] | Mapping[SessionKey, Ages] | Ages,
        *,
        name: str = "main",
        hidden: bool | Mapping[str, int] = False,
        clock: float | None = None,
        took: float = 0.01,
        up: bool = True,
        groups: Mapping[SessionKey, SessionGroup] | None = None,
        held: Mapping[str, Any] | None = None,
        **sample: Any,
    ) -> None:
        """A poll of a server that took `took` seconds: the ages of its sessions by state, of
        one application's, or of several by where they come from. `held`: what their transactions
        hold.
        """
        key = TargetId("server", name)
        if not up:
            self._fail(key)
            return
        by_key: Any = sessions
        if any(isinstance(one, str) for one in sessions):
            by_key = {session_key(): sessions}
        clients = {
            one if isinstance(one, ClientKey) else ClientKey(one): _group(
                states, {"unknown": 1} if hidden is True else hidden or {}, held or {}
            )
            for one, states in by_key.items()
        }
        shown = {one.sessions: group for one, group in clients.items()}
        values: dict[str, Any] = {
            "host": "localhost", "address": "127.0.0.1", "port": "5432",
            "used": 1 + sum(group.sessions for group in clients.values()),
            "groups": shown if groups is None else groups,
            "databases": {"shop": DatabaseCounters(deadlocks=0)}, "settings": SETTINGS,
            "sessions": clients, "clock": 1e9 + self.now if clock is None else clock,
        }  # fmt: skip
        self._store(key, Snapshot(server=ServerSample(**{**values, **sample})), took)

    def pool(
        self,
        idle: float | None,
        active: float | None,
        *,
        app: str = "orders",
        name: str = "main",
        process: str = "web:0",
        target: TargetId | None = None,
        info: PoolInfo | None = INFO,
        address: str | None = None,
        **sample: Any,
    ) -> None:
        """A poll of a process that has one pool, at an address."""
        pool = pool_sample(PoolId(app, name, process), idle, active, info=info, **sample)
        target = target or process_id(f"{app}-{process.partition(':')[2]}")
        self._store(target, Snapshot(pools=(pool,), address=address))

    def process(self, *pools: PoolSample) -> None:
        """A poll of a process that has these pools."""
        key = pools[0].key
        target = process_id(f"{key.app}-{key.process.partition(':')[2]}")
        self._store(target, Snapshot(pools=pools))

    def bouncer(
        self,
        waiting: float,
        *,
        active: float = 20,
        database: str = "shop",
        user: str = "orders",
        name: str = "edge",
        connected: float | None = None,
        beside: Mapping[BouncerPoolKey, BouncerPool] | None = None,
        **more: Any,
    ) -> None:
        """A poll of a bouncer on this machine that has one pool, of 20 connections, and those
        `beside` it. `more` are fields of the pool, and of the bouncer.
        """
        of_bouncer: dict[str, Any] = {"clients": connected}
        of_bouncer |= {key: more.pop(key) for key in _OF_BOUNCER & more.keys()}
        values: dict[str, Any] = {
            "size": 20,
            "oldest_waiting": 3.0 if waiting else 0.0,
            "connections": {"active": active, "idle": 20 - active},
            "clients": {"waiting": waiting},
        }
        sample = BouncerPool(**{**values, **more})
        pools = {BouncerPoolKey(database, user): sample, **(beside or {})}
        snapshot = Snapshot(bouncer=_bouncer(pools, of_bouncer))
        self._store(TargetId("bouncer", name), snapshot)

    def unread(self, key: TargetId) -> None:
        """A target that is known and has never answered."""
        self.store.put(_state(key))

    def fail(
        self,
        target: TargetId,
        reason: str = "timeout",
        error: str = "nothing answers",
        limited: str = "",
    ) -> None:
        """A poll that fails."""
        self._fail(target, reason, error, limited)

    def _fail(
        self,
        key: TargetId,
        reason: str = "timeout",
        error: str = "nothing answers",
        limited: str = "",
    ) -> None:
        former = self.store.get(key) or _state(key)
        health = replace(
            former.health, up=False, polls=former.health.polls + 1, reason=reason,
            error=error, limited=limited,
            failures={reason: former.health.failures.get(reason, 0) + 1},
        )  # fmt: skip
        self.store.put(replace(former, health=health))

    def _store(self, key: TargetId, snapshot: Snapshot, took: float = 0.01) -> None:
        self.store.put(
            replace(
                _state(key), health=Health(up=True, polls=1), snapshot=snapshot,
                begun=self.now - took, taken=self.now,
            )
        )  # fmt: skip


def _bouncer(pools: Mapping[BouncerPoolKey, BouncerPool], more: Mapping[str, Any]) -> BouncerSample:
    known = {"host": "localhost", "address": "127.0.0.1", "port": "6432", "databases": {}}
    return BouncerSample(version="1.18.0", pools=pools, **{**known, **more})


def _state(key: TargetId) -> TargetState:
    """The state of a target before its first poll."""
    return TargetState(key=key, interval=INTERVAL, is_local=key.kind == "process")


def pool_sample(key: PoolId, idle: float | None, active: float | None, **sample: Any) -> PoolSample:
    """A pool of at most ten connections, which our client measures."""
    values = {
        "info": INFO, "max": 10, "leak_after": 60.0, "instances": {"shop/db.py:3 <module>": 1},
        **sample,
    }  # fmt: skip
    return PoolSample(key=key, idle=idle, active=active, **values)


def _group(states: Ages, hidden: Mapping[str, int], held: Mapping[str, Any]) -> SessionGroup:
    """`held`: what the transactions of these sessions hold."""
    ages = {
        state: tuple(
            sorted(
                (one.state_age if isinstance(one, OpenTransaction) else one for one in each),
                reverse=True,
            )
        )
        for state, each in states.items()
    }
    transactions = {
        state: tuple(one for one in each if isinstance(one, OpenTransaction))
        for state, each in states.items()
    }
    return SessionGroup(ages=ages, hidden=hidden, transactions=transactions, **held)


def everywhere(text: str) -> BothSides:
    """The same text as every name that there is."""
    sides = BothSides(AppConfig(name="orders"))
    key = session_key(text, text)
    sides.pool(
        1, 2, app=text, name=text, process=text, leaked_slots={text: 1},
        target=TargetId("app", text),
    )  # fmt: skip
    groups = {key: SessionGroup(waiting=6, oldest_waiting=45.0, blocking=1)}
    sides.server(
        {key: {"idle_in_transaction": [600.0]}}, groups=groups, held={"blocking": 1},
        databases={text: DatabaseCounters(deadlocks=1)},
    )  # fmt: skip
    sides.bouncer(5, database=text, user=text, name=text)
    sides.fail(TargetId("process", text), text)
    return sides


def unreturned(sides: BothSides) -> float | None:
    found: float | None = sides.evidence("unreturned").get(ORDERS)
    return found
