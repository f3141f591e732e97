"""Alerts about PgBouncer."""

from __future__ import annotations

from support.promtool import TARGET, Case, series

EDGE = {"bouncer": "edge"}
KEY = {**EDGE, "database": "shop", "user": "orders"}
AT_POOL = {**TARGET, **KEY}


def bouncer(name: str, values: str, **labels: str) -> dict[str, str]:
    """One series of a bouncer's pool."""
    return series(f"pg_bouncer_{name}", values, **{**KEY, **labels})


def queue(waiting: str, oldest: str) -> dict[str, str]:
    """Clients of two applications, the second of which waits for the longest."""
    web = bouncer("clients", waiting, state="waiting", application="web")
    idle = bouncer("clients", "0x20", state="waiting", application="jobs")
    return web | idle | bouncer("oldest_waiting_seconds", oldest)


def connections(active: str, size: str | None = "20x20") -> dict[str, str]:
    made = bouncer("connections", active, state="active")
    return made if size is None else made | bouncer("pool_size", size)


CASES = {
    "PgBouncerClientsWaiting": [
        Case(
            "fires",
            "for more than a second",
            queue("3x20", "2x20"),
            1,
            [AT_POOL],
            """Clients of pool shop/orders on edge that wait: 3. First look with SHOW SERVERS what
            its connections do, and on the server whether they run queries, are idle in a
            transaction or wait for a lock.""",
        ),
        Case("just below", "none for more than a second", queue("3x20", "1x20"), 15),
        Case("silent", "one scrape sees it", queue("0x5 9 0x20", "0x5 2 0x20"), 7),
        Case("restart", "it begins anew, without clients", queue("3x10 0x20", "9x10 0x20"), 15),
        Case("missing data", "the bouncer can't be read", queue("3x5 stale", "2x5 stale"), 15),
    ],
    "PgBouncerPoolFull": [
        Case(
            "fires",
            "all twenty work",
            connections("20x20"),
            2,
            [AT_POOL],
            """Pool shop/orders on edge has been 100% used on average over 5 minutes. First look
            what its connections do on the server: transactions that are held open make a pool full
            in which little happens.""",
        ),
        Case("just below", "19 of 20", connections("19x20"), 15),
        Case(
            "silent",
            "it has a reserve, and that is free",
            connections("20x20") | bouncer("reserve_pool_size", "5x20"),
            15,
        ),
        Case(
            "fires",
            "its reserve is used up",
            connections("25x20") | bouncer("reserve_pool_size", "5x20"),
            15,
            [AT_POOL],
        ),
        Case("restart", "it begins anew", connections("20x10 1x20", "20x40"), 25),
        Case("unlimited", "it has no size", connections("90x20", None), 15),
        Case(
            "missing data", "the bouncer can't be read", connections("20x5 stale", "20x5 stale"), 20
        ),
    ],
}
