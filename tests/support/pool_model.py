"""Pools, a server and an exporter that reads both, in a model in which everything is known.

Time goes by in steps of a second. What is random is drawn from the `Random` that is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from random import Random

from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.model import (
    AppOnServer,
    ClientKey,
    Health,
    LeakEvidence,
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
from pg_pool_exporter.polling.store import Change, Store, TargetState
from support.sources import process_id

THRESHOLD = 10.0
INTERVAL = 2.0
KEY = AppOnServer("main", "orders")
NAME = SessionKey("shop", "orders", "orders")
SETTINGS = ServerSettings(
    version="16.4", in_recovery=False, max_connections=100, reserved_connections=3
)


@dataclass(slots=True, eq=False)
class Session:
    """A session on the server. `changed` is when it last did anything; `busy` while it does."""

    changed: float
    busy: bool = False
    in_transaction: bool = False
    """Between its statements."""
    address: str = ""
    """Where it comes from."""


@dataclass(slots=True, eq=False)
class Checkout:
    """A connection that is out: for how many more steps (None: forever), and what it does."""

    session: Session | None
    left: int | None
    works: float
    """Chance of each step in which it does something."""
    long_lived: bool = False


@dataclass(slots=True)
class PoolModel:
    """A pool of one process. `lifo`: the connection returned last is checked out first."""

    size: int
    lifo: bool
    pings: bool
    """Whether connections in the pool are kept alive."""
    page: str = ""
    """The address at which it is read; empty: a socket."""
    source: str = ""
    """The address that its sessions come from."""
    dropped: int = 0
    idle: deque[Session] = field(default_factory=deque)
    out: list[Checkout] = field(default_factory=list)

    def check_out(self, server: list[Session], now: float) -> Session | None:
        """A session from the pool, or a new one; None when there is no room."""
        if self.idle:
            return self.idle.pop() if self.lifo else self.idle.popleft()
        if len(self.out) + self.dropped >= self.size:
            return None
        session = Session(now, address=self.source)
        server.append(session)
        return session


@dataclass(slots=True)
class Reading:
    """What was out at the time of one reading of a pool, which is what nobody but we know."""

    process: int
    at: float
    out: tuple[Checkout, ...]


@dataclass(slots=True)
class Model:
    """An application's processes on one server, with strangers under the same name.

    `churn` makes pools replace their sessions, `strangers` is how many there may be.
    """

    random: Random
    strangers: int
    churn: bool
    skew: float
    addresses: Callable[[Random, int], tuple[str, str]] = lambda _random, _process: ("a", "a")
    """Of a process that begins: where its page is read, and where its sessions come from."""
    disturbed: bool = False
    """Whether polls take long, the server's clock is set meanwhile, and pages leave out values."""
    forgets: float = 0.1
    """Share of leaks among the long checkouts."""
    now: float = 100.0
    server: list[Session] = field(default_factory=list)
    foreign: list[Session] = field(default_factory=list)
    pools: dict[int, PoolModel] = field(default_factory=dict)
    set_ahead: list[tuple[float, float]] = field(default_factory=list)
    """When the server's clock was set, and by how many seconds."""
    mute: set[int] = field(default_factory=set)
    """Processes whose pages leave out what is in the pool and what is out of it."""
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=300))
    store: Store = field(default_factory=Store)
    correlation: Correlation = field(default_factory=Correlation)
    changes: SimpleQueue[Change] = field(init=False)
    rush: float = field(init=False)
    """Chance of a checkout in each step."""

    def __post_init__(self) -> None:
        self.rush = self.random.choice((0.02, 0.1, 0.4))
        self.changes = self.store.subscribe()
        for process in range(self.random.randint(1, 3)):
            self.start(process, oldest=30)

    def start(self, process: int, *, oldest: float = 0) -> None:
        """A process begins, or is there already with connections that were idle for so long."""
        chance = self.random.random
        page, source = self.addresses(self.random, process)
        pool = PoolModel(
            self.random.randint(1, 6), chance() < 0.5, chance() < 0.2, page=page, source=source
        )
        for _ in range(self.random.randint(0, pool.size)):
            changed = self.now - self.random.choice((0, oldest))
            pool.idle.append(Session(changed, address=source))
        self.server.extend(pool.idle)
        self.pools[process] = pool

    def run(self, steps: int) -> Iterator[Mapping[AppOnServer, LeakEvidence]]:
        """The evidence after each poll of the server."""
        for _ in range(steps):
            self.now += 1.0
            self._live()
            for process in list(self.pools):
                if (int(self.now) + process) % INTERVAL == 0:
                    self._read(process)
            if int(self.now) % INTERVAL == 1 and self._read_server():
                while not self.changes.empty():
                    self.correlation.follow(self.changes.get())
                yield self.correlation.evidence(self.now)

    def silent(self, session: Session) -> bool:
        """Whether the session has done nothing for the threshold."""
        return not session.busy and session.changed <= self.now - THRESHOLD

    def held(self) -> int:
        """How many checkouts were silent and out at every reading of the threshold's time.

        Of each process, the fewest that were so at one of its readings.
        """
        return sum(fewest for fewest, _ in self._per_process())

    def without_session(self) -> int:
        """How many of the checkouts at such a reading have no session now, at most."""
        return sum(gone for _, gone in self._per_process())

    def old_strangers(self) -> int:
        """Strangers that have done nothing for the threshold."""
        return sum(map(self.silent, self.foreign))

    def _per_process(self) -> Iterator[tuple[int, int]]:
        there = {*self.server}
        for process in self.pools:
            counts = [
                (
                    sum(
                        one.session in there and self.silent(one.session) and not one.long_lived
                        for one in reading.out
                        if one.session is not None
                    ),
                    sum(one.session not in there for one in reading.out),
                )
                for reading in self.readings
                if reading.process == process and self.now - THRESHOLD < reading.at < self.now
            ]
            if counts:
                yield min(held for held, _ in counts), max(gone for _, gone in counts)

    def _live(self) -> None:
        chance = self.random.random
        for process, pool in list(self.pools.items()):
            for checkout in list(pool.out):
                self._go_on(pool, checkout)
            for session in pool.idle:
                if pool.pings and chance() < 0.2:
                    session.changed = self.now
            if self.churn and pool.idle and chance() < 0.3:
                self.server.remove(pool.idle.popleft())
            while chance() < self.rush:
                self._check_out(pool)
            if chance() < 0.005:
                self._restart(process)
        if self.foreign and chance() < 0.1:
            self.foreign.pop()
        if len(self.foreign) < self.strangers and chance() < 0.3:
            changed = self.now - self.random.choice((0, 0, 60))
            address = self.random.choice([pool.page for pool in self.pools.values()])
            self.foreign.append(Session(changed, address=address))
        for session in self.foreign:
            session.busy = chance() < 0.05
            if session.busy:
                session.changed = self.now

    def _check_out(self, pool: PoolModel) -> None:
        session = pool.check_out(self.server, self.now)
        if session is None:
            return
        session.in_transaction = self.random.random() < 0.5
        left = self.random.choice(
            (0, 0, 0, 1, 3, 12, None if self.random.random() < self.forgets else 5)
        )
        pool.out.append(
            Checkout(
                session, left, self.random.choice((0.0, 0.3, 1.0)),
                long_lived=left is None and self.random.random() < 0.3,
            )
        )  # fmt: skip

    def _go_on(self, pool: PoolModel, checkout: Checkout) -> None:
        session = checkout.session
        assert session is not None
        session.busy = self.random.random() < checkout.works
        if session.busy:
            session.changed = self.now
        if checkout.left is None:
            if self.random.random() < 0.03 and not checkout.long_lived:  # it is collected
                pool.out.remove(checkout)
                self.server.remove(session)
                pool.dropped += 1
            return
        checkout.left -= 1
        if checkout.left < 0:
            pool.out.remove(checkout)
            session.busy = session.in_transaction = False
            if self.churn and self.random.random() < 0.5:
                self.server.remove(session)
            else:
                pool.idle.append(session)

    def _restart(self, process: int) -> None:
        pool = self.pools.pop(process)
        for session in (*pool.idle, *(one.session for one in pool.out)):
            assert session is not None
            if self.strangers and self.random.random() < 0.3:
                session.busy = False
                self.foreign.append(session)  # its host died, and the server does not know yet
            self.server.remove(session)
        self.store.remove(process_id(f"orders-{process}"))
        self.start(max(self.pools, default=0) + 1)

    def _read(self, process: int) -> None:
        key = process_id(f"orders-{process}")
        former = self.store.get(key)
        if self.random.random() < 0.1:
            if former is not None:
                self.store.put(
                    TargetState(
                        key=key, interval=INTERVAL, is_local=True, snapshot=former.snapshot,
                        begun=former.begun, taken=former.taken,
                    )
                )  # fmt: skip
            return
        if self.disturbed and self.random.random() < 0.03:
            self.mute ^= {process}
        pool = self.pools[process]
        reported = process not in self.mute
        sample = PoolSample(
            key=PoolId("orders", "main", f"web:{process}"),
            idle=len(pool.idle) if reported else None,
            active=len(pool.out) + pool.dropped if reported else None,
            max=pool.size,
            leaked_slots={"shop.py:1 f": pool.dropped},
            leak_after=THRESHOLD,
            long_lived=sum(one.long_lived for one in pool.out),
            info=PoolInfo(
                host="127.0.0.1", port="5432", database="shop", user="orders", application="orders"
            ),
        )
        if reported:
            self.readings.append(Reading(process, self.now, tuple(pool.out)))
        self._store(key, Snapshot(pools=(sample,), address=pool.page or None))

    def _read_server(self) -> bool:
        if self.random.random() < 0.1:
            return False
        if self.disturbed and self.random.random() < 0.1:
            self.set_ahead.append((self.now, self.random.choice((0.4, 1.3, 3600.0))))
        ages: dict[str, dict[str, list[float]]] = {}
        for session in (*self.server, *self.foreign):
            open_state = "idle_in_transaction" if session.in_transaction else "idle"
            state = "active" if session.busy else open_state
            gained = sum(by for at, by in self.set_ahead if at > session.changed)
            its = ages.setdefault(session.address, {}).setdefault(state, [])
            its.append(self.now - session.changed + gained)
        clients = {
            ClientKey(NAME, address): SessionGroup(
                ages={state: tuple(sorted(each, reverse=True)) for state, each in states.items()}
            )
            for address, states in ages.items()
        }
        sample = ServerSample(
            host="localhost", port="5432", address="127.0.0.1", used=len(self.server) + 1,
            groups={}, databases={}, settings=SETTINGS, sessions=clients,
            clock=1e9 + self.skew + self.now + sum(by for _, by in self.set_ahead),
        )  # fmt: skip
        self._store(TargetId("server", "main"), Snapshot(server=sample))
        return True

    def _store(self, key: TargetId, snapshot: Snapshot) -> None:
        longest = 0.9 if self.disturbed else 0.3
        begun = self.now - self.random.choice((0.0, longest))
        taken = self.now + self.random.choice((0.0, longest))
        self.store.put(
            TargetState(
                key=key, interval=INTERVAL, is_local=key.kind == "process",
                health=Health(up=True, polls=1), snapshot=snapshot, begun=begun, taken=taken,
            )
        )  # fmt: skip
