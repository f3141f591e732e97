"""Libraries of Node, Go and Ruby."""

from __future__ import annotations

from pg_pool_exporter.formats.format import NANOSECONDS, Format, value

_CANCELED = (
    "Acquires that ended with their context: timeouts, and those that the application cancelled."
)
_QUEUED = "Those that waited and got a connection, its opening included."
# Names that users of the collectors give the label of a pool.
_DATABASE = ("db_name", "db", "database", "pool", "name")
# Labels that users of the collectors add.
_ADDRESS = {"host": ("db_host",), "port": ("db_port",)}

NODE_POSTGRES = Format(
    name="node-postgres",
    title="node-postgres by @christiangalsterer/node-postgres-prometheus-exporter",
    client="node-postgres",
    # Its names begin as our own do; none is the same.
    # `host` has the port in it.
    pool=(("host",), ("database",)),
    values=(
        value("max", "pg_pool_max"),
        value("idle", "pg_pool_idle_connections"),
        value("active", "pg_pool_active_connections"),
        value("waiting", "pg_pool_waiting_connections"),
        value("connects", "pg_pool_connections_created_total"),
    ),
    facts="node-postgres-prometheus-exporter 1.4.0, pgPoolPrometheusExporter.js",
)

PGXPOOL = Format(
    name="pgxpool",
    title="pgxpool by IBM/pgxpoolprometheus",
    client="pgxpool",
    pool=(_DATABASE,),
    info=_ADDRESS,
    values=(
        value("max", "pgxpool_max_conns"),
        value("idle", "pgxpool_idle_conns"),
        value("active", "pgxpool_acquired_conns"),
        value("queued", "pgxpool_empty_acquire", note=_QUEUED),
        value("timeouts", "pgxpool_canceled_acquire_count", kind="pool", note=_CANCELED),
        value("acquire_wait", "pgxpool_acquire_duration_ns", scale=NANOSECONDS),
        value("acquired", "pgxpool_acquire_count"),
        value("connects", "pgxpool_new_conns_count"),
    ),
    facts="IBM/pgxpoolprometheus 1.1.3, collector.go",
)

PGX_POOL = Format(
    name="pgx-pool",
    title="pgxpool by cmackenzie1/pgxpool-prometheus",
    client="pgxpool",
    pool=(_DATABASE,),
    info=_ADDRESS,
    values=(
        value("max", "pgx_pool_max_connections"),
        value("idle", "pgx_pool_idle_connections"),
        value(
            "active",
            "pgx_pool_acquire_connections",
            note="Its help says those being acquired; they are the acquired ones.",
        ),
        value("queued", "pgx_pool_empty_acquire_count", note=_QUEUED),
        value("timeouts", "pgx_pool_canceled_acquire_count", kind="pool", note=_CANCELED),
        value("connects", "pgx_pool_new_connections_count"),
    ),
    yields_to=("pgxpool",),
    facts="cmackenzie1/pgxpool-prometheus, README.md",
)

GO_SQL = Format(
    name="go-sql",
    title="Go database/sql by client_golang's DBStatsCollector",
    client="database/sql",
    pool=(_DATABASE,),
    info=_ADDRESS,
    values=(
        value("max", "go_sql_max_open_connections"),
        value("idle", "go_sql_idle_connections"),
        value("active", "go_sql_in_use_connections"),
        value("queued", "go_sql_wait_count_total"),
        value("acquire_wait", "go_sql_wait_duration_seconds_total"),
    ),
    facts="client_golang 1.23.2, dbstats_collector.go",
)

_DEAD = ("ruby_active_record_connection_pool_dead", "active_record_connection_pool_dead")

RAILS = Format(
    name="rails",
    title="Rails' Active Record by prometheus_exporter",
    client="ActiveRecord",
    pool=(("pool_name",),),
    # Containers that send to one exporter all have a process 1.
    process=(("hostname",), ("pid",)),
    info={"host": ("dbconfig_host",), "database": ("dbconfig_database",), "pid": ("pid",)},
    quiet=("dbconfig_host", "dbconfig_database"),
    values=(
        value(
            "max",
            "ruby_active_record_connection_pool_size",
            "active_record_connection_pool_size",
        ),
        value(
            "idle",
            "ruby_active_record_connection_pool_idle",
            "active_record_connection_pool_idle",
        ),
        value(
            "active",
            "ruby_active_record_connection_pool_busy",
            "active_record_connection_pool_busy",
        ),
        value("active", *_DEAD, part=1, note="Rails counts the dead ones apart from the busy."),
        value(
            "leaked_slots",
            *_DEAD,
            kind="a thread that has ended",
            note="The owner has ended without returning it; Rails' reaper takes it back",
        ),
        value(
            "waiting",
            "ruby_active_record_connection_pool_waiting",
            "active_record_connection_pool_waiting",
        ),
    ),
    facts="prometheus_exporter, server/active_record_collector.rb",
)
