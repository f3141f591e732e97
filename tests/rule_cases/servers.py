"""Alerts about a server's log and settings."""

from __future__ import annotations

from rule_cases.server_series import ELSEWHERE, MAIN, override, server, setting, slots
from support.promtool import Case

CASES = {
    "PgServerConnectionsRefused": [
        Case(
            "fires",
            "five refused",
            server("connections_refused_total", "0x5 5x20", reason="role_limit"),
            6,
            [{**MAIN, "reason": "role_limit"}],
            """main refused connections because of role_limit, as its log says. First look which
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
