"""Series of pools, as an exporter would serve them, to make cases of."""

from __future__ import annotations

from support.promtool import TARGET, series

ONE = {"app": "orders", "pool": "main", "process": "web:0"}
TWO = {**ONE, "process": "web:1"}
POOL = {"app": "orders", "pool": "main", "job": TARGET["job"]}
"""Labels of what is added up over processes."""


def pool(
    active: str, most: str | None = "10x500", waiting: str | None = None, key: dict[str, str] = ONE
) -> dict[str, str]:
    """A pool whose connections are `active`, `most` at most, with `waiting` requests."""
    made = series("pg_pool_connections", active, **key, state="active")
    made |= series("pg_pool_connections", "0x500", **key, state="idle")
    if most is not None:
        made |= series("pg_pool_max_connections", most, **key)
    if waiting is not None:
        made |= series("pg_pool_waiting_requests", waiting, **key)
    return made


def counters(key: dict[str, str] = ONE, **values: str) -> dict[str, str]:
    """Counters of a pool; `timeouts` are those of waiting for the pool."""
    made: dict[str, str] = {}
    for name, one in values.items():
        more = {"kind": "pool"} if name == "timeouts" else {}
        made |= series(f"pg_pool_{name}_total", one, **key, **more)
    return made


def at_process(key: dict[str, str] = ONE) -> dict[str, str]:
    return {**TARGET, **key}


def stricter(threshold: str, value: str, app: str = "orders") -> dict[str, str]:
    """An exception that a user has made in settings.yml."""
    return {f'pg_pool_exporter:threshold:{threshold}{{app="{app}"}}': f"{value}x500"}


def acquire(quick: int, slow: int, key: dict[str, str] = ONE) -> dict[str, str]:
    """So many requests a minute that took up to 0.5 s, and that took up to 2.5 s."""
    buckets = {"0.5": quick, "1.0": quick, "2.5": quick + slow, "+Inf": quick + slow}
    made: dict[str, str] = {}
    for bound, each in buckets.items():
        made |= series("pg_pool_acquire_seconds_bucket", f"0+{each}x60", **key, le=bound)
    return made
