"""What the adapters of all libraries share: their counts, and the sample made of them.

Methods that the measuring classes call, inside the library's own operations, never raise a fault of
ours: see `faults.absorb`.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, ClassVar, Final

from pg_pool_exporter.client.faults import absorb
from pg_pool_exporter.client.libraries.books import Lasting
from pg_pool_exporter.client.libraries.drivers import is_connect_timeout, leads_to
from pg_pool_exporter.client.sites import calling_site, describe
from pg_pool_exporter.client.tracker import Reading, Tracker
from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample
from pg_pool_exporter.model.pools import INSTRUMENTED

# Applications that send tasks import celery too, so it comes last.
_FRAMEWORKS: Final = ("fastapi", "flask", "celery")
# What the tracker counts for us, besides checkouts.
TIMEOUT: Final = "timeout"
REJECTED: Final = "rejected"
FAILED: Final = "failed"
LOST: Final = "lost"
_CONNECTED: Final = "connected"
_CONNECT_ERROR: Final = "connect error"
_CONNECT_TIMEOUT: Final = "connect timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolGauges:
    """The library's own state of a pool at one reading; None where it doesn't know."""

    idle: Sequence[float | None]
    """Since when each idle connection is idle; None for one that was idle before instrumentation.
    """
    min: int | None = None
    waiting: Sequence[float] | None = None
    """Since when each waiting request waits."""
    queued: int | None = None


class PoolAdapter:
    """One pool: makes it measure, and reads it. Keeps no pool alive."""

    library: ClassVar[str]
    version: ClassVar[str]
    loses_slots: ClassVar[bool] = True
    """Whether a dropped connection is collected, so that its lost slot can be seen."""
    error_timeouts: tuple[str, ...] = ()
    """The kinds of timeouts recognised by the errors of statements."""

    def __init__(self, pool: Any, *, leak_after: float, server: str) -> None:
        self.tracker = Tracker(limit=self.limit(pool), leak_after=leak_after)
        self.default_name = self.name_of(pool)
        self._info = PoolInfo(
            client=self.library,
            client_version=self.version,
            source=INSTRUMENTED,
            server=server,
        )
        self._unreadable = False  # a session could not be looked at, which is logged once
        self._missing = Lasting()
        self._queued: int | None = None  # at the last reading
        self._made_at = calling_site()
        self.follow(pool)

    @classmethod
    def find(cls, given: Any) -> Any:
        """The pool of an application's argument; None when it has none.

        Raises `TypeError` for a pool that can't be measured.
        """
        raise NotImplementedError

    def follow(self, pool: Any) -> None:
        """Make this the pool that is measured."""
        self._reference: Callable[[], Any] = weakref.ref(pool)

    def pool(self) -> Any:
        """The pool; None once it is collected."""
        return self._reference()

    def measures(self, pool: Any) -> bool:
        """Whether this is the pool."""
        return self._reference() is pool

    def install(self, pool: Any) -> None:
        """Make the pool measure from now on. Raises the error that prevents it."""
        raise NotImplementedError

    def uninstall(self, pool: Any) -> None:
        """Restore the pool, unless other code has exchanged its class since."""
        raise NotImplementedError

    def configure(self, *, leak_after: float | None, server: str | None) -> None:
        """Change what is given, from now on."""
        if leak_after is not None:
            self.tracker.leak_after = leak_after
        if server is not None:
            self._info = replace(self._info, server=server)

    def forked(self, pool: Any, wake: Callable[[], None]) -> None:
        """Start over in a child process, see `Tracker.forked`."""
        self.tracker.forked(wake)

    def limit(self, pool: Any) -> float:
        """The maximum number of connections; infinity without one."""
        raise NotImplementedError

    def name_of(self, pool: Any) -> str:
        """The library's own name for the pool."""
        return self.library

    def is_closed(self, pool: Any) -> bool:
        """Whether the pool is closed for good."""
        return False

    def gauges(self, pool: Any) -> PoolGauges:
        """The library's own state of the pool."""
        raise NotImplementedError

    def missing(self, pool: Any, leaked: int) -> int:
        """Connections that the library counts now, and that neither exist nor are being made.

        Without the `leaked` ones. At a single reading it can be too many, see `books.Lasting`.
        """
        raise NotImplementedError

    def lost(self, pool: Any, noted: Mapping[str, int]) -> int | None:
        """Sessions found dead, from the notes; None when the library doesn't report them.

        `pool` is None once it is collected.
        """
        return noted[LOST]

    def tracked(self, connection: Any) -> object:
        """The object by which the tracker knows an application's connection."""
        return connection

    def exempt(self, connection: Any) -> bool:
        """Never call this checkout overdue; False when the connection is not checked out here."""
        return self.tracker.exempt(self.tracked(connection))

    def refused(self, error: BaseException, asked: float) -> None:
        """Record that a request made at `asked` ended without a connection."""
        try:
            self.tracker.gave_up(self.refusal(error), asked)
        except Exception as fault:  # noqa: BLE001 - measuring never costs the application anything
            absorb(fault, "counting a request without a connection")

    def refusal(self, error: BaseException) -> str:
        """The kind of such an error: `TIMEOUT`, `REJECTED` or else `FAILED`."""
        raise NotImplementedError

    def connected(self, connection: Any) -> None:
        """Record a new session of the pool, which the application does not use yet."""
        self.tracker.note(_CONNECTED)
        self.get_to_know(connection)

    def connect_failed(self, error: Exception) -> None:
        """Record that the pool could not make a session."""
        try:
            self.tracker.note(_CONNECT_TIMEOUT if is_connect_timeout(error) else _CONNECT_ERROR)
        except Exception as fault:  # noqa: BLE001 - measuring never costs the application anything
            absorb(fault, "counting a failure to connect")

    def in_use(self, pool: Any) -> bool:
        """Whether the pool isn't closed, nor inherited over a fork and not used since."""
        return not self.is_closed(pool) and not self.tracker.inherited

    @property
    def is_known(self) -> bool:
        """Whether the server's address is known, or never will be."""
        return self._unreadable or bool(self._info.port)

    def look_at(self, connection: Any) -> None:
        """Read the server's address from a session. Raises the driver's errors."""
        self._info = replace(self._info, **leads_to(connection))

    def get_to_know(self, connection: Any) -> None:
        """Look at a session for the first time.

        Raises no fault of ours: the pool would take it for a failure to connect, and try again
        forever.
        """
        try:
            self.look_at(connection)
        except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
            self._unreadable = True
            absorb(error, f"looking at a session of pool {self.default_name!r}")

    def sample(self, pool: Any, key: PoolId) -> PoolSample:
        """One reading of the pool."""
        self.tracker.limit = self.limit(pool)
        limited = isfinite(self.tracker.limit)
        gauges = self.gauges(pool)
        self._queued = gauges.queued
        idle_since = [since for since in gauges.idle if since is not None]
        waiting = gauges.waiting
        reading = self.tracker.read()
        now = self.tracker.clock()
        unaccounted = self._unaccounted(pool, reading.leaked) if limited else None
        self.tracker.unaccounted = unaccounted or 0
        return replace(
            self._counters(key, reading, self.lost(pool, reading.noted)),
            idle=len(gauges.idle),
            active=reading.active,
            max=self.tracker.limit if limited else None,
            min=gauges.min,
            waiting=None if waiting is None else len(waiting),
            oldest_idle=now - min(idle_since) if idle_since else None,
            oldest_active=reading.oldest_active,
            oldest_waiting=now - min(waiting) if waiting else None,
            unaccounted=unaccounted,
            long_lived=reading.long_lived,
            leaked_slots=reading.leaked_slots,
            overdue=reading.overdue,
        )

    def last_counters(self, key: PoolId) -> PoolSample:
        """The counters of a pool that is closed or collected, and its leak threshold."""
        reading = self.tracker.read()
        return self._counters(key, reading, self.lost(None, reading.noted))

    def _counters(self, key: PoolId, reading: Reading, lost: int | None) -> PoolSample:
        noted = reading.noted
        failed = noted[TIMEOUT] + noted[REJECTED] + noted[FAILED]
        return PoolSample(
            key=key,
            active_seconds=reading.active_seconds,
            saturated_seconds=reading.saturated_seconds if isfinite(self.tracker.limit) else None,
            requests=reading.acquire.count + failed,
            queued=self._queued,
            rejected=noted[REJECTED],
            leak_after=self.tracker.leak_after,
            acquire_wait=reading.acquire.total,
            acquired=reading.acquire.count,
            held=reading.hold.total,
            returned=reading.hold.count,
            connects=noted[_CONNECTED],
            connect_errors=noted[_CONNECT_ERROR] + noted[_CONNECT_TIMEOUT],
            lost=lost,
            leaked=reading.leaked if self.loses_slots else None,
            timeouts={
                "pool": noted[TIMEOUT],
                "connect": noted[_CONNECT_TIMEOUT],
                **{kind: noted[kind] for kind in self.error_timeouts},
            },
            reclaimed=reading.reclaimed,
            instances={describe(self._made_at): 1},
            acquire=reading.acquire,
            hold=reading.hold,
            demand=reading.demand,
            info=replace(self._info, framework=_framework(), pid=str(os.getpid())),
        )

    def _unaccounted(self, pool: Any, leaked: int) -> int:
        missing = self.missing(pool, leaked)
        return self._missing.read(missing, self.tracker.clock(), self.tracker.leak_after)


def _framework() -> str:
    """The framework that the process runs in, by its imports."""
    if django_is_set_up():
        return "django"
    return next((name for name in _FRAMEWORKS if name in sys.modules), "")


def django_is_set_up() -> bool:
    """Whether the process runs Django: Celery imports parts of it too, but sets nothing up."""
    apps = getattr(sys.modules.get("django.apps"), "apps", None)
    return bool(getattr(apps, "ready", False))
