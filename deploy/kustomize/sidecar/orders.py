"""An application with a pool in each worker of gunicorn: `gunicorn orders:app`."""

import os
from collections.abc import Callable
from typing import Any

from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument

# Opened by the first request: a pool must not be opened before the worker is forked.
pool = ConnectionPool(
    os.environ["DATABASE_URL"], kwargs={"application_name": "orders"}, max_size=10, open=False
)
instrument(pool, app="orders", name="main")


def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Ask the database whether it is there."""
    pool.open()
    with pool.connection() as connection:
        connection.execute("SELECT 1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"it is"]
