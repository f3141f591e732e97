"""Alerts about a server's connections."""

from __future__ import annotations

from rule_cases.server_series import FULL, MAIN, OVERSUBSCRIBED, other, server, sessions, slots
from support.promtool import Case

CASES = {
    "PgServerDown": [
        Case(
            "fires",
            "for a minute",
            server("up", "1x5 0x10"),
            7,
            [MAIN],
            """main has not answered for at least a minute. First look at the reason in
            pg_pool_exporter_poll_failures_total and in the exporter's log, then try psql from its
            host.""",
        ),
        Case("just below", "one poll in between fails", server("up", "1x5 0 1x10"), 7),
        Case("restart", "the exporter begins anew and reaches it", server("up", "0x5 _ 1x10"), 10),
        Case("missing data", "the exporter is gone", server("up", "0x5 stale"), 10),
    ],
    "PgServerConnectionsHigh": [
        Case(
            "fires",
            "77 of the 95 that an ordinary role can have",
            slots("77x20"),
            2,
            [FULL],
            """On main, 81.05% of the connections that an ordinary role can have are taken. First
            look which application has most of them, and whether they work or are idle.""",
        ),
        Case("just below", "76 of 95 is 80 %", slots("76x20"), 15),
        Case(
            "fires",
            "pools may ask for more than there is: that is the cause",
            slots("77x20", "120x20"),
            15,
            [OVERSUBSCRIBED],
        ),
        Case(
            "fires", "pools can't ask for more than there is", slots("77x20", "90x20"), 15, [FULL]
        ),
        Case("silent", "for a minute", slots("10x5 90x1 10x20"), 8),
        Case("restart", "the server begins anew", slots("90x10 _ 5x20"), 20),
        Case(
            "unlimited", "its settings could not be read", server("used_connections", "95x20"), 15
        ),
        Case(
            "several servers",
            "another has slots left",
            slots("77x20") | other(slots("10x20")),
            15,
            [FULL],
        ),
        Case("missing data", "the server can't be read", slots("90x5 stale"), 20),
    ],
    "PgServerFull": [
        Case(
            "fires",
            "91 of the 95 that an ordinary role can have",
            slots("91x20"),
            1,
            [FULL],
            """On main, 95.79% of the connections that an ordinary role can have are taken; new ones
            will be refused. First free some: stop what is not needed, or end sessions that have
            been idle for longest.""",
        ),
        Case("just below", "90 of 95", slots("90x20"), 15),
        Case(
            "fires",
            "pools may ask for more than there is: that is the cause",
            slots("95x20", "120x20"),
            15,
            [OVERSUBSCRIBED],
        ),
        Case("restart", "the server begins anew", slots("95x10 _ 5x20"), 20),
        Case(
            "unlimited", "its settings could not be read", server("used_connections", "95x20"), 15
        ),
        Case(
            "several servers",
            "another has slots left",
            slots("91x20") | other(slots("10x20")),
            15,
            [FULL],
        ),
        Case("missing data", "the server can't be read", slots("95x5 stale"), 20),
    ],
    "PgServerConnectionsRefused": [
        Case(
            "fires",
            "five refused",
            server("connections_refused_total", "0x5 5x20", reason="role_limit"),
            6,
            [{**MAIN, "reason": "role_limit"}],
            """main refused connections because of role_limit, as its log tells. First look which
            application has most of the sessions, and whether they work or are idle; an idle one may
            be ended.""",
        ),
        Case(
            "just below",
            "none",
            server("connections_refused_total", "7x20", reason="too_many_connections"),
            15,
        ),
        Case(
            "silent",
            "refused for a wrong password",
            server("connections_refused_total", "0+5x20", reason="authentication"),
            15,
        ),
        Case(
            "restart",
            "the exporter counts from 0 again",
            server("connections_refused_total", "9x10 0x20", reason="too_many_connections"),
            12,
        ),
        Case("missing data", "the log is not read", slots("10x20"), 15),
    ],
    "PgServerDatabaseLimitHigh": [
        Case(
            "fires",
            "41 of 50",
            sessions("40x20")
            | sessions("1x20", state="active", user="jobs")
            | server("database_connection_limit", "50x20", database="shop"),
            2,
            [{**MAIN, "database": "shop"}],
            """Database shop on main has taken 82% of its CONNECTION LIMIT. First look which
            application has most of its sessions, and whether they work or are idle.""",
        ),
        Case(
            "just below",
            "40 of 50",
            sessions("40x20") | server("database_connection_limit", "50x20", database="shop"),
            15,
        ),
        Case(
            "silent",
            "it is another database's limit",
            sessions("49x20") | server("database_connection_limit", "50x20", database="old"),
            15,
        ),
        Case(
            "restart",
            "the server begins anew",
            sessions("49x10 _ 1x20")
            | server("database_connection_limit", "50x40", database="shop"),
            20,
        ),
        Case("unlimited", "it has no limit", sessions("90x20"), 15),
        Case(
            "missing data",
            "the server can't be read",
            sessions("49x5 stale")
            | server("database_connection_limit", "50x5 stale", database="shop"),
            20,
        ),
    ],
    "PgServerSessionsHidden": [
        Case(
            "fires",
            "two sessions, for ten minutes",
            sessions("1x30", state="unknown") | sessions("1x30", state="unknown", user="jobs"),
            12,
            [MAIN],
            """The state of 2 of the sessions on main is hidden. First GRANT pg_monitor to the
            exporter's role.""",
        ),
        Case("just below", "they are seen again", sessions("1x8 0x20", state="unknown"), 15),
        Case("silent", "states are visible", sessions("5x30"), 15),
        Case(
            "restart",
            "the grant is there afterwards",
            sessions("1x5 _ _ stale", state="unknown"),
            15,
        ),
        Case("missing data", "the server is down", sessions("1x5 stale", state="unknown"), 15),
    ],
    "PgServerRoleLimitHigh": [
        Case(
            "fires",
            "17 of 20",
            sessions("16x20")
            | sessions("1x20", database="old")
            | server("role_connection_limit", "20x20", user="orders"),
            2,
            [{**MAIN, "user": "orders"}],
            """Role orders on main has taken 85% of its CONNECTION LIMIT. First look which
            application has most of its sessions, and whether they work or are idle.""",
        ),
        Case(
            "just below",
            "16 of 20",
            sessions("16x20") | server("role_connection_limit", "20x20", user="orders"),
            15,
        ),
        Case(
            "restart",
            "the server begins anew",
            sessions("19x10 _ 1x20") | server("role_connection_limit", "20x40", user="orders"),
            20,
        ),
        Case("unlimited", "it has no limit", sessions("90x20"), 15),
        Case(
            "missing data",
            "the server can't be read",
            sessions("19x5 stale") | server("role_connection_limit", "20x5 stale", user="orders"),
            20,
        ),
    ],
    "PgServerPoolDemandHigh": [
        Case(
            "fires",
            "114 asked for, 95 there",
            slots("10x20", "114x20"),
            10,
            [MAIN],
            """The maxima of all pools that point at main add up to 120% of what an ordinary role
            can have. First look which application has the largest maximum times processes; it can
            be less, or a PgBouncer can stand in between.""",
        ),
        Case("just below", "95 asked for, 95 there", slots("10x20", "95x20"), 15),
        Case(
            "silent",
            "old and new processes run side by side for some minutes",
            slots("10x30", "60x5 120x8 60x10"),
            14,
        ),
        Case(
            "restart",
            "the exporter does not know all pools yet",
            slots("10x30", "_x5 40 80x20"),
            20,
        ),
        Case("unlimited", "no pool has a maximum", slots("10x20"), 15),
        Case(
            "several servers",
            "another has slots left",
            slots("10x20", "114x20") | other(slots("10x20", "20x20")),
            15,
            [MAIN],
        ),
        Case("missing data", "a process can't be read", slots("10x20", "120x5 stale"), 15),
    ],
}
