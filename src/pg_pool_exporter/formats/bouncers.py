"""Bouncers that are watched by the page of an exporter, without a login to their console."""

from __future__ import annotations

from pg_pool_exporter.formats.format import (
    MICROSECONDS,
    MILLISECONDS,
    Condition,
    Format,
    Value,
    value,
)

_USER = (("database",), ("user",))
_INFO = {"database": ("database",), "user": ("user",)}
# PgBouncer's own console, in which nothing can be checked out.
_CONSOLE = (Condition(("database",), "pgbouncer"),)
_NO_MAXIMUM = "The maximum of a pool is not on the page: set `max_connections`."


def _pgbouncer(prefix: str) -> tuple[Value, ...]:
    """The columns of `SHOW POOLS`, as exporters name them."""
    return (
        value("idle", f"{prefix}sv_idle"),
        value("idle", f"{prefix}sv_used", part=1, note="Idle, and due for a check."),
        value("idle", f"{prefix}sv_tested", part=2),
        value("active", f"{prefix}sv_active", note=_NO_MAXIMUM),
        value("waiting", f"{prefix}cl_waiting"),
        value("oldest_waiting", f"{prefix}maxwait"),
        value("oldest_waiting", f"{prefix}maxwait_us", scale=MICROSECONDS, part=1),
    )


PGBOUNCER_EXPORTER = Format(
    name="pgbouncer-exporter",
    title="PgBouncer by prometheus-community/pgbouncer_exporter",
    client="PgBouncer",
    pool=_USER,
    info=_INFO,
    unless=_CONSOLE,
    values=(
        value("idle", "pgbouncer_pools_server_idle_connections"),
        value("idle", "pgbouncer_pools_server_used_connections", part=1),
        value("idle", "pgbouncer_pools_server_testing_connections", part=2),
        value("active", "pgbouncer_pools_server_active_connections", note=_NO_MAXIMUM),
        value("waiting", "pgbouncer_pools_client_waiting_connections"),
        value("oldest_waiting", "pgbouncer_pools_client_maxwait_seconds"),
    ),
    facts="pgbouncer_exporter 0.12.0, collector.go",
    run="pgbouncer_exporter 0.12, PgBouncer 1.24",
)

CNPG = Format(
    name="cnpg-pgbouncer",
    title="PgBouncer by CloudNativePG's pooler",
    client="PgBouncer",
    pool=_USER,
    info=_INFO,
    unless=_CONSOLE,
    values=_pgbouncer("cnpg_pgbouncer_pools_"),
    facts="CloudNativePG, pkg/management/pgbouncer/metricsserver/pools.go",
)

PGCAT = Format(
    name="pgcat",
    title="PgCat",
    client="PgCat",
    pool=(("pool", "database"), ("user",)),
    info={"database": ("pool", "database"), "user": ("user",)},
    values=_pgbouncer("pgcat_pools_"),
    facts="PgCat, prometheus.rs",
    run="PgCat 1.3",
)

PGDOG = Format(
    name="pgdog",
    title="PgDog",
    client="PgDog",
    pool=tuple((label,) for label in ("database", "user", "host", "port", "shard", "role")),
    info={"host": ("host",), "port": ("port",), **_INFO},
    # Its names are plain words, which others have, too.
    only=tuple(Condition((label,), "*") for label in ("database", "user", "shard", "role")),
    values=(
        value("max", "max_connections", "pgdog_max_connections"),
        value("idle", "sv_idle", "pgdog_sv_idle"),
        value(
            "active",
            "sv_active",
            "pgdog_sv_active",
            note="All that are checked out; `sv_idle_xact` are some of them.",
        ),
        value("waiting", "cl_waiting", "pgdog_cl_waiting"),
        value("oldest_waiting", "maxwait", "pgdog_maxwait"),
        value(
            "timeouts",
            "checkout_timeouts",
            "pgdog_checkout_timeouts",
            "checkout_timeouts_total",
            "pgdog_checkout_timeouts_total",
            kind="pool",
            note="By its documentation; 0.1.54 has none.",
        ),
        value("connects", "total_connect_count", "pgdog_total_connect_count"),
    ),
    facts="PgDog 0.1.54, stats/pools.rs",
    run="PgDog 0.1.9",
)

# Not read: `odyssey_client_pool_waiting_route` counts idle clients, the longest wait is always 0,
# and the capacity of a pool without a limit is the number of its connections.
ODYSSEY = Format(
    name="odyssey",
    title="Odyssey by its exporter",
    client="Odyssey",
    pool=_USER,
    info=_INFO,
    values=(
        value(
            "idle",
            "odyssey_server_pool_state_route",
            where=(Condition(("state", "type"), "idle"),),
        ),
        value(
            "active",
            "odyssey_server_pool_state_route",
            where=(Condition(("state", "type"), "active"),),
            note=_NO_MAXIMUM,
        ),
    ),
    facts="Odyssey 1.5, prometheus/exporter/exporter.go and sources/console.c",
)

SUPAVISOR = Format(
    name="supavisor",
    title="Supavisor",
    client="Supavisor",
    pool=(("tenant",), ("user",), ("mode",), ("db_name",)),
    info={"database": ("db_name",), "user": ("user",)},
    quiet=("type",),
    values=(
        value("idle", "supavisor_pool_connections_idle"),
        value("active", "supavisor_pool_connections_checked_out"),
        *(
            row
            for part, kind in enumerate(("local", "remote"))
            for row in (
                value(
                    "acquire_wait",
                    f"supavisor_pool_checkout_duration_{kind}_sum",
                    scale=MILLISECONDS,
                    part=part,
                ),
                value("acquired", f"supavisor_pool_checkout_duration_{kind}_count", part=part),
            )
        ),
    ),
    facts="Supavisor, lib/supavisor/monitoring/tenant.ex",
)

PGAGROAL = Format(
    name="pgagroal",
    title="pgagroal",
    client="pgagroal",
    values=(
        value("max", "pgagroal_max_connections"),
        value("active", "pgagroal_active_connections"),
        value("idle", "pgagroal_total_connections"),
        value("idle", "pgagroal_active_connections", scale=-1.0, part=1, note="Total less active."),
        value("waiting", "pgagroal_client_wait"),
        value("timeouts", "pgagroal_connection_timeout", kind="pool"),
    ),
    facts="pgagroal 2.0, prometheus.c",
)
