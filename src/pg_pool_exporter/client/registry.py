"""The pools of this process that are instrumented, and the process's own name."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_pool_exporter.client.libraries.adapter import PoolAdapter
from pg_pool_exporter.model import PoolId, PoolSample

log = logging.getLogger("pg_pool_exporter.client")

# Which module knows the pools of which library. Imported only for a pool of it.
ADAPTERS = {
    "asyncpg": ("pg_pool_exporter.client.libraries.asyncpg", "AsyncpgAdapter"),
    "psycopg2": ("pg_pool_exporter.client.libraries.psycopg2", "Psycopg2Adapter"),
    "psycopg_pool": ("pg_pool_exporter.client.libraries.psycopg", "PsycopgAdapter"),
    "sqlalchemy": ("pg_pool_exporter.client.libraries.sqlalchemy", "SqlalchemyAdapter"),
}


@dataclass(slots=True)
class _Instrumented:
    adapter: PoolAdapter
    app: str
    wanted: str
    name: str
    """The wanted one, made unique; empty where a fork has made the name free for others."""
    told: bool = False
    """Whether the log has been told that it can't be read."""


class Registry:
    """Instrumented pools of one process; `process` gives the process's name at each reading."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may instrument a pool, too.
        self._lock = threading.RLock()
        self._pools: list[_Instrumented] = []

    def add(self, pool: Any, *, app: str, name: str, server: str, leak_after: float) -> None:
        """Instrument a pool, or that of an engine. Doing it again changes nothing.

        Raises `TypeError` for a pool that isn't known or can't be measured, and for a name that is
        no text.
        """
        for given in (app, name, server):
            if not isinstance(given, str):
                raise TypeError(f"a name is a text, not {given!r}")
        adapter_class, pool = _known(pool)
        with self._lock:
            self._forget_dead()
            if self._find(pool) is not None:
                return
            adapter = adapter_class(pool, leak_after=leak_after, server=server)
            wanted = name or adapter.default_name
            unique = self._unique_name(app, wanted)
            adapter.install(pool)
            self._pools.append(_Instrumented(adapter, app, wanted, unique))

    def remove(self, pool: Any) -> None:
        """Stop measuring a pool; one that isn't instrumented is left alone.

        Raises `TypeError` for what is no known pool.
        """
        _, pool = _known(pool)
        with self._lock:
            found = self._find(pool)
            if found is not None:
                self._pools.remove(found)
                found.adapter.uninstall(pool)

    def samples(self, process: str) -> list[PoolSample]:
        """One reading of each pool that is in use."""
        with self._lock:
            self._forget_dead()
            in_use = [(one, pool) for one in self._pools if (pool := _in_use(one)) is not None]
            for one, _ in in_use:
                one.name = one.name or self._unique_name(one.app, one.wanted)
        samples = []
        for one, pool in in_use:
            try:
                samples.append(one.adapter.sample(pool, PoolId(one.app, one.name, process)))
            except Exception:
                # One pool that can't be read must not hide the others.
                if not one.told:
                    log.exception("pool %r can't be read", one.name)
                one.told = True
                continue
            one.told = False
        return samples

    def app(self) -> str | None:
        """The application that the first pool belongs to."""
        with self._lock:
            return self._pools[0].app if self._pools else None

    def exempt(self, connection: object) -> bool:
        """Declare an open checkout long-lived; False when no pool here knows it."""
        with self._lock:
            return any(one.adapter.exempt(connection) for one in self._pools)

    def forked(self, wake: Callable[[], None]) -> None:
        """Start anew in a child process, where another thread may have held the lock."""
        self._lock = threading.RLock()
        for one in self._pools:
            pool = one.adapter.pool()
            one.name = ""
            if pool is not None:
                one.adapter.forked(pool, wake)

    def _find(self, pool: Any) -> _Instrumented | None:
        return next((one for one in self._pools if one.adapter.measures(pool)), None)

    def _forget_dead(self) -> None:
        self._pools = [one for one in self._pools if one.adapter.pool() is not None]

    def _unique_name(self, app: str, name: str) -> str:
        taken = {one.name for one in self._pools if one.app == app and _in_use(one) is not None}
        candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, 10**6))
        return next(candidate for candidate in candidates if candidate not in taken)


def _in_use(one: _Instrumented) -> Any:
    """The pool, where it is there to be shown; else None."""
    pool = one.adapter.pool()
    return pool if pool is not None and one.adapter.in_use(pool) else None


def _known(given: Any) -> tuple[type[PoolAdapter], Any]:
    """The adapter of what was given, and the pool that is meant by it."""
    for base in type(given).__mro__:
        library = base.__module__.partition(".")[0]
        if library in ADAPTERS:
            module, name = ADAPTERS[library]
            adapter: type[PoolAdapter] = getattr(importlib.import_module(module), name)
            pool = adapter.find(given)
            if pool is not None:
                return adapter, pool
    known = ", ".join(sorted(ADAPTERS))
    raise TypeError(
        f"{type(given).__module__}.{type(given).__qualname__} is no pool that can be instrumented; "
        f"the known libraries are: {known}"
    )


def default_app() -> str:
    """The application's name when nobody gives one: its script's."""
    name = os.environ.get("PG_POOL_EXPORTER_APP")
    if name:
        return name
    script = Path(sys.argv[0] if sys.argv else "")
    # `python -m package` runs package/__main__.py.
    return (script.parent.name if script.stem == "__main__" else script.stem) or "python"


def host() -> str:
    """The host's name, as other parts of its monitoring know it."""
    return socket.gethostname() or "localhost"
