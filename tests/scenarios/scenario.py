"""One workload: how it is set up, what is wrong in it, and what it takes to say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import PoolId
from scenarios.exporter import Exporter, Page
from scenarios.world import Client, FullError, Load, Lock, Pool, Server, Work, World

FAULT = 1800.0
"""When faults begin, in seconds: late enough for a trend to be there."""
QUICK = Work()
HOUR = 3600.0
SATURATED_FOR = 30.0
"""A pool is saturated when all of it has been checked out for this number of seconds."""


class Setup:
    """What a scenario builds its workload from."""

    def __init__(
        self,
        *,
        native: bool,
        lifo: bool,
        long_lived: int = 0,
        bouncers: tuple[str, ...] = (),
        seed: int = 1,
        judged: bool = True,
    ) -> None:
        self.native, self.lifo = native, lifo
        self.world = World(seed)
        self.locks: list[Lock] = [Lock()]
        self.exporter = Exporter(
            self.world,
            [
                AppConfig(name=name, long_lived=long_lived, bouncers=bouncers)
                for name in ("orders", "billing", "reports")
                if not native
            ],
            judged=judged,
        )
        self.server = Server(self.world)
        self.pools: dict[PoolId, Pool] = {}
        self.saturated: float | None = None
        """Since when the first pool is out as a whole, for good."""
        self._full_since: dict[PoolId, float] = {}
        self.exporter.watch_server("main", self.server, self.locks)
        self.world.every(1.0, self._watch_saturation)

    def pool(
        self,
        app: str = "orders",
        process: str = "web:0",
        *,
        page: Page | None = None,
        most: int = 10,
        least: int = 2,
        lifetime: float | None = 1800.0,
        host: str = "",
        application: str | None = None,
        name: str = "main",
        user: str = "",
        server: Server | None = None,
    ) -> Client:
        """A process with a pool that is read from now on, on a host of its own or on `host`. Its
        sessions have the `application` name and the role `user`, by default its own. It connects to
        `server`, by default the only one.
        """
        pool = Pool(
            server or self.server, app if application is None else application, most=most,
            least=least, lifo=self.lifo, lifetime=lifetime, address=host or process,
            user=user or app,
        )  # fmt: skip
        key = PoolId(app, name, process)
        self.pools[key] = pool
        self.exporter.watch_pool(key, pool, page or Page(native=self.native))
        return Client(pool)

    def load(self, client: Client, rate: float, work: Work | Callable[[], Work] = QUICK) -> Load:
        """Requests, `rate` a second."""
        return Load(client, rate, work if callable(work) else lambda: work)

    def one_in(self, number: int, fault: Work, otherwise: Work = QUICK) -> Callable[[], Work]:
        """From the fault on, each so-manieth request does `fault`, the first one at once."""
        requests = count()

        def choose() -> Work:
            faulty = self.world.now >= FAULT and next(requests) % number == 0
            return fault if faulty else otherwise

        return choose

    def stop(self, process: str) -> None:
        """A process ends, and its pools with it."""
        for key in [key for key in self.pools if key.process == process]:
            self.pools.pop(key).close()
        self.exporter.forget(process)

    def foreign_sessions(self, count: int, application: str = "batch") -> None:
        """Sessions of a program without a pool, idle."""
        for _ in range(count):
            try:
                self.server.connect(application)
            except FullError:
                return

    def forget_transaction(self, application: str) -> None:
        """A program without a pool opens a transaction and does nothing in it."""
        try:
            session = self.server.connect(application)
        except FullError:
            return
        session.become("idle_in_transaction", self.world.now)

    def _watch_saturation(self) -> None:
        now = self.world.now
        for key, pool in self.pools.items():
            if pool.active < pool.most:
                self._full_since.pop(key, None)
            else:
                since = self._full_since.setdefault(key, now)
                if self.saturated is None and now - since >= SATURATED_FOR:
                    self.saturated = since


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A workload whose truth is known."""

    name: str
    title: str
    build: Callable[[Setup], None]
    causes: frozenset[Cause] = frozenset()
    """What is wrong from `FAULT` on; nothing in a healthy one."""
    to_blame: frozenset[str] = frozenset()
    """The lines of code that leak."""
    hours: float = 1.5
    long_lived: int = 0
    """What the configuration says of each application whose page doesn't."""
    bouncers: tuple[str, ...] = ()
    """Likewise."""
    pages: tuple[str, ...] = ("client", "foreign, LIFO")
    """How its pools are read: by our client, or by another one's page and with which discipline."""
    leak: bool = field(default=False)
    """Whether the lead over saturation is asked for."""
