"""A shop for gunicorn: `GET /` uses the pool and answers which process did.

With SHOP_PRELOAD the pool is made, and instrumented, before the workers are forked; else each
worker makes its own at its first request. With PAGE_PORT the page is served there, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument, serve

serve(int(os.environ["PAGE_PORT"]))


def make_pool() -> ConnectionPool[Any]:
    return ConnectionPool(os.environ["SHOP_DSN"], min_size=1, open=False)


PRELOADED = (
    instrument(make_pool(), app="shop", name="main") if "SHOP_PRELOAD" in os.environ else None
)


@lru_cache(maxsize=1)
def pool() -> ConnectionPool[Any]:
    own = PRELOADED or instrument(make_pool(), app="shop", name="main")
    own.open()
    return own


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    with pool().connection() as connection:
        connection.execute("select 1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
