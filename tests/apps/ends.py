"""An application that ends with connections out.

python ends.py DSN return|exit|kept|threads|closed
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument

kept: list[Any] = []
pool: ConnectionPool[Any] = ConnectionPool(sys.argv[1], min_size=2, open=True)


def work() -> None:
    while True:
        with pool.connection() as connection:
            connection.execute("select 1")


def main() -> None:
    pool.wait()
    instrument(pool, app="shop", name="main")
    path = Path(os.environ["PG_POOL_EXPORTER_SOCKET_DIR"]) / "shop-0.sock"
    while not path.exists():
        time.sleep(0.01)
    how = sys.argv[2]
    json.dump(how, sys.stdout)
    if how == "kept":
        kept.append(pool.getconn())
    if how == "threads":
        threading.Thread(target=work, daemon=True).start()
    if how == "exit":
        connection = pool.getconn()
        sys.exit(connection.closed)
    if how == "closed":
        pool.close()


if __name__ == "__main__":
    main()
