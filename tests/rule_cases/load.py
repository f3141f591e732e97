"""Alerts that say why a pool without a leak is full: its size, or slow work."""

from __future__ import annotations

from rule_cases.pool_series import INFO, TWO, at_process, counters, pool, queue
from support.promtool import Case, series


def waiting_for_locks(values: str, application: str = "orders-api") -> dict[str, str]:
    key = {"server": "main", "database": "shop", "user": "orders", "application": application}
    return series("pg_server_waiting_connections", values, **key)


CASES = {
    "PgPoolTooSmall": [
        Case(
            "fires",
            "all connections work, each for 0.1 s, and four requests wait",
            queue(held=590, returned=5900),
            15,
            [at_process()],
            """Requests for a connection of pool main of orders (process web:0) that wait on
            average: 4. Its connections come back quickly and are checked out again at once.
            First look
            whether the server has slots left; then give the pool more, or start fewer requests at
            once.""",
        ),
        Case("just below", "hardly anybody waits", queue(590, 5900, "0.9x60"), 50),
        Case("just below", "a fifth of the pool does nothing", queue(480, 4800), 50),
        Case("silent", "half of the pool is leaked", queue(300, 3000), 50),
        Case("silent", "each is held for 2 s", queue(590, 295), 50),
        Case(
            "restart",
            "counters start again",
            pool("10x60", waiting="4x60")
            | counters(held_seconds="0+590x20 0+590x20", returned="0+5900x20 0+5900x20"),
            30,
            [at_process()],
        ),
        Case(
            "unlimited",
            "there is no maximum",
            pool("90x60", None, "4x60") | counters(held_seconds="0+590x60", returned="0+5900x60"),
            50,
        ),
        Case(
            "several processes",
            "one has the load",
            queue(590, 5900)
            | pool("1x60", waiting="0x60", key=TWO)
            | counters(TWO, held_seconds="0+60x60", returned="0+600x60"),
            50,
            [at_process()],
        ),
        Case("missing data", "nobody counts returns", pool("10x60", waiting="4x60"), 50),
    ],
    "PgPoolLongCheckouts": [
        Case(
            "fires",
            "each is held for 2 s, and four requests wait",
            queue(590, 295),
            15,
            [at_process()],
            """Connections of pool main of orders (process web:0) are held for 2s on average, and
            requests wait. First look on the server what the application's active sessions run; a
            larger pool would only move the queue there.""",
        ),
        Case("just below", "each is held for less than a second", queue(590, 600), 50),
        Case("just below", "nobody waits", queue(590, 295, "0x60"), 50),
        Case(
            "silent",
            "a nightly batch holds each for minutes, and nobody waits",
            pool("10x60", waiting="0x60") | counters(held_seconds="0+600x60", returned="0+1x60"),
            50,
        ),
        Case(
            "silent",
            "its sessions wait for a lock",
            queue(590, 295) | INFO | waiting_for_locks("8x60"),
            50,
        ),
        Case(
            "fires",
            "another application's sessions wait for a lock",
            queue(590, 295) | INFO | waiting_for_locks("8x60", "jobs"),
            50,
            [at_process()],
        ),
        Case(
            "restart",
            "counters start again",
            pool("10x60", waiting="4x60")
            | counters(held_seconds="0+590x20 0+590x20", returned="0+295x20 0+295x20"),
            30,
            [at_process()],
        ),
        Case(
            "unlimited",
            "there is no maximum",
            pool("90x60", None, "4x60") | counters(held_seconds="0+590x60", returned="0+295x60"),
            50,
        ),
        Case(
            "several processes",
            "one is slow",
            queue(590, 295)
            | pool("1x60", waiting="0x60", key=TWO)
            | counters(TWO, held_seconds="0+60x60", returned="0+600x60"),
            50,
            [at_process()],
        ),
        Case("missing data", "nobody counts returns", pool("10x60", waiting="4x60"), 50),
    ],
}
