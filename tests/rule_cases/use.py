"""Alerts about how full a pool is."""

from __future__ import annotations

from rule_cases.pool_series import ONE, TWO, at_process, counters, pool, stricter
from support.promtool import Case, series

CASES = {
    "PgPoolUseHigh": [
        Case(
            "fires",
            "nine of ten are out",
            pool("9x20"),
            3,
            [at_process()],
            """Pool main of orders (process web:0) has been 90% checked out on average over 5
            minutes. First look whether it leaks: does the number of checked-out connections also
            fall when the load does, and is there a line of code with leaked or overdue
            connections?""",
        ),
        Case(
            "fires",
            "a name that a link must escape",
            pool("9x20", key={**ONE, "app": "orders & jobs"}),
            3,
            [at_process({**ONE, "app": "orders & jobs"})],
            """Pool main of orders & jobs (process web:0) has been 90% checked out on average over 5
            minutes. First look whether it leaks: does the number of checked-out connections also
            fall when the load does, and is there a line of code with leaked or overdue
            connections?""",
        ),
        Case("just below", "exactly 80 % is not above it", pool("8x20"), 15),
        Case("silent", "a burst of two minutes", pool("2x10 10x1 2x20"), 13),
        Case(
            "silent",
            "a full pool of idle connections",
            pool("1x20") | series("pg_pool_connections", "9x20", **ONE, state="idle"),
            15,
        ),
        Case("silent", "the only connection of a pool is in use", pool("1x20", "1x20"), 15),
        Case(
            "restart",
            "it goes on where it was",
            pool("9x5 _x2 9x20", "10x5 _x2 10x20"),
            12,
            [at_process()],
        ),
        Case("restart", "the new process is not full", pool("9x10 1x20"), 25),
        Case("unlimited", "there is no maximum", pool("90x20", None), 15),
        Case(
            "several processes",
            "one is full, the others idle",
            pool("1x20") | pool("9x20", key=TWO),
            15,
            [at_process(TWO)],
        ),
        Case("missing data", "the process is gone", pool("9x10 stale", "10x10 stale"), 25),
        Case(
            "silent",
            "the application has a threshold of its own, which it keeps",
            pool("9x20") | stricter("pool_use_ratio", "0.95"),
            15,
        ),
        Case(
            "fires",
            "the application has a threshold of its own, which it breaks",
            pool("6x20") | stricter("pool_use_ratio", "0.5"),
            15,
            [at_process()],
        ),
        Case(
            "fires",
            "another application has a threshold of its own",
            pool("9x20") | stricter("pool_use_ratio", "0.95", "jobs"),
            15,
            [at_process()],
        ),
    ],
    "PgPoolNearSaturation": [
        Case(
            "fires",
            "every connection is out",
            pool("20x20", "20x20"),
            3,
            [at_process()],
            """Pool main of orders (process web:0) has been 100% checked out on average over 5
            minutes. First find out what holds the connections: leaked or overdue ones by line of
            code, sessions of the application by state on the server. If they are leaked, restart
            this process.""",
        ),
        Case(
            "fires",
            "the library has lost most of them",
            pool("5x20", "20x20") | series("pg_pool_unaccounted_connections", "15x20", **ONE),
            3,
            [at_process()],
        ),
        Case("just below", "19 of 20", pool("19x20", "20x20"), 15),
        Case(
            "silent",
            "the application has a threshold of its own, which it keeps",
            pool("20x20", "20x20") | stricter("pool_near_saturation_ratio", "1"),
            15,
        ),
        Case("restart", "the new process is not full", pool("20x10 1x20", "20x40"), 25),
        Case("unlimited", "there is no maximum", pool("90x20", None), 15),
        Case(
            "several processes",
            "one is full, the others idle",
            pool("1x20") | pool("10x20", key=TWO),
            15,
            [at_process(TWO)],
        ),
        Case("missing data", "the process is gone", pool("10x10 stale", "10x10 stale"), 25),
    ],
    "PgPoolSaturated": [
        Case(
            "fires",
            "all are out and somebody waits",
            pool("10x20", waiting="1x20"),
            1,
            [at_process()],
            """Pool main of orders (process web:0) has every connection checked out (10), and
            requests wait. First find out what holds them: the server's sessions of this application
            that are idle point to a leak, active ones to slow queries, waiting ones to a lock. If
            they are leaked, restart this process.""",
        ),
        Case(
            "fires",
            "the library has lost the others",
            pool("2x20", waiting="1x20") | series("pg_pool_unaccounted_connections", "8x20", **ONE),
            1,
            [at_process()],
        ),
        Case("just below", "all are out and nobody waits", pool("10x20", waiting="0x20"), 15),
        Case(
            "just below",
            "one is free again, so the queue is being served",
            pool("9x20", waiting="1x20"),
            15,
        ),
        Case(
            "silent", "a burst that one scrape sees", pool("2x5 10 2x20", waiting="0x5 3 0x20"), 7
        ),
        Case(
            "fires",
            "a library without a queue refuses",
            pool("10x20") | counters(rejected_requests="0+5x20"),
            15,
            [at_process()],
        ),
        Case(
            "fires",
            "a source that only counts waiting time: three wait on average",
            pool("10x20") | counters(acquire_wait_seconds="0+180x20"),
            15,
            [at_process()],
        ),
        Case(
            "just below",
            "a source that only counts waiting time: hardly any",
            pool("10x20") | counters(acquire_wait_seconds="0+6x20"),
            15,
        ),
        Case(
            "restart", "the new process has none out", pool("10x10 0x20", waiting="5x10 0x20"), 15
        ),
        Case(
            "unlimited",
            "somebody waits, as for an unlimited pool's new connection",
            pool("90x20", None, "1x20"),
            15,
        ),
        Case(
            "several processes",
            "the queue is at the other one",
            pool("10x20", waiting="0x20") | pool("9x20", waiting="9x20", key=TWO),
            15,
        ),
        Case(
            "missing data",
            "the process is gone",
            pool("10x10 stale", "10x10 stale", "5x10 stale"),
            15,
        ),
    ],
    "PgPoolSaturationPredicted": [
        Case(
            "fires",
            "one more each ten minutes, half full",
            pool("10+0.1x80", "20x80"),
            70,
            [at_process()],
        ),
        Case(
            "fires",
            "in whole steps, as leaks do",
            pool("10x9 11x9 12x9 13x9 14x9 15x9 16x9 17x9", "20x100"),
            75,
            [at_process()],
            """Pool main of orders (process web:0) fills: at this pace all its connections are
            checked out in 25m 0s. First look whether requests grow as well: if they don't, it
            leaks.""",
        ),
        Case("just below", "it would take longer than an hour", pool("10+0.05x80", "20x80"), 70),
        Case("just below", "it grows quickly but is hardly used", pool("1+0.1x80", "20x80"), 70),
        Case(
            "silent",
            "it is nearly full, which is said by another",
            pool("19.5+0.02x80", "20x80"),
            70,
        ),
        Case("silent", "a single step upwards", pool("2x40 14x40", "20x90"), 55),
        Case("silent", "a single step upwards, later", pool("2x40 14x40", "20x90"), 65),
        Case(
            "silent",
            "a morning's load rises within three hours",
            pool("2x30 2+0.067x180 14x40", "20x300"),
            215,
        ),
        Case("silent", "it has just started", pool("8+0.5x20", "20x40"), 18),
        Case(
            "fires",
            "one each minute, for a quarter of an hour",
            pool("6x30 6+1x22", "30x60"),
            50,
            [at_process()],
        ),
        Case(
            "silent",
            "it is saturated at this moment, and says so itself",
            pool("12x40", "20x60") | series("pg_pool_time_to_saturation_seconds", "0x40", **ONE),
            30,
        ),
        Case("restart", "the new process begins anew", pool("10+0.1x69 1x40", "20x120"), 90),
        Case("unlimited", "there is no maximum", pool("10+0.1x80", None), 70),
        Case(
            "several processes",
            "one grows",
            pool("10x80", "20x80") | pool("10+0.1x80", "20x80", key=TWO),
            70,
            [at_process(TWO)],
        ),
        Case("missing data", "the process is gone", pool("10+0.1x70 stale", "20x70 stale"), 90),
    ],
}
