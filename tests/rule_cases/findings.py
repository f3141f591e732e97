"""Alerts that repeat what the exporter finds."""

from __future__ import annotations

from typing import Any

from rule_cases.leaks import SITE, by_site
from rule_cases.pool_series import ONE, TWO, counters, pool
from rule_cases.server_series import JOBS, SESSION, age, server, sessions, slots
from support.promtool import TARGET, Case, Labels, series

POOL = {"app": "orders", "pool": "main", "server": "main"}
MAIN = {"server": "main"}
ROLE = {"server": "main", "user": "orders"}
EDGE = {"bouncer": "edge", "target": "edge"}
EDGE_POOL = {**EDGE, "database": "shop", "user": "orders"}
EDGE_SHOP = {**EDGE, "database": "shop"}
WORKER = {"target": "web:0"}
LONGEST = 12
"""Minutes for which the slowest of these alerts waits, and some more."""


def found(cause: str, severity: str, values: str, about: Labels) -> dict[str, str]:
    return series("pg_pool_finding", values, cause=cause, severity=severity, **about)


def blamed(values: str, **labels: str) -> dict[str, str]:
    """A line of code that the leak's finding names."""
    return series(
        "pg_pool_finding_site_connections", values, **{"cause": "leak", **POOL, **SITE, **labels}
    )


def clients(values: str, application: str, **labels: str) -> dict[str, str]:
    """Clients of the bouncer's pool."""
    known = {"bouncer": "edge", "database": "shop", "user": "orders", "state": "waiting"}
    return series("pg_bouncer_clients", values, **{**known, "application": application, **labels})


CLIENTS = (
    clients("3x20", "web") | clients("1x20", "jobs") | clients("0x20", "idle")
    | clients("9x20", "elsewhere", bouncer="other")
)  # fmt: skip


def cases(
    cause: str, about: Labels, text: str, *, amount: int = 1,
    evidence: dict[str, str] | None = None, severities: dict[str, str] | None = None,
    at_once: bool = False,
) -> list[Case]:  # fmt: skip
    """Those of one cause. `severities` of the alert, by the finding's."""
    firing: dict[str, Any] = {
        severity: {**TARGET, **about, "cause": cause, "severity": alert}
        for severity, alert in (severities or {"warning": "warning", "problem": "critical"}).items()
    }
    return [
        *(
            Case(
                "fires",
                f"the exporter calls it a {severity}",
                found(cause, severity, f"{amount}x20", about) | (evidence or {}),
                LONGEST,
                [labels],
                text,
            )
            for severity, labels in firing.items()
        ),
        Case(
            "just below",
            "it was over when it should fire",
            found(cause, "problem", "_x5 1 stale", about),
            7 if at_once else 6,
        ),
        Case("silent", "something else is found", found("other", "problem", "1x20", about), 15),
        Case("restart", "it is over", found(cause, "problem", "1x10 stale", about), 25),
        Case("missing data", "nothing is found", series("pg_pool_exporter_build_info", "1x20"), 15),
    ]  # fmt: skip


ALWAYS_WARNING = {"warning": "warning", "problem": "warning"}
HELD_FOR_2_S = counters(held_seconds="0+590x20", returned="0+295x20")

CASES = {
    "PgPoolLeak": [
        *cases(
            "leak",
            POOL,
            """Pool main of orders leaks. Connections checked out and not returned: 4. By line of
            code: orders/report.py:42 build (4), orders/jobs.py:7 run (1). Checked out now: 12 of
            20. First read the code that checks them out: each way out of it, also by an exception,
            must return the connection. Until the code is fixed, a restart of the process gives its
            slots back.""",
            amount=4,
            evidence=blamed("4x20")
            | blamed("1x20", site="orders/jobs.py:7 run")
            | blamed("9x20", app="jobs")
            | by_site("overdue_connections", "8x20")
            | pool("5x20")
            | pool("7x20", key=TWO),
            severities=ALWAYS_WARNING,
            at_once=True,
        ),
        Case(
            "fires",
            "which lines are to blame is unknown",
            found("leak", "warning", "1x20", POOL)
            | by_site("overdue_connections", "2x20")
            | by_site("leaked_slots", "1x20", TWO)
            | series("pg_pool_leaked_slots", "1x20", **TWO, site="orders/jobs.py:7 run")
            | series("pg_pool_leaked_slots", "0x20", **TWO, site="orders/cart.py:1 add")
            | series("pg_pool_leaked_slots", "9x20", **{**ONE, "app": "jobs"}, **SITE),
            3,
            [{**TARGET, **POOL, "cause": "leak"}],
            """Pool main of orders leaks. Connections checked out and not returned: 1. At one of the
            lines with long checkouts: orders/report.py:42 build (3), orders/jobs.py:7 run (1).
            First read the code that checks them out: each way out of it, also by an exception, must
            return the connection. Until the code is fixed, a restart of the process gives its slots
            back.""",
        ),
        Case(
            "fires",
            "by no line, in one of the application's pools",
            found("leak", "problem", "2x20", {"app": "orders", "server": "main"}),
            3,
            [{**TARGET, "app": "orders", "server": "main", "cause": "leak"}],
            """orders leaks. Connections checked out and not returned: 2. First read the code that
            checks them out: each way out of it, also by an exception, must return the connection.
            Until the code is fixed, a restart of the process gives its slots back.""",
        ),
        Case(
            "fires",
            "lines in another region are not its own",
            found("leak", "problem", "2x20", {**POOL, "region": "eu"})
            | blamed("2x20", region="eu")
            | blamed("9x20", site="a.py:1 f", region="us"),
            3,
            [{**TARGET, **POOL, "cause": "leak", "region": "eu"}],
            """Pool main of orders leaks. Connections checked out and not returned: 2. By line of
            code: orders/report.py:42 build (2). First read the code that checks them out: each way
            out of it, also by an exception, must return the connection. Until the code is fixed, a
            restart of the process gives its slots back.""",
        ),
        Case(
            "fires",
            "a name that a query must escape",
            found("leak", "problem", "2x20", {**POOL, "app": 'the "orders" \\ jobs'})
            | blamed("2x20", app='the "orders" \\ jobs'),
            3,
            [{**TARGET, **POOL, "cause": "leak", "app": 'the "orders" \\ jobs'}],
            """Pool main of the "orders" \\ jobs leaks. Connections checked out and not returned: 2.
            By line of code: orders/report.py:42 build (2). First read the code that checks them
            out: each way out of it, also by an exception, must return the connection. Until the
            code is fixed, a restart of the process gives its slots back.""",
        ),
        Case(
            "fires",
            "it goes on for minutes as a warning, and is certain then",
            found("leak", "warning", "2x9 stale", POOL)
            | found("leak", "problem", "_x10 2x20", POOL),
            10,
            [{**TARGET, **POOL, "cause": "leak"}],
        ),
    ],
    "PgPoolSlotsLost": cases(
        "slots_lost_in_library",
        POOL,
        """Pool main of orders counts connections that do not exist any more. Slots lost: 4. Checked
        out now: 5 of 20. First restart the process: nothing else frees these slots. Then update the
        library.""",
        amount=4,
        evidence=pool("5x20") | pool("0x20", key=TWO),
        severities=ALWAYS_WARNING,
    ),
    "PgPoolConnectionsReclaimed": cases(
        "reclaimed_connections",
        POOL,
        """Pool main of orders gets connections back from the garbage collector. In the last
        minutes: 10. By line of code: orders/report.py:42 build (10). First read the code that
        checks them out: it must return them on every path.""",
        amount=10,
        evidence=by_site("reclaimed_connections_total", "0+2x20"),
    ),
    "PgPoolPerRequest": cases(
        "pool_per_request",
        {"app": "orders", "server": "main"},
        """orders makes pools in place of former ones. In the last minutes: 60. Made at
        orders/report.py:42 build (60). First move the line that makes the pool to where the
        process starts.""",
        amount=60,
        evidence=by_site("instances_total", "0+12x20"),
        severities=ALWAYS_WARNING,
    ),
    "PgPoolTooSmall": cases(
        "pool_too_small",
        POOL,
        """Requests for a connection of pool main of orders wait, although its connections come back
        soon. Requests that wait: 4. A checkout lasts 2s on average. Checked out now: 10 of 10.
        First look whether the server has slots left; then give the pool more, or start fewer
        requests at once.""",
        amount=4,
        evidence=pool("10x20") | HELD_FOR_2_S,
    ),
    "PgPoolLongCheckouts": cases(
        "long_checkouts",
        POOL,
        """Requests for a connection of pool main of orders wait, because other checkouts last long.
        Requests that wait: 4. A checkout lasts 2s on average. Checked out now: 10 of 10. First look
        on the server what the application's active sessions run; a larger pool would only move the
        queue there.""",
        amount=4,
        evidence=pool("10x20") | HELD_FOR_2_S,
    ),
    "PgServerIdleInTransaction": cases(
        "idle_in_transaction",
        {"app": "orders-api", "server": "main"},
        """Sessions of orders-api on main that are idle in transaction: 3. They hold their locks and
        keep vacuum from cleaning up. The oldest for 5m 0s. First find the session in
        pg_stat_activity: its last query says which code left the transaction open.""",
        amount=3,
        evidence=age("idle_in_transaction", "300x20") | age("idle", "900x20"),
    ),
    "PgServerLockPileUp": cases(
        "lock_pile_up",
        MAIN,
        """Sessions on main that wait for a lock, or deadlocks: 6. The longest wait: 1m 30s. Blocked
        by sessions of migrations, jobs. First find the session at the head of the queue with
        pg_blocking_pids(), and end it if it may be ended; the others then go on by themselves.""",
        amount=6,
        evidence=server("oldest_waiting_seconds", "90x20", **SESSION)
        | server("blocking_connections", "1x20", **JOBS)
        | server("blocking_connections", "2x20", **{**SESSION, "application": "migrations"})
        | server("blocking_connections", "0x20", **SESSION),
    ),
    "PgServerFull": [
        *cases(
            "server_full",
            MAIN,
            """The connections of main are nearly used up. Slots of ordinary roles in
            use: 95.79%. Most sessions: orders-api (70), jobs (21). First free some: stop what is
            not needed, or end sessions that have been idle for longest.""",
            amount=91,
            evidence=slots("91x20")
            | sessions("60x20")
            | sessions("10x20", state="active")
            | sessions("21x20", application="jobs"),
        ),
    ],
    "PgServerConnectionLimit": [
        *cases(
            "connection_limit",
            ROLE,
            """The CONNECTION LIMIT of role orders on main is nearly used up. CONNECTION
            LIMIT of database shop in use: 80%. CONNECTION LIMIT of role orders in use: 100%. Most
            sessions: orders-api (16). First look which application has most of its sessions, and
            whether they work or are idle.""",
            amount=16,
            evidence=sessions("16x20")
            | server("database_connection_limit", "20x20", database="shop")
            | server("role_connection_limit", "16x20", user="orders"),
        ),
        Case(
            "fires",
            "of a database",
            found("connection_limit", "warning", "17x20", {**MAIN, "database": "shop"}),
            3,
            [
                {
                    **TARGET,
                    **MAIN,
                    "database": "shop",
                    "cause": "connection_limit",
                    "severity": "warning",
                }
            ],
            """The CONNECTION LIMIT of database shop on main is nearly used up. First
            look which application has most of its sessions, and whether they work or are idle.""",
        ),
    ],
    "PgServerLoginsHang": cases(
        "logins_hang",
        MAIN,
        """A login on main has had no answer for at least a minute. First look whether the
        postmaster runs, and whether a lock or the authentication hangs.""",
        severities={"problem": "critical"},
    ),
    "PgPoolLogNotUnderstood": cases(
        "log_not_understood",
        {"target": "main"},
        """The log of main is not in the format that is read. First look at the exporter's page: it
        has the shape of a line and the expected format.""",
        severities=ALWAYS_WARNING,
    ),
    "PgServerOversubscribed": cases(
        "server_oversubscribed",
        MAIN,
        """Connections that the pools of main may open: 120. Slots of ordinary roles: 95. Most
        sessions: orders-api (10). First look which application has the largest maximum times
        processes; it can be less, or a PgBouncer can stand in between.""",
        amount=120,
        evidence=slots("10x20") | sessions("10x20"),
    ),
    "PgServerDown": cases(
        "postgresql_unreachable",
        MAIN,
        """main has not answered for at least a minute. Polls fail with reason refused. First look
        at the reason in the exporter's log, then try psql from its host.""",
        evidence=series(
            "pg_pool_exporter_poll_failures_total",
            "0+12x20",
            kind="server",
            target="main",
            reason="refused",
        ),
        severities={"problem": "critical"},
    ),
    "PgServerSessionsHidden": cases(
        "sessions_hidden",
        MAIN,
        """The state of sessions on main is hidden from the exporter. First GRANT
        pg_monitor to the exporter's role.""",
        amount=2,
        severities={"warning": "warning"},
    ),
    "PgPoolLoginFailed": [
        *cases(
            "login_failed",
            MAIN,
            """Server main refuses the login of the exporter, or the password can't be read. First
            read the reason in the exporter's log, then log in from its host with the same role and
            password.""",
        ),
        Case(
            "fires",
            "a bouncer refuses it",
            found("login_failed", "warning", "1x20", EDGE),
            3,
            [{**TARGET, **EDGE, "cause": "login_failed", "severity": "warning"}],
            """edge refuses the login of the exporter, or the password can't be read. First read the
            reason in the exporter's log, then log in from its host with the same role and
            password.""",
        ),
    ],
    "PgBouncerIdleInTransaction": cases(
        "bouncer_idle_in_transaction",
        {**EDGE_POOL, "app": "web"},
        """Connections that web keeps idle in transaction, of pool shop/orders of edge: 2. No other
        client gets them. Clients wait of web (3), jobs (1). First look at the exporter's page: it
        has the client's address, and the line that makes its pool.""",
        amount=2,
        evidence=CLIENTS,
    ),
    "PgBouncerSessionHeld": cases(
        "bouncer_session_held",
        EDGE_POOL,
        """Connections that clients of pool shop/orders of edge keep in session mode without using
        them: 20. Clients wait of web (3), jobs (1). First look whether the application can do with
        transaction mode; else its pools are too large for the bouncer's.""",
        amount=20,
        evidence=CLIENTS,
    ),
    "PgBouncerLongTransactions": cases(
        "bouncer_long_transactions",
        EDGE_POOL,
        """Clients that wait for a connection of pool shop/orders of edge: 4. Clients wait of web
        (3), jobs (1). First look on the server what the active sessions run; a larger pool would
        only move the queue there.""",
        amount=4,
        evidence=CLIENTS,
    ),
    "PgBouncerPoolTooSmall": cases(
        "bouncer_pool_too_small",
        EDGE_POOL,
        """Clients that wait for a connection of pool shop/orders of edge, although connections
        come back soon, or other pools have them: 4. Clients wait of web (3), jobs (1). First look
        whether the server has slots left; then give the pool more.""",
        amount=4,
        evidence=CLIENTS,
    ),
    "PgBouncerServerUnavailable": cases(
        "bouncer_server_unavailable",
        EDGE_POOL,
        """Clients that wait at pool shop/orders of edge, which gets no connection, or no more: 4.
        Clients wait of web (3), jobs (1). First look into the bouncer's log for the reason, then at
        the server.""",
        amount=4,
        evidence=CLIENTS,
    ),
    "PgBouncerPaused": [
        *cases(
            "bouncer_paused",
            EDGE_SHOP,
            """Database shop of edge is paused or disabled. Clients wait of web (3), jobs (1). First
            ask who stopped it, and whether a failover or an upgrade still runs.""",
            evidence=CLIENTS,
        ),
        Case(
            "fires",
            "all of it is paused",
            found("bouncer_paused", "warning", "1x20", EDGE),
            LONGEST,
            [{**TARGET, **EDGE, "cause": "bouncer_paused", "severity": "warning"}],
            """edge is paused or disabled. First ask who stopped it, and whether a failover or an
            upgrade still runs.""",
        ),
    ],
    "PgBouncerLimitsOversubscribed": cases(
        "bouncer_limits_oversubscribed",
        EDGE,
        """Connections that may be asked for, of the limit of edge that gives first: 130. Most
        clients: web (3), jobs (1). First look at the exporter's page: it has the limits from the
        pools to the server.""",
        amount=130,
        evidence=CLIENTS,
        severities=ALWAYS_WARNING,
    ),
    "PgBouncerTooManyClients": [
        *cases(
            "bouncer_too_many_clients",
            EDGE,
            """Clients of edge: 90. Beyond the limit they are refused. Most clients: web (3), jobs
            (1). First look which application has the most.""",
            amount=90,
            evidence=CLIENTS,
        ),
        Case(
            "fires",
            "those of a user",
            found("bouncer_too_many_clients", "problem", "9x20", {**EDGE, "user": "orders"}),
            LONGEST,
            [
                {
                    **TARGET,
                    **EDGE,
                    "user": "orders",
                    "severity": "critical",
                    "cause": "bouncer_too_many_clients",
                }
            ],
            """Clients of edge, user orders: 9. Beyond the limit they are refused. First look which
            application has the most.""",
        ),
    ],
    "PgBouncerLogins": cases(
        "bouncer_logins",
        EDGE_SHOP,
        """Logins a second to database shop of edge: 50. Most clients: web (3), jobs (1). First look
        which application connects for each request, and give it a pool.""",
        amount=50,
        evidence=CLIENTS,
        severities=ALWAYS_WARNING,
    ),
    "PgBouncerDown": [
        *cases(
            "target_unreachable",
            EDGE,
            """edge has not answered for at least a minute. Polls fail with reason timeout. First
            look at the reason in the exporter's log, then try psql to its admin console.""",
            evidence=series(
                "pg_pool_exporter_poll_failures_total",
                "0+12x20",
                kind="bouncer",
                target="edge",
                reason="timeout",
            ),
            severities={"warning": "critical"},
        ),
        Case("silent", "a process", found("target_unreachable", "warning", "1x20", WORKER), 15),
    ],
    "PgPoolTargetDown": [
        *cases(
            "target_unreachable",
            WORKER,
            """web:0 has not been read for 3 minutes, so alerts about it are blind. Polls fail with
            reason refused. First look at the reason in the exporter's log, then fetch its page with
            curl.""",
            evidence=series(
                "pg_pool_exporter_poll_failures_total",
                "0+12x20",
                kind="process",
                target="web:0",
                reason="refused",
            ),
            severities={"warning": "warning"},
        ),
        Case("silent", "a bouncer", found("target_unreachable", "warning", "1x20", EDGE), 15),
    ],
}
