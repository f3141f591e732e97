"""Alerts about requests for a connection that fail or take long."""

from __future__ import annotations

from rule_cases.pool_series import ONE, POOL, TWO, acquire, counters, stricter
from support.promtool import Case, series

CASES = {
    "PgPoolTimeoutBurnFast": [
        Case(
            "fires",
            "2 % time out",
            counters(requests="0+100x60", timeouts="0+2x60"),
            15,
            [POOL],
            """Of the requests for a connection of pool main of orders, 2% timed out or were refused
            in the last hour. First look whether the pool is full in each process or in one, and
            what holds its connections.""",
        ),
        Case(
            "fires",
            "refused at once is failed, too",
            counters(requests="0+100x60", timeouts="0x60", rejected_requests="0+2x60"),
            15,
            [POOL],
        ),
        Case("just below", "1.4 %", counters(requests="0+1000x60", timeouts="0+14x60"), 50),
        Case(
            "silent",
            "two requests of few failed, once",
            counters(requests="0+1x60", timeouts="0x10 2x60"),
            14,
        ),
        Case("silent", "it is over", counters(requests="0+100x60", timeouts="0+10x20 190x40"), 40),
        Case(
            "restart",
            "counters start again, and it goes on",
            counters(requests="0+100x10 0+100x20", timeouts="0+2x10 0+2x20"),
            20,
            [POOL],
        ),
        Case(
            "restart",
            "counters start again, and nothing failed",
            counters(requests="0+100x10 0+100x20", timeouts="5x10 0x20"),
            20,
        ),
        Case(
            "several processes",
            "the share is that of all of them",
            counters(requests="0+100x60", timeouts="0+2x60")
            | counters(TWO, requests="0+100x60", timeouts="0x60"),
            50,
        ),
        Case(
            "several processes",
            "one spoils it for all",
            counters(requests="0+100x60", timeouts="0+4x60")
            | counters(TWO, requests="0+100x60", timeouts="0x60"),
            50,
            [POOL],
        ),
        Case("missing data", "nobody counts requests", counters(timeouts="0+2x60"), 50),
    ],
    "PgPoolTimeoutBurnSlow": [
        Case(
            "fires",
            "0.8 % time out",
            counters(requests="0+1000x99", timeouts="0+8x99"),
            60,
            [POOL],
            """Of the requests for a connection of pool main of orders, 0.8% timed out or were
            refused in the last 6 hours. First look when the pool is full: at load peaks it is too
            small, or something holds connections for long.""",
        ),
        Case("just below", "0.6 %", counters(requests="0+1000x99", timeouts="0+6x99"), 90),
        Case(
            "restart",
            "counters start again, and nothing failed",
            counters(requests="0+1000x10 0+1000x80", timeouts="5x10 0x80"),
            60,
        ),
        Case(
            "several processes",
            "the share is that of all of them",
            counters(requests="0+1000x99", timeouts="0+8x99")
            | counters(TWO, requests="0+1000x99", timeouts="0x99"),
            90,
        ),
        Case("missing data", "nobody counts requests", counters(timeouts="0+2x99"), 90),
    ],
    "PgPoolTimeouts": [
        Case(
            "fires",
            "nobody counts requests",
            counters(timeouts="0+2x60"),
            15,
            [POOL],
            """Requests for a connection of pool main of orders that timed out or were refused in 5
            minutes: 10. First look whether the pool is full, and what holds its connections.""",
        ),
        Case("just below", "two in five minutes", counters(timeouts="0x10 2x60"), 14),
        Case(
            "silent",
            "requests are counted, so their share is what matters",
            counters(requests="0+1000x60", timeouts="0+2x60"),
            50,
        ),
        Case(
            "restart",
            "counters start again, and nothing failed",
            counters(timeouts="9x10 0x20"),
            15,
        ),
        Case(
            "several processes",
            "each has few, together they are many",
            counters(timeouts="0+0.4x60") | counters(TWO, timeouts="0+0.4x60"),
            50,
            [POOL],
        ),
        Case("missing data", "the process is gone", counters(timeouts="0+2x10 stale"), 30),
    ],
    "PgPoolAcquireSlow": [
        Case(
            "fires",
            "two of a hundred take 1 to 2.5 s",
            acquire(98, 2),
            15,
            [POOL],
            """The slowest hundredth of requests for a connection of pool main of orders waits
            1.75s or longer (the mean, where a source reports no more). First look whether the
            pool is full, or whether opening sessions is slow.""",
        ),
        Case("just below", "nine of a thousand", acquire(991, 9), 15),
        Case(
            "silent",
            "one slow request, and hardly any other",
            series("pg_pool_acquire_seconds_bucket", "0x10 1x30", **ONE, le="+Inf")
            | series("pg_pool_acquire_seconds_bucket", "0x10 1x30", **ONE, le="2.5")
            | series("pg_pool_acquire_seconds_bucket", "0x40", **ONE, le="1.0"),
            15,
        ),
        Case(
            "fires",
            "a source without a histogram: the mean",
            counters(acquire_wait_seconds="0+120x20", acquired="0+100x20"),
            15,
            [POOL],
        ),
        Case(
            "just below",
            "a source without a histogram: the mean",
            counters(acquire_wait_seconds="0+99x20", acquired="0+100x20"),
            15,
        ),
        Case(
            "restart",
            "counters start again, and nobody waits",
            counters(acquire_wait_seconds="500x10 0x20", acquired="100x10 0+100x20"),
            15,
        ),
        Case(
            "several processes",
            "the share is that of all of them",
            acquire(98, 2) | acquire(300, 0, TWO),
            15,
        ),
        Case("missing data", "there are no requests", acquire(0, 0), 15),
        Case(
            "silent",
            "the application has a threshold of its own, which it keeps",
            acquire(98, 2) | stricter("pool_acquire_seconds", "5"),
            15,
        ),
    ],
}
