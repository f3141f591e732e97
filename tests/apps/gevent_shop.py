"""An application whose threads are gevent's.

    python gevent_shop.py DSN

Prints what it found, as JSON.
"""

from gevent import monkey  # type: ignore[import-untyped]  # it has no types

monkey.patch_all()

# ruff: noqa: E402 - gevent replaces the library before anything else is imported

import json
import os
import sys
import time
from pathlib import Path

import gevent
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import PROCESS
from support.client import page_of, values


def main() -> None:
    path = Path(os.environ["PG_POOL_EXPORTER_SOCKET_DIR"]) / "shop-0.sock"
    with ConnectionPool(sys.argv[1], min_size=4, open=True) as pool:
        pool.wait()
        instrument(pool, app="shop", name="main")
        longest = 0.0
        pages: list[str] = []

        def beat() -> None:
            nonlocal longest
            while True:
                begin = time.monotonic()
                gevent.sleep(0.01)
                longest = max(longest, time.monotonic() - begin)

        def read() -> None:
            while True:
                pages.append(page_of(path))
                gevent.sleep(0.01)

        def work() -> None:
            for _ in range(50):
                with pool.connection() as connection:
                    connection.execute("select 1")

        def leak() -> None:
            pool.getconn()

        helpers = [gevent.spawn(beat), gevent.spawn(read)]
        gevent.joinall([gevent.spawn(work) for _ in range(20)], raise_error=True)
        gevent.spawn(leak).join()
        while not pages or not pages[-1]:
            gevent.sleep(0.01)
        gevent.sleep(2.5)  # longer than a listener waits for a reader
        last = page_of(path)
        gevent.killall(helpers)
        reported = {
            "acquired": values(last, "pg_pool_acquired_total"),
            "returned": values(last, "pg_pool_returned_total"),
            "leaked": values(last, "pg_pool_leaked_connections_total"),
            "queued": values(last, "pg_pool_queued_requests_total"),
            "longest pause": longest,
        }
    PROCESS.close()
    reported["sockets left"] = [path.name for path in path.parent.glob("*.sock")]
    json.dump(reported, sys.stdout)


if __name__ == "__main__":
    main()
