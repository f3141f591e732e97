"""Alerts about connections that do not come back."""

from __future__ import annotations

from rule_cases.pool_series import INFO, ONE, POOL, TWO, pool
from rule_cases.server_series import ELSEWHERE
from support.promtool import TARGET, Case, series

SITE = {"site": "orders/report.py:42 build"}
APP = {"app": "orders"}
JOINED = {**TARGET, "server": "main", "app": "orders"}


def by_site(name: str, values: str, key: dict[str, str] = ONE) -> dict[str, str]:
    return series(f"pg_pool_{name}", values, **key, **SITE)


def session(
    state: str, age: str, application: str = "orders-api", count: str = "1x60"
) -> dict[str, str]:
    """The server's sessions of an application in one state, the oldest of which has that age."""
    key = {"server": "main", "database": "shop", "user": "orders", "application": application}
    return series("pg_server_connections", count, **key, state=state) | series(
        "pg_server_oldest_state_seconds", age, **key, state=state
    )


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
        Case("just below", "none", by_site("leaked_slots", "0x20"), 15),
        Case("restart", "the new process has lost none", by_site("leaked_slots", "1x10 stale"), 15),
        Case(
            "several processes",
            "the same line in each is one alert",
            by_site("leaked_slots", "1x20") | by_site("leaked_slots", "2x20", TWO),
            15,
            [POOL | SITE],
        ),
        Case("missing data", "a library that cannot tell", pool("9x20"), 15),
    ],
    "PgPoolCheckoutOverdue": [
        Case(
            "fires",
            "no server is watched",
            by_site("overdue_connections", "2x20"),
            2,
            [POOL | SITE],
            """orders/report.py:42 build in orders keeps connections of pool main for longer than
            the leak threshold, and the server sees none of them work. Kept now: 2. First read that
            line: who returns the connection, and when? If it is meant to last, declare it
            long-lived.""",
        ),
        Case(
            "fires",
            "the server has sessions of it that have been idle for long",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x20")
            | session("active", "0.1x20"),
            15,
            [POOL | SITE],
        ),
        Case(
            "silent",
            "the server sees a long statement",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x20")
            | session("active", "60+60x20"),
            15,
        ),
        Case(
            "silent",
            "the server sees a transaction that was left open",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle_in_transaction", "60+60x20"),
            15,
        ),
        Case(
            "silent",
            "the server sees its sessions work, statement after statement",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("active", "5x20")
            | session("idle", "10x20"),
            15,
        ),
        Case(
            "fires",
            "a session of it was ended, and the others work",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("active", "5x20")
            | session("idle", "10x20")
            | series("pg_pool_missing_sessions", "1x20", server="main", **APP),
            15,
            [POOL | SITE],
        ),
        Case(
            "silent",
            "the server has no session for slots that are lost, and sees the others work",
            by_site("overdue_connections", "2x20")
            | by_site("leaked_slots", "1x20")
            | INFO
            | session("active", "5x20")
            | session("idle", "10x20")
            | series("pg_pool_missing_sessions", "1x20", server="main", **APP),
            15,
        ),
        Case(
            "silent",
            "the server that had its sessions does not answer any more",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x2 stale", count="1x2 stale")
            | series("pg_server_up", "1x2 0x20", server="main"),
            15,
        ),
        Case(
            "fires",
            "another server does not answer",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x20")
            | series("pg_server_up", "1x20", server="main")
            | series("pg_server_up", "0x20", server="other"),
            15,
            [POOL | SITE],
        ),
        Case(
            "fires",
            "a server that another exporter gives the same name does not answer",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x20")
            | series("pg_server_up", "1x20", server="main")
            | series("pg_server_up", "0x20", server="main", **ELSEWHERE),
            15,
            [POOL | SITE],
        ),
        Case(
            "fires",
            "the long statement is another application's",
            by_site("overdue_connections", "2x20")
            | INFO
            | session("idle", "60+60x20")
            | session("active", "60+60x20", "jobs"),
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
        Case("missing data", "a library that cannot tell", pool("9x20"), 15),
    ],
    "PgPoolConnectionsUnreturned": [
        Case(
            "fires",
            "both sides prove it",
            series("pg_pool_unreturned_connections", "0x5 3x20", server="main", **APP),
            7,
            [JOINED],
            """orders holds connections to main that did nothing during the whole leak threshold; at
            least: 3. Both sides prove it. First look which code checks out without returning: a
            site
            in pg_pool_leaked_slots or pg_pool_overdue_connections names it, else the last query of
            the oldest idle sessions does.""",
        ),
        Case(
            "just below",
            "none is proved",
            series("pg_pool_unreturned_connections", "0x20", server="main", **APP),
            15,
        ),
        Case(
            "restart",
            "the application begins anew, and is not judged for a while",
            series("pg_pool_unreturned_connections", "3x10 _x3 0x20", server="main", **APP),
            16,
        ),
        Case(
            "several processes",
            "another application has none",
            series("pg_pool_unreturned_connections", "2x20", server="main", **APP)
            | series("pg_pool_unreturned_connections", "0x20", server="main", app="jobs"),
            15,
            [JOINED],
        ),
        Case(
            "missing data",
            "a process can't be read, so nothing is sound",
            series("pg_pool_unreturned_connections", "3x5 stale", server="main", **APP),
            15,
        ),
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
