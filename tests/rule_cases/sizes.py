"""Alerts about sizes that pools should have."""

from __future__ import annotations

from rule_cases.pool_series import ONE, TWO, pool
from rule_cases.server_series import ELSEWHERE, MAIN, server
from support.promtool import TARGET, Case, series

_POOL = {"app": "orders", "pool": "main", "server": "main"}


def recommended(values: str, **labels: str) -> dict[str, str]:
    """The recommended maximum of a pool."""
    return series("pg_pool_recommended_max_connections", values, **{**_POOL, **labels})


def together(most: str, should: str, watched: str = "86400x500", **labels: str) -> dict[str, str]:
    """What a server's pools may open, and should; and for how long they were watched."""
    made = server("pools_max_connections", most, **labels)
    made |= server("pools_recommended_max_connections", should, **labels)
    return made | series("pg_pool_demand_watched_seconds", watched, **_POOL, **labels)


CASES = {
    "PgPoolUndersized": [
        Case(
            "fires",
            "15 of 10",
            pool("9x200") | recommended("15x200"),
            70,
            [{**TARGET, **_POOL}],
            """orders/main on main had no free connection for a part of its busiest hour. First set
            its maximum to 15 in each process: the server has room for them.""",
        ),
        Case(
            "fires",
            "15 of 10 on an unknown server",
            pool("9x200") | recommended("15x200", server=""),
            70,
            [{**TARGET, "app": "orders", "pool": "main"}],
            """orders/main had no free connection for a part of its busiest hour. First check the
            server's free slots, then set its maximum to 15 in each process.""",
        ),
        Case("just below", "10 of 10", pool("9x200") | recommended("10x200"), 90),
        Case("just below", "for less than an hour", pool("9x200") | recommended("15x50 10x90"), 55),
        Case(
            "several processes",
            "one of two has that maximum already",
            pool("9x200") | pool("9x200", "15x200", key=TWO) | recommended("15x200"),
            90,
        ),
        Case(
            "unlimited",
            "a pool without a maximum",
            pool("9x200", most=None) | recommended("15x200"),
            90,
        ),
        Case(
            "restart",
            "the exporter has forgotten the day",
            pool("9x200") | recommended("15x30 stale"),
            90,
        ),
        Case("missing data", "nothing is recommended", pool("9x200", key=ONE), 90),
    ],
    "PgServerPoolsOversized": [
        Case(
            "fires",
            "62 where 20 would do",
            together("62x200", "20x200"),
            70,
            [MAIN],
            """The pools that lead to main may open more connections than the last day needed, by a
            factor of 3.1. First reduce the one with the largest excess: pg-pool-exporter advise
            names it.""",
        ),
        Case(
            "unlimited",
            "a pool without a maximum",
            server("pools_recommended_max_connections", "20x200"),
            90,
        ),
        Case("just below", "three times", together("60x200", "20x200"), 90),
        Case("silent", "watched for an hour", together("62x200", "20x200", "3600x200"), 90),
        Case(
            "silent",
            "another exporter's server of the same name has small pools",
            together("21x200", "20x200") | together("60x200", "20x200", **ELSEWHERE),
            90,
        ),
        Case(
            "restart",
            "the exporter begins to watch anew",
            together("62x200", "20x200", "86400x30 0+60x170"),
            90,
        ),
        Case(
            "missing data", "nothing is recommended", server("pools_max_connections", "62x200"), 90
        ),
    ],
}
