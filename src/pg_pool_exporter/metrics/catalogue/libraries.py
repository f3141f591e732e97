"""Pool metrics without series for an instrumented Python library, because it does not show them."""

from __future__ import annotations

from collections.abc import Mapping

from pg_pool_exporter.metrics.catalogue import pools as p
from pg_pool_exporter.metrics.catalogue.metric import Metric

# The kinds of timeouts that each of them reports.
_ALWAYS = ("pool", "connect")
_OF_STATEMENTS = (*_ALWAYS, "statement", "lock")

_NO_QUEUE = {p.POOL_WAITING, p.POOL_OLDEST_WAITING, p.POOL_QUEUED}
# The pool keeps a reference to a dropped connection: it becomes overdue instead.
_KEEPS_THE_DROPPED = {p.POOL_LEAKED, p.POOL_LEAKED_SLOTS}
_NO_LIMIT = {p.POOL_MAX, p.POOL_SATURATED_SECONDS}
_NO_LEAKS = {p.POOL_LEAKED_SLOTS}

LIBRARY_ABSENT: Mapping[str, set[Metric]] = {
    "psycopg_pool": set(),
    "SQLAlchemy, psycopg": {p.POOL_MIN, *_NO_LEAKS},
    "SQLAlchemy, psycopg2 or asyncpg": {p.POOL_MIN, *_NO_LEAKS},
    "SQLAlchemy's NullPool": {p.POOL_MIN, *_NO_LEAKS, *_NO_LIMIT, p.POOL_OLDEST_IDLE,
                              p.POOL_OLDEST_WAITING},
    "asyncpg": {*_KEEPS_THE_DROPPED, p.POOL_LOST},
    "psycopg2": {*_KEEPS_THE_DROPPED, *_NO_QUEUE},
}  # fmt: skip
LIBRARY_TIMEOUTS: Mapping[str, tuple[str, ...]] = {
    "psycopg_pool": _ALWAYS,
    "SQLAlchemy, psycopg": p.POOL_TIMEOUT_KINDS,
    "SQLAlchemy, psycopg2 or asyncpg": _OF_STATEMENTS,
    "SQLAlchemy's NullPool": p.POOL_TIMEOUT_KINDS,
    "asyncpg": _OF_STATEMENTS,
    "psycopg2": _ALWAYS,
}
