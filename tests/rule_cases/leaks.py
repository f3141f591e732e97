"""Alerts about connections that do not come back."""

from __future__ import annotations

from rule_cases.pool_series import ONE, POOL, TWO, pool
from support.promtool import TARGET, Case, series

SITE = {"site": "orders/report.py:42 build"}
APP = {"app": "orders"}
EXPORTER = series("pg_pool_exporter_build_info", "1x30", version="0.1.0", python="3.11")
JOINED = {**TARGET, "server": "main", "app": "orders"}


def by_site(name: str, values: str, key: dict[str, str] = ONE) -> dict[str, str]:
    return series(f"pg_pool_{name}", values, **key, **SITE)


CASES = {
    "PgPoolConnectionLeaked": [
        Case(
            "fires",
            "at the first one",
            by_site("leaked_slots", "_x5 1x20"),
            6,
            [POOL | SITE],
            """orders/report.py:42 build in orders checks out connections of pool main and loses
            them.
            Slots lost now: 1. First read that line: each way out of it, also by an exception, must
            return the connection. Only a restart of the process gives lost slots back.""",
        ),
        Case(
            "silent",
            "the exporter reads the application, and judges it",
            by_site("leaked_slots", "1x20") | EXPORTER,
            15,
        ),
        Case("just below", "none", by_site("leaked_slots", "0x20"), 15),
        Case("restart", "the new process has lost none", by_site("leaked_slots", "1x10 stale"), 15),
        Case(
            "several processes",
            "the same line in each is one alert",
            by_site("leaked_slots", "1x20") | by_site("leaked_slots", "2x20", TWO),
            15,
            [POOL | SITE],
        ),
        Case("missing data", "a library that does not count them", pool("9x20"), 15),
    ],
    "PgPoolCheckoutOverdue": [
        Case(
            "fires",
            "Prometheus scrapes the application itself",
            by_site("overdue_connections", "2x20"),
            2,
            [POOL | SITE],
            """orders/report.py:42 build in orders keeps connections of pool main for longer than
            the leak threshold. Kept now: 2. First look on the server whether a long statement
            explains it; if not, read that line: who returns the connection, and when? If it is
            meant to last, declare it long-lived.""",
        ),
        Case(
            "silent",
            "the exporter reads the application, and judges it",
            by_site("overdue_connections", "2x20") | EXPORTER,
            15,
        ),
        Case(
            "fires",
            "an exporter watches something else",
            by_site("overdue_connections", "2x20")
            | {name.replace("db:", "db-3:"): one for name, one in EXPORTER.items()},
            15,
            [POOL | SITE],
        ),
        Case(
            "just below",
            "it comes back within two minutes",
            by_site("overdue_connections", "_x5 1x1 stale"),
            8,
        ),
        Case(
            "restart",
            "the new process keeps none",
            by_site("overdue_connections", "1x10 stale"),
            15,
        ),
        Case(
            "several processes",
            "the same line in each is one alert",
            by_site("overdue_connections", "1x20") | by_site("overdue_connections", "2x20", TWO),
            15,
            [POOL | SITE],
        ),
        Case("missing data", "a library that does not count them", pool("9x20"), 15),
    ],
    "PgPoolMissingSessions": [
        Case(
            "fires",
            "for five minutes",
            series("pg_pool_missing_sessions", "0x5 2x20", server="main", **APP),
            12,
            [JOINED],
            """Pools of orders count connections that main doesn't have, leaked ones left out: 2.
            First look for a firewall or a proxy that ends idle connections, for sessions that were
            terminated, and whether the pool checks connections before it hands them out.""",
        ),
        Case(
            "silent",
            "leaked slots explain them, of all processes together",
            series("pg_pool_missing_sessions", "3x20", server="main", **APP)
            | by_site("leaked_slots", "1x20")
            | by_site("leaked_slots", "2x20", TWO),
            15,
        ),
        Case(
            "fires",
            "leaked slots explain some of them",
            series("pg_pool_missing_sessions", "3x20", server="main", **APP)
            | by_site("leaked_slots", "1x20"),
            15,
            [JOINED],
        ),
        Case(
            "fires",
            "leaked slots of another application explain nothing",
            series("pg_pool_missing_sessions", "3x20", server="main", **APP)
            | by_site("leaked_slots", "3x20", {**ONE, "app": "jobs"}),
            15,
            [JOINED],
        ),
        Case(
            "just below",
            "the pool notices after four minutes",
            series("pg_pool_missing_sessions", "0x5 2x4 0x20", server="main", **APP),
            15,
        ),
        Case(
            "restart",
            "the application begins anew, and is not judged for a while",
            series("pg_pool_missing_sessions", "3x10 _x3 0x20", server="main", **APP),
            16,
        ),
        Case(
            "several processes",
            "another application has none",
            series("pg_pool_missing_sessions", "2x20", server="main", **APP)
            | series("pg_pool_missing_sessions", "0x20", server="main", app="jobs"),
            15,
            [JOINED],
        ),
        Case(
            "missing data",
            "a process can't be read, so nothing is sound",
            series("pg_pool_missing_sessions", "2x10 stale", server="main", **APP),
            15,
        ),
    ],
}
