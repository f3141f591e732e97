"""psycopg2: `SimpleConnectionPool` and `ThreadedConnectionPool`.

There is no queue: an exhausted pool refuses at once. What is lent stays in a dictionary of the
pool: a connection that the application drops is kept for ever, becomes overdue, and is never found
to be lost.

Imported only for a pool of this library, so the library is there.
"""

from __future__ import annotations

from typing import Any

import psycopg2
from psycopg2 import pool as pools

from pg_pool_exporter.client.libraries.adapter import FAILED, LOST, REJECTED, PoolAdapter, Standing
from pg_pool_exporter.client.libraries.psycopg2_classes import measuring
from pg_pool_exporter.client.measuring import attach, make_plain
from pg_pool_exporter.client.waiting import copy


class Psycopg2Adapter(PoolAdapter):
    """One pool of psycopg2."""

    library = "psycopg2"
    version = psycopg2.__version__.partition(" ")[0]  # type: ignore[attr-defined]  # its stubs miss it
    loses_slots = False

    def __init__(self, pool: Any, *, leak_after: float, server: str) -> None:
        super().__init__(pool, leak_after=leak_after, server=server)
        # By identity: a connection takes no attributes.
        self._idle_since: dict[int, float] = {}

    @classmethod
    def find(cls, given: Any) -> Any:
        """The pool itself."""
        return given if isinstance(given, pools.AbstractConnectionPool) else None

    def install(self, pool: Any) -> None:
        """Make the pool measure from now on."""
        # First, as an application's own class can refuse to have a subclass.
        cls = measuring(pool.__class__)
        now = self.tracker.clock()
        for connection in copy(pool._pool):
            self._idle_since[id(connection)] = now
            self.get_to_know(connection)
        attach(pool, self)
        pool.__class__ = cls

    def uninstall(self, pool: Any) -> None:
        """Make the pool what it was, unless somebody else has exchanged its class since."""
        make_plain(pool)

    def limit(self, pool: Any) -> float:
        """The maximum, which every pool has."""
        maximum: int = pool.maxconn
        return maximum

    def is_closed(self, pool: Any) -> bool:
        """Whether it was closed."""
        return bool(pool.closed)

    def refusal(self, error: BaseException) -> str:
        """What an error is that `getconn` raises: only its text tells an exhausted pool's."""
        exhausted = isinstance(error, pools.PoolError) and "exhausted" in str(error)
        return REJECTED if exhausted else FAILED

    def returned(self, connection: Any, *, dead: bool) -> None:
        """A connection was given back; `dead` when the pool found that it has lost its session."""
        now = self.tracker.returning(connection)
        if now is not None:
            self._idle_since[id(connection)] = now
        if dead:
            self.tracker.note(LOST)

    def standing(self, pool: Any) -> Standing:
        """What the pool tells of itself."""
        idle = [id(connection) for connection in copy(pool._pool)]
        since = self._idle_since
        # Those that were closed meanwhile are forgotten.
        for gone in since.keys() - {*idle, *pool._rused.copy()}:
            since.pop(gone, None)
        return Standing(idle=[since.get(one) for one in idle], min=pool.minconn)
