"""Alerts about what a server's sessions do: open transactions, locks, time-outs."""

from __future__ import annotations

from rule_cases.server_series import (
    AT_SESSION,
    ELSEWHERE,
    JOBS,
    MAIN,
    SESSION,
    age,
    override,
    server,
    sessions,
    setting,
)
from support.promtool import TARGET, Case

CASES = {
    "PgServerIdleInTransaction": [
        Case(
            "fires",
            "for two minutes and one more",
            age("idle_in_transaction", "0+60x20"),
            4,
            [{**AT_SESSION, "state": "idle_in_transaction"}],
            """A session of orders-api (role orders, database shop) on main has done nothing in its
            open transaction for 4m 0s. It holds its locks and keeps vacuum from cleaning up. First
            find it in pg_stat_activity: its last query says which code left it open.""",
        ),
        Case(
            "fires",
            "one that has failed and was not rolled back",
            age("idle_in_transaction_aborted", "0+60x20"),
            4,
            [{**AT_SESSION, "state": "idle_in_transaction_aborted"}],
        ),
        Case("just below", "two minutes", age("idle_in_transaction", "120x20"), 15),
        Case("silent", "a session is idle for hours", age("idle", "3600+60x20"), 15),
        Case("silent", "a statement runs for hours", age("active", "3600+60x20"), 15),
        Case(
            "restart",
            "the session was ended, and a new one works",
            age("idle_in_transaction", "0+60x8 0x20"),
            12,
        ),
        Case(
            "missing data", "the right to see it is missing", sessions("5x20", state="unknown"), 15
        ),
    ],
    "PgServerLockWaitLong": [
        Case(
            "fires",
            "for more than half a minute",
            server("oldest_waiting_seconds", "0+60x20", **SESSION),
            2,
            [AT_SESSION],
            """A session of orders-api (role orders, database shop) on main has waited for a lock
            for 2m 0s. First find who holds it: pg_blocking_pids() of the waiting session.""",
        ),
        Case(
            "just below", "half a minute", server("oldest_waiting_seconds", "30x20", **SESSION), 15
        ),
        Case(
            "restart",
            "the blocker was ended, and the next wait is short",
            server("oldest_waiting_seconds", "0+60x8 5x20", **SESSION),
            12,
        ),
        Case(
            "missing data",
            "PostgreSQL 13 does not tell",
            server("waiting_connections", "9x20", **SESSION),
            15,
        ),
    ],
    "PgServerLockPileUp": [
        Case(
            "fires",
            "five wait, of two applications",
            server("waiting_connections", "3x20", **SESSION)
            | server("waiting_connections", "2x20", **JOBS),
            1,
            [MAIN],
            """Sessions on main that wait for a lock: 5. First find the one at the head of the queue
            with pg_blocking_pids(), and end it if it may be ended; the others then go on by
            themselves.""",
        ),
        Case("just below", "four wait", server("waiting_connections", "4x20", **SESSION), 15),
        Case(
            "silent",
            "one scrape sees many",
            server("waiting_connections", "0x5 9 0x20", **SESSION),
            7,
        ),
        Case(
            "restart",
            "the blocker was ended",
            server("waiting_connections", "9x10 0x20", **SESSION),
            15,
        ),
        Case(
            "silent",
            "five wait, but on two servers",
            server("waiting_connections", "3x20", **SESSION)
            | server("waiting_connections", "2x20", **{**SESSION, "server": "other"}),
            15,
        ),
        Case(
            "missing data", "the right to see it is missing", sessions("5x20", state="unknown"), 15
        ),
    ],
    "PgServerBlocker": [
        Case(
            "fires",
            "who blocks is named, not who waits",
            server("blocking_connections", "1x20", **JOBS)
            | server("oldest_waiting_seconds", "0+60x20", **SESSION),
            2,
            [{**TARGET, **JOBS}],
            """Sessions of jobs (role orders, database shop) on main that hold up others: 1. First
            look whether they work, are idle in a transaction, or wait themselves for another
            one.""",
        ),
        Case(
            "just below",
            "nobody has waited for long",
            server("blocking_connections", "1x20", **JOBS)
            | server("oldest_waiting_seconds", "5x20", **SESSION),
            15,
        ),
        Case(
            "silent",
            "somebody waits on another server",
            server("blocking_connections", "1x20", **JOBS)
            | server("oldest_waiting_seconds", "99x20", **{**SESSION, "server": "other"}),
            15,
        ),
        Case(
            "silent",
            "somebody waits on a server that another exporter gives the same name",
            server("blocking_connections", "1x20", **JOBS)
            | server("oldest_waiting_seconds", "99x20", **SESSION, **ELSEWHERE),
            15,
        ),
        Case(
            "restart",
            "the blocker was ended",
            server("blocking_connections", "1x10 0x20", **JOBS)
            | server("oldest_waiting_seconds", "0+60x10 0x20", **SESSION),
            15,
        ),
        Case(
            "missing data",
            "nobody waits, so nobody is looked for",
            server("oldest_waiting_seconds", "99x20", **SESSION),
            15,
        ),
    ],
    "PgServerDeadlocks": [
        Case(
            "fires",
            "two",
            server("deadlocks_total", "0x15 2x5 2x10", database="shop"),
            18,
            [{**MAIN, "database": "shop"}],
            """PostgreSQL ended transactions in database shop on main that blocked each other; in 15
            minutes: 2. First read the server's log: it names both statements. They must take their
            locks in the same order.""",
        ),
        Case(
            "fires",
            "the first one ever",
            server("deadlocks_total", "0x15 1x15", database="shop"),
            18,
            [{**MAIN, "database": "shop"}],
        ),
        Case("just below", "none", server("deadlocks_total", "7x30", database="shop"), 18),
        Case(
            "silent",
            "a quarter of an hour later",
            server("deadlocks_total", "0x5 1x40", database="shop"),
            30,
        ),
        Case(
            "restart",
            "statistics were reset",
            server("deadlocks_total", "9x10 0x20", database="shop"),
            15,
        ),
        Case("missing data", "the server can't be read", server("up", "0x20"), 15),
    ],
    "PgServerTimeoutNotSet": [
        Case(
            "fires",
            "off everywhere",
            setting("0x20"),
            10,
            [{**MAIN, "setting": "idle_in_transaction_session_timeout"}],
            """idle_in_transaction_session_timeout is off on main, also for each role and database.
            First set it for the roles of your applications: ALTER ROLE … SET
            idle_in_transaction_session_timeout = '60s'.""",
        ),
        Case("just below", "one second", setting("1x20"), 15),
        Case("silent", "set for a role", setting("0x20") | override("60x20"), 15),
        Case(
            "fires",
            "another one is set for a role",
            setting("0x20") | override("60x20", "statement_timeout"),
            15,
            [{**MAIN, "setting": "idle_in_transaction_session_timeout"}],
        ),
        Case(
            "fires",
            "set for a role of a server that another exporter gives the same name",
            setting("0x20") | override("60x20", **ELSEWHERE),
            15,
            [{**MAIN, "setting": "idle_in_transaction_session_timeout"}],
        ),
        Case("silent", "nobody recommends it", setting("0x20", "statement_timeout"), 15),
        Case("restart", "it is set, and the server begins anew", setting("0x10 _ 60x20"), 20),
        Case("missing data", "the server can't be read", setting("0x5 stale"), 15),
    ],
}
