"""The instrumented pools of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pg_pool_exporter.client.collected import Collected, with_counters
from pg_pool_exporter.client.events import EventLog, PoolEvents
from pg_pool_exporter.client.faults import absorb, log
from pg_pool_exporter.client.libraries import LIBRARIES
from pg_pool_exporter.client.libraries.adapter import PoolAdapter
from pg_pool_exporter.client.options import (
    PoolOptions,
    default_app,
    default_leak_after,
    default_server,
)
from pg_pool_exporter.client.tracker import Tracker
from pg_pool_exporter.model import PoolId, PoolSample

_Watcher = Callable[[str, Tracker], object]


@dataclass(slots=True)
class _Instrumented:
    adapter: PoolAdapter
    app: str
    wanted: str
    name: str
    """The requested name, made unique; empty where a fork has freed the name for others."""
    events: PoolEvents = field(default_factory=PoolEvents)
    retired: bool = False
    """It is closed or collected, and its counters are among the collected ones."""
    unreadable: bool = False
    """It could not be read, which is logged once."""


class Registry:
    """Instrumented pools of one process."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may instrument a pool, too.
        self._lock = threading.RLock()
        self._pools: list[_Instrumented] = []
        self._collected = Collected()
        self._event_log = EventLog()
        self._watchers: list[_Watcher] = []

    def watch(self, watcher: _Watcher) -> None:
        """Call `watcher` with the name and the tracker of each pool: of now, and from now on.

        It must not raise.
        """
        with self._lock:
            self._watchers.append(watcher)
            for one in self._pools:
                watcher(one.name or one.wanted, one.adapter.tracker)

    def unwatch(self, watcher: _Watcher) -> None:
        """Call this watcher no more."""
        with self._lock:
            self._watchers.remove(watcher)

    def add(self, pool: Any, options: PoolOptions) -> Tracker:
        """Instrument a pool, or that of an engine; if it is already, change the given options.

        Returns its tracker. Raises `TypeError` for a pool that isn't known or can't be measured.
        """
        adapter_class, pool = known(pool)
        with self._lock:
            self._retire()
            found = self._find(pool)
            if found is not None:
                self._change(found, options)
                return found.adapter.tracker
            adapter = adapter_class(
                pool,
                leak_after=options.leak_after or default_leak_after(),
                server=options.server or default_server(),
            )
            app, wanted = options.app or default_app(), options.name or adapter.default_name
            unique = self._unique_name(app, wanted)
            adapter.install(pool)
            self._pools.append(_Instrumented(adapter, app, wanted, unique))
            for watcher in self._watchers:
                watcher(unique, adapter.tracker)
            return adapter.tracker

    def remove(self, pool: Any) -> None:
        """Stop measuring a pool; one that isn't instrumented is left alone.

        Raises `TypeError` for an argument that is no known pool.
        """
        _, pool = known(pool)
        with self._lock:
            found = self._find(pool)
            if found is not None:
                self._pools.remove(found)
                found.adapter.uninstall(pool)

    def samples(self, process: str) -> list[PoolSample]:
        """One reading of each pool that is in use; `process` is the process's name.

        Counters include those of former pools of the same name, and go on after the last of them.
        """
        with self._lock:
            self._retire()
            in_use = [(one, pool) for one in self._pools if (pool := _in_use(one)) is not None]
            for one, _ in in_use:
                one.name = one.name or self._unique_name(one.app, one.wanted)
            former = {
                key: totals
                for app, name in self._collected
                if (totals := self._collected.of(key := PoolId(app, name, process))) is not None
            }
        samples = []
        for one, pool in in_use:
            key = PoolId(one.app, one.name, process)
            before = former.pop(key, None)
            try:
                sample = one.adapter.sample(pool, key)
            except Exception:  # noqa: BLE001 - logged
                # One pool that can't be read must not hide the others.
                if not one.unreadable:
                    log.exception("pool %r can't be read", one.name)
                one.unreadable = True
                continue
            one.unreadable = False
            samples.append(sample if before is None else with_counters(sample, before))
        return [*samples, *former.values()]

    def report_events(self) -> None:
        """Log leaks and overdue checkouts that are new since the last call."""
        with self._lock:
            in_use = [one for one in self._pools if _in_use(one) is not None]
        try:
            for one in in_use:
                events = one.events.look(one.adapter.tracker)
                self._event_log.write(one.app, one.name or one.wanted, events)
        except Exception as error:  # noqa: BLE001 - what it serves is more important
            absorb(error, "logging leaks")

    def apps(self) -> list[str]:
        """The applications of the pools, the first pool's first, then those of former pools."""
        with self._lock:
            former = (app for app, _ in self._collected)
            return list(dict.fromkeys([*(one.app for one in self._pools), *former]))

    def exempt(self, connection: object) -> bool:
        """Declare an open checkout long-lived; False when no pool here knows it."""
        with self._lock:
            return any(one.adapter.exempt(connection) for one in self._pools)

    def forked(self, wake: Callable[[], None]) -> None:
        """Start over in a child process, where another thread may have held the lock."""
        self._lock = threading.RLock()
        self._collected = Collected()
        self._event_log = EventLog()
        for one in self._pools:
            pool = one.adapter.pool()
            one.name, one.events = "", PoolEvents()
            if pool is not None:
                one.adapter.forked(pool, wake)

    def _change(self, one: _Instrumented, options: PoolOptions) -> None:
        one.adapter.configure(leak_after=options.leak_after, server=options.server)
        app, wanted = options.app or one.app, options.name or one.wanted
        if (app, wanted) != (one.app, one.wanted):
            one.name = ""  # so that its own name counts as free
            one.name = self._unique_name(app, wanted)
            one.app, one.wanted = app, wanted

    def _find(self, pool: Any) -> _Instrumented | None:
        return next((one for one in self._pools if one.adapter.measures(pool)), None)

    def _retire(self) -> None:
        """Collect the counters of closed and collected pools, and forget the latter."""
        for one in self._pools:
            pool = one.adapter.pool()
            if not one.retired and (pool is None or one.adapter.is_closed(pool)):
                one.retired = True
                last = one.adapter.last_counters(PoolId(one.app, one.name, ""))
                if one.name and (last.requests or last.connects):
                    self._collected.add(last)
        self._pools = [one for one in self._pools if one.adapter.pool() is not None]

    def _unique_name(self, app: str, name: str) -> str:
        taken = {one.name for one in self._pools if one.app == app and _in_use(one) is not None}
        candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, 10**6))
        return next(candidate for candidate in candidates if candidate not in taken)


def _in_use(one: _Instrumented) -> Any:
    """The pool, if it is alive and in use; else None."""
    pool = one.adapter.pool()
    return pool if pool is not None and one.adapter.in_use(pool) else None


def known(given: Any) -> tuple[type[PoolAdapter], Any]:
    """The adapter class for an argument, and the argument's pool."""
    for base in type(given).__mro__:
        library = base.__module__.partition(".")[0]
        if library in LIBRARIES:
            module, _, name = LIBRARIES[library].adapter.partition(".")
            adapter: type[PoolAdapter] = getattr(
                import_module(f"{__package__}.libraries.{module}"), name
            )
            pool = adapter.find(given)
            if pool is not None:
                return adapter, pool
    known = ", ".join(sorted(LIBRARIES))
    raise TypeError(
        f"{type(given).__module__}.{type(given).__qualname__} is no pool that can be instrumented; "
        f"the known libraries are: {known}"
    )
