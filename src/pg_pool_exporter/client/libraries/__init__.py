"""One adapter a pool library; the table of all of them.

Imports next to nothing: a program that is instrumented as it starts reads the table first.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple


class Measured(NamedTuple):
    """What cannot be measured of one kind of pool, and which timeouts can."""

    unknown: Set[str] = frozenset()
    """Fields of `PoolSample`."""
    driver: str = ""
    """The driver whose errors show the server's timeouts, see `drivers.timeouts`."""


class Library(NamedTuple):
    """A pool library. Neither it nor its adapter is imported before its first pool."""

    adapter: str
    """Module and class in this package."""
    makers: Mapping[str, str]
    """What completes a pool, by the module that defines it: the constructor of a class, or the
    setting of an attribute (`Class.attribute`)."""
    kinds: Mapping[str, Measured]
    """By name in the documentation."""


# The pool keeps a dropped connection, which becomes overdue.
_KEEPS_DROPPED = {"leaked", "leaked_slots", "reclaimed"}
_SQLALCHEMY = {"min", "leaked_slots"}
_OF_QUEUES = {"unaccounted", "oldest_idle", "oldest_waiting"}

LIBRARIES = {
    "psycopg_pool": Library(
        adapter="psycopg.PsycopgAdapter",
        makers={
            "psycopg_pool.pool": "ConnectionPool",
            "psycopg_pool.pool_async": "AsyncConnectionPool",
        },
        kinds={"psycopg_pool": Measured({"reclaimed"})},
    ),
    "sqlalchemy": Library(
        adapter="sqlalchemy.SqlalchemyAdapter",
        # Before an engine has its pool, the pool does not know which database it is for.
        # SQLAlchemy inspects the code of constructors, so those stay as they are.
        makers={"sqlalchemy.engine.base": "Engine.pool"},
        kinds={
            "SQLAlchemy, psycopg": Measured(_SQLALCHEMY, "psycopg"),
            "SQLAlchemy, psycopg2 or asyncpg": Measured(_SQLALCHEMY, "psycopg2"),
            "SQLAlchemy's NullPool": Measured(
                {*_SQLALCHEMY, "max", "saturated_seconds", *_OF_QUEUES},
                "psycopg",
            ),
        },
    ),
    "asyncpg": Library(
        adapter="asyncpg.AsyncpgAdapter",
        makers={"asyncpg.pool": "Pool"},
        kinds={"asyncpg": Measured({*_KEEPS_DROPPED, "lost"}, "asyncpg")},
    ),
    "psycopg2": Library(
        adapter="psycopg2.Psycopg2Adapter",
        makers={"psycopg2.pool": "AbstractConnectionPool"},
        kinds={"psycopg2": Measured({*_KEEPS_DROPPED, "waiting", "oldest_waiting", "queued"})},
    ),
}
"""By the name of its package."""
KINDS = {name: kind for library in LIBRARIES.values() for name, kind in library.kinds.items()}
