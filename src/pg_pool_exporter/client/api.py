"""The functions that an application calls about its pools. They raise nothing."""

from __future__ import annotations

import inspect
import logging
from types import FunctionType
from typing import TypeVar

from pg_pool_exporter.client.autoinstrument import instrument_made
from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.process import PROCESS
from pg_pool_exporter.client.tracker import declare_long_lived

_T = TypeVar("_T")


def instrument(
    pool: _T,
    *,
    app: str | None = None,
    name: str | None = None,
    server: str | None = None,
    leak_after: float | str | None = None,
) -> _T:
    """Measure a pool from now on, and show this process to the exporter. Returns the pool.

    It takes pools of psycopg_pool, asyncpg, psycopg2 and SQLAlchemy, and SQLAlchemy's engines.
    `app` is the application's name (default: `$PG_POOL_EXPORTER_APP`, else the script's name),
    `name` the pool's (default: the library's own name for it, which for `pool-N` depends on the
    order of creation), `server` the server's name in the exporter's configuration, where host and
    port don't identify it. A checkout that lasts longer than `leak_after` is overdue: seconds or a
    text such as "90s" (default: `$PG_POOL_EXPORTER_LEAK_AFTER`, else 60 s).

    Calling it again for the same pool, also after `instrument_all`, changes the arguments given and
    keeps the rest. An error is logged, to the logger `pg_pool_exporter.client`, and the pool is
    left as it was.
    """
    PROCESS.instrument(pool, app=app, name=name, server=server, leak_after=leak_after)
    return pool


def instrument_all(
    *, app: str | None = None, server: str | None = None, leak_after: float | str | None = None
) -> None:
    """Measure each pool that is made from now on, also of libraries that are imported later.

    For applications whose pools are built deep inside a framework. Call it before anything else;
    the arguments are those of `instrument`, for all pools. Calling it again replaces the arguments
    for pools made from then on. A pool of SQLAlchemy without an engine is left out, and so is an
    engine for another database.
    """
    instrument_made(
        lambda made: PROCESS.instrument(
            made, app=app, server=server, leak_after=leak_after, refused=logging.DEBUG
        )
    )


def uninstrument(pool: _T) -> _T:
    """Stop measuring a pool and restore it. Returns the pool."""
    try:
        PROCESS.registry.remove(pool)
    except TypeError as error:
        log.error("pool is left as it is: %s", error)
    except Exception:  # noqa: BLE001 - nothing may reach the application
        log.exception("pool is left as it is")
    return pool


def long_lived(what: _T) -> _T:
    """Declare that a checkout lasts long on purpose, so that it is never overdue. Returns `what`.

    `what` is a connection that is checked out (one that listens for notifications, or holds a
    leader's lock). Or use it as the decorator of the function that checks connections out.
    """
    try:
        # A context manager's function, for example, is found in what its decorator made of it.
        function = inspect.unwrap(what) if callable(what) else what
        if isinstance(function, FunctionType):
            declare_long_lived(function.__code__)
        elif not PROCESS.registry.exempt(what):
            log.warning("long_lived: not a function, nor a connection that is checked out")
    except Exception:  # noqa: BLE001 - nothing may reach the application
        log.exception("nothing is declared long-lived")
    return what
