"""A PostgreSQL server and an application's pools on a virtual clock, down to single requests.

It runs by events, so hours of it cost seconds. Random numbers come from a fixed seed: a run is the
same each time.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random

from pg_pool_exporter.client.totals import Observations
from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, HOLD_BOUNDS

Action = Callable[[], None]
_PIDS = count(1000)


class World:
    """The clock, and what happens when."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self._events: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def at(self, time: float, action: Action) -> None:
        """Have `action` happen at a time."""
        heapq.heappush(self._events, (max(time, self.now), next(self._numbers), action))

    def after(self, seconds: float, action: Action) -> None:
        """Have `action` happen in this number of seconds."""
        self.at(self.now + seconds, action)

    def every(self, seconds: float, action: Action, first: float = 0.0) -> None:
        """Have `action` happen again and again."""

        def again() -> None:
            action()
            self.after(seconds, again)

        self.at(first, again)

    def run(self, until: float) -> None:
        """Let everything happen up to a time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until


@dataclass(slots=True, eq=False)
class Session:
    """A session on the server."""

    application: str
    user: str
    began: float
    state: str = "idle"
    changed: float = 0.0
    transaction: float | None = None
    """When its transaction began."""
    address: str = ""
    """Where it comes from."""
    waits: float | None = None
    """Since when it waits for a lock."""
    pid: int = field(default_factory=_PIDS.__next__)

    def become(self, state: str, now: float) -> None:
        """Be in another state from now on; one that is open in a transaction says so."""
        self.state, self.changed = state, now
        if state == "idle":
            self.transaction = None
        elif self.transaction is None:
            self.transaction = now


@dataclass(slots=True, eq=False)
class Lock:
    """A lock that one session holds and others wait for."""

    holder: Session | None = None
    queue: deque[tuple[Session, Action]] = field(default_factory=deque)


# Seconds until the garbage collector finds what is part of a cycle.
_COLLECTED_AFTER = 20.0


class FullError(Exception):
    """The server has no slot left."""


class Server:
    """PostgreSQL: its sessions and their locks. `skew` is its clock less the exporter's."""

    def __init__(self, world: World, max_connections: int = 100, skew: float = 0.0) -> None:
        self.world = world
        self.max_connections = max_connections
        self.skew = skew
        self.up = True
        self.deadlocks = 0
        self.sessions: set[Session] = set()

    def connect(self, application: str, address: str = "", user: str = "") -> Session:
        """A new session from an address; its role is named as its application, unless it has one of
        its own. Raises `FullError`.
        """
        if not self.up or len(self.sessions) + 1 >= self.max_connections - 3:
            raise FullError
        now = self.world.now
        session = Session(application, user or application, now, changed=now, address=address)
        self.sessions.add(session)
        return session

    def close(self, session: Session) -> None:
        """The session ends."""
        self.sessions.discard(session)

    def begin(self, session: Session, then: Action) -> None:
        """Go on with `then` when the session can have its next statement."""
        then()

    def take(self, lock: Lock, session: Session, then: Action) -> None:
        """Go on with `then` when the session has the lock."""
        if lock.holder is None:
            lock.holder = session
            then()
        else:
            session.waits = self.world.now
            lock.queue.append((session, then))

    def release(self, lock: Lock) -> None:
        """The holder lets go, and the next in the queue goes on."""
        lock.holder = None
        if lock.queue:
            session, then = lock.queue.popleft()
            session.waits = None
            lock.holder = session
            self.world.after(0, then)

    def blockers(self, locks: list[Lock]) -> set[Session]:
        """Sessions that others wait for."""
        return {lock.holder for lock in locks if lock.holder is not None and lock.queue}


@dataclass(slots=True, eq=False)
class Checkout:
    """A connection that is out."""

    session: Session
    since: float
    site: str
    long_lived: bool = False


class Pool:
    """A pool of one process, with what its client and its page count.

    `lifo`: the connection returned last is checked out first. `lifetime`: connections older than
    this are replaced when they come back. `timeout`: how long a request waits. `address`: its
    host's. `user`: the role of its sessions.
    """

    def __init__(
        self,
        server: Server,
        application: str,
        *,
        most: int = 10,
        least: int = 2,
        lifo: bool = True,
        lifetime: float | None = None,
        timeout: float = 30.0,
        idle_timeout: float = 600.0,
        address: str = "",
        user: str = "",
    ) -> None:
        self.server = server
        self.world = server.world
        self.application, self.address = application, address
        self.user = user or application
        self.most, self.least, self.lifo = most, least, lifo
        self.lifetime, self.timeout, self.idle_timeout = lifetime, timeout, idle_timeout
        self.idle: deque[tuple[float, Session]] = deque()
        self.out: set[Checkout] = set()
        self.lost: Counter[str] = Counter()  # slots lost by dropping, by site
        self.missing: list[float] = []
        """When each slot was lost inside the library."""
        self.reclaimed: Counter[str] = Counter()
        """Connections that the garbage collector has returned, by site."""
        self.made: Counter[str] = Counter({"shop/db.py:3 <module>": 1})
        """Pools of this name, by the line that makes them."""
        self.queue: deque[tuple[float, Callable[[], bool]]] = deque()
        self.acquire, self.hold = Observations(ACQUIRE_BOUNDS), Observations(HOLD_BOUNDS)
        self.counts: Counter[str] = Counter()
        self.active_seconds = self.full_seconds = 0.0
        self._counted = self.world.now
        self._closed = False
        self._tend()
        self.world.every(1.0, self._next, self.world.now)
        self.world.every(30.0, self._tend, self.world.now)

    @property
    def active(self) -> int:
        """Connections that are out, lost ones included."""
        return len(self.out) + (self.lost.total() if self.lost else 0)

    def check_out(self, site: str, then: Callable[[Checkout], None], gave_up: Action) -> None:
        """Go on with `then` when there is a connection; with `gave_up` after the timeout."""
        self.counts["requests"] += 1
        asked = self.world.now
        if self._serve(site, asked, then):
            return
        self.counts["queued"] += 1
        entry = asked, lambda: self._serve(site, asked, then)
        self.queue.append(entry)

        def give_up() -> None:
            if entry in self.queue:
                self.queue.remove(entry)
                self.counts["timeouts"] += 1
                gave_up()

        self.world.after(self.timeout, give_up)

    def check_in(self, checkout: Checkout) -> None:
        """The connection comes back to the pool."""
        self._integrate()
        now = self.world.now
        self.out.discard(checkout)
        self.hold.add(now - checkout.since)
        session = checkout.session
        if self.lifetime is not None and now - session.began > self.lifetime:
            self.server.close(session)
            self._tend()
        else:
            if session.state != "idle":
                session.become("idle", now)
            self.idle.append((now, session))
        self._next()

    def drop(self, checkout: Checkout) -> None:
        """The connection is collected as garbage: its slot is lost, its session ends."""
        self._integrate()
        self.out.discard(checkout)
        self.server.close(checkout.session)
        self.lost[checkout.site] += 1
        self.counts["leaked"] += 1

    def lose(self, checkout: Checkout) -> None:
        """The library loses the connection on its way back: it counts it, and nobody has it."""
        self._integrate()
        self.out.discard(checkout)
        self.hold.add(self.world.now - checkout.since)
        self.server.close(checkout.session)
        self.missing.append(self.world.now)

    def reclaim(self, checkout: Checkout) -> None:
        """The garbage collector returns the connection, which the application has dropped."""
        self.reclaimed[checkout.site] += 1
        self.check_in(checkout)

    def make_anew(self, site: str) -> None:
        """The application makes another pool in place of this one, whose connections end."""
        self.made[site] += 1
        while self.idle:
            self.server.close(self.idle.popleft()[1])
        self._tend()

    def close(self) -> None:
        """The process ends."""
        self._closed = True
        for session in (*(one for _, one in self.idle), *(one.session for one in self.out)):
            self.server.close(session)
        self.idle.clear()
        self.out.clear()
        self.queue.clear()

    def read(self) -> None:
        """Bring what is counted by time up to date."""
        self._integrate()

    def _serve(self, site: str, asked: float, then: Callable[[Checkout], None]) -> bool:
        self._integrate()
        if self.idle:
            session = (self.idle.pop() if self.lifo else self.idle.popleft())[1]
        elif self.active + len(self.missing) < self.most:
            try:
                session = self.server.connect(self.application, self.address, self.user)
            except FullError:
                return False
            self.counts["connects"] += 1
        else:
            return False
        checkout = Checkout(session, self.world.now, site)
        self.out.add(checkout)
        self.acquire.add(self.world.now - asked)
        then(checkout)
        return True

    def _tend(self) -> None:
        """Close connections that were idle for long, and open those that there must be."""
        now = self.world.now
        while len(self.idle) + self.active + len(self.missing) > self.least and (
            self.idle and now - self.idle[0][0] > self.idle_timeout
        ):
            self.server.close(self.idle.popleft()[1])
        while len(self.idle) + self.active + len(self.missing) < self.least and not self._closed:
            try:
                self.idle.append(
                    (now, self.server.connect(self.application, self.address, self.user))
                )
            except FullError:
                return

    def _next(self) -> None:
        # When the server is full, the first in the queue stays where it is.
        while self.queue and self.queue[0][1]():
            self.queue.popleft()

    def _integrate(self) -> None:
        passed = self.world.now - self._counted
        self.active_seconds += passed * self.active
        self.full_seconds += passed * (self.active + len(self.missing) >= self.most)
        self._counted = self.world.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a request does with its connection: statements, and how it ends.

    Times are means in seconds. `pause` is between its statements, `longest_pause` the longest.
    """

    statement: float = 0.005
    statements: int = 2
    pause: float = 0.001
    longest_pause: float = inf
    transaction: bool = False
    lock: Lock | None = None
    site: str = "shop/views.py:42 show"
    ending: str = "return"
    """`return`, `drop`, or `keep`, with its transaction open where it has one; `lose`: returned,
    and lost by the library; `forget`: dropped, and returned by the garbage collector."""
    long_lived: bool = False


_STATEMENT = -1.0


class Client:
    """Does work with a pool, one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._world = pool.world
        self._server = pool.server

    def request(self, work: Work) -> None:
        """Check out a connection, work with it, and end as the work says."""
        self.pool.check_out(work.site, lambda checkout: self._begin(checkout, work), lambda: None)

    def _begin(self, checkout: Checkout, work: Work) -> None:
        checkout.long_lived = work.long_lived
        steps = self._steps(checkout, work)

        def go_on() -> None:
            if not self._server.up:  # who waits for its answer waits on
                self._world.after(1.0, go_on)
                return
            wait = next(steps, None)
            if wait is None or checkout not in self.pool.out:
                return
            if wait == _STATEMENT:
                self._server.begin(checkout.session, go_on)
            else:
                self._world.after(wait, go_on)

        if work.lock is None:
            go_on()
        else:
            checkout.session.become("active", self._world.now)
            self._server.take(work.lock, checkout.session, go_on)

    def _steps(self, checkout: Checkout, work: Work) -> Iterator[float]:
        """Change the session step by step; gives how long each step takes, and `_STATEMENT` before
        each statement.
        """
        session, draw = checkout.session, self._world.random.expovariate
        open_state = "idle_in_transaction" if work.transaction or work.lock else "idle"
        for number in range(work.statements):
            yield _STATEMENT
            session.become("active", self._world.now)
            yield draw(1 / work.statement)
            session.become(open_state, self._world.now)
            if number + 1 < work.statements and work.pause:
                yield min(draw(1 / work.pause), work.longest_pause)
        if work.ending == "keep" and work.transaction:
            return
        session.become("idle", self._world.now)
        if work.lock is not None:
            self._server.release(work.lock)
        if work.ending == "return":
            self.pool.check_in(checkout)
        elif work.ending == "drop":
            self.pool.drop(checkout)
        elif work.ending == "lose":
            self.pool.lose(checkout)
        elif work.ending == "forget":
            yield _COLLECTED_AFTER
            self.pool.reclaim(checkout)


class Load:
    """Requests at random times, `rate` a second, each a `Work` that `choose` gives."""

    def __init__(self, client: Client, rate: float, choose: Callable[[], Work]) -> None:
        self.rate = rate
        self._client = client
        self._choose = choose
        self._world = client.pool.world
        self.stopped = False
        self._next()

    def _next(self) -> None:
        if self.rate > 0:
            self._world.after(self._world.random.expovariate(self.rate), self._arrive)
        else:
            self._world.after(1.0, self._next)

    def _arrive(self) -> None:
        if not self.stopped:
            self._client.request(self._choose())
            self._next()
