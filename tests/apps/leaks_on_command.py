"""An application that does what its standard input says, a word a line: leak, keep, work, back.

`keep` checks a connection out, `work` opens a transaction on it, too; `back` returns the last one.
"""

from __future__ import annotations

import sys
from typing import Any

from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument

kept: list[Any] = []


def forget(pool: ConnectionPool[Any]) -> None:
    connection = pool.getconn()
    connection.execute("select 1")


def keep(pool: ConnectionPool[Any]) -> None:
    kept.append(pool.getconn())


def main() -> None:
    with ConnectionPool(sys.argv[1], name="main", min_size=2, max_size=5, open=True) as pool:
        pool.wait()
        instrument(pool, app="orders", leak_after="2s")
        for line in sys.stdin:
            match line.strip():
                case "leak":
                    forget(pool)
                case "keep":
                    keep(pool)
                case "work":
                    keep(pool)
                    kept[-1].execute("select 1")
                case "back":
                    pool.putconn(kept.pop())


if __name__ == "__main__":
    main()
