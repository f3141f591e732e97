"""Pools of Go."""

from __future__ import annotations

from pg_pool_exporter.formats.format import (
    ANYTHING,
    MILLISECONDS,
    NANOSECONDS,
    Condition,
    Format,
    value,
)
from pg_pool_exporter.formats.opentelemetry import OTHER_DATABASES

_CANCELED = (
    "Acquires that ended with their context: timeouts, and those that the application cancelled."
)
_QUEUED = "Those that waited and got a connection, its opening included."
# Names that users of the collectors give the label of a pool.
_DATABASE = ("db_name", "db", "database", "pool", "name")
# Labels that users of the collectors add.
_ADDRESS = {"host": ("db_host",), "port": ("db_port",)}

# otelpgx names its pools, and shares a name of a series with pgxpoolprometheus by OpenTelemetry.
_OF_OTELPGX = Condition(("db_client_connection_pool_name", "pool_name"), ANYTHING)

PGXPOOL = Format(
    name="pgxpool",
    title="pgxpool by IBM/pgxpoolprometheus, and under its names by OpenTelemetry",
    client="pgxpool",
    pool=(_DATABASE,),
    info=_ADDRESS,
    unless=(_OF_OTELPGX,),
    values=(
        value("max", "pgxpool_max_conns"),
        value("idle", "pgxpool_idle_conns"),
        value("active", "pgxpool_acquired_conns"),
        value(
            "queued",
            "pgxpool_empty_acquire",
            "pgxpool_empty_acquire_total",
            "pgxpool_empty_acquire_count_total",
            note=_QUEUED,
        ),
        value(
            "timeouts",
            "pgxpool_canceled_acquire_count",
            "pgxpool_canceled_acquire_count_total",
            "pgxpool_canceled_acquire_total",
            kind="pool",
            note=_CANCELED,
        ),
        value(
            "acquire_wait",
            "pgxpool_acquire_duration_ns",
            "pgxpool_acquire_duration_nanoseconds",
            "pgxpool_acquire_duration_ns_total",
            scale=NANOSECONDS,
        ),
        value(
            "acquire_wait",
            "pgxpool_acquire_duration_milliseconds",
            "pgxpool_acquire_duration_milliseconds_total",
            scale=MILLISECONDS,
        ),
        value("acquire_wait", "pgxpool_acquire_duration_seconds_total"),
        value("acquired", "pgxpool_acquire_count", "pgxpool_acquire_count_total"),
        value("connects", "pgxpool_new_conns_count", "pgxpool_new_conns_count_total"),
    ),
    facts="IBM/pgxpoolprometheus 1.1.3, collector.go",
    run="pgx 5.12, pgxpoolprometheus 1.1, also through OpenTelemetry's bridge 0.63",
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
    facts="cmackenzie1/pgxpool-prometheus, collector.go",
)

OTELPGX = Format(
    name="otelpgx",
    title="pgxpool by otelpgx",
    client="pgxpool",
    pool=(_OF_OTELPGX.labels,),
    only=(_OF_OTELPGX,),
    info={"host": ("server_address",), "port": ("server_port",), "database": ("db_namespace",)},
    quiet=("db_system", "db_system_name"),
    values=(
        value("max", "pgxpool_max_connections"),
        value("idle", "pgxpool_idle_connections"),
        value("active", "pgxpool_acquired_connections"),
        value("queued", "pgxpool_empty_acquire_total", note=_QUEUED),
        value(
            "timeouts",
            "pgxpool_canceled_acquires_total",
            "pgxpool_canceled_acquires",
            kind="pool",
            note=_CANCELED,
        ),
        value(
            "acquire_wait",
            "pgxpool_acquire_duration_nanoseconds_total",
            scale=NANOSECONDS,
        ),
        value("acquired", "pgxpool_acquires_total", "pgxpool_acquires"),
        value("connects", "pgxpool_new_connections_total", "pgxpool_new_connections"),
    ),
    facts="otelpgx 0.9.1, meter.go",
    run="otelpgx 0.10, pgx 5.12",
)

# All of these show database/sql's own `DBStats`.
GO_SQL = Format(
    name="go-sql",
    title="Go database/sql by client_golang's DBStatsCollector, by sqlstats, and GORM's plugin",
    client="database/sql",
    pool=(_DATABASE,),
    info=_ADDRESS,
    values=(
        value(
            "max",
            "go_sql_max_open_connections",
            "go_sql_stats_connections_max_open",
            "gorm_dbstats_max_open_connections",
        ),
        value(
            "idle",
            "go_sql_idle_connections",
            "go_sql_stats_connections_idle",
            "gorm_dbstats_idle",
        ),
        value(
            "active",
            "go_sql_in_use_connections",
            "go_sql_stats_connections_in_use",
            "gorm_dbstats_in_use",
        ),
        value(
            "queued",
            "go_sql_wait_count_total",
            "go_sql_stats_connections_waited_for",
            "gorm_dbstats_wait_count",
        ),
        value(
            "acquire_wait",
            "go_sql_wait_duration_seconds_total",
            "go_sql_stats_connections_blocked_seconds",
        ),
        value("acquire_wait", "gorm_dbstats_wait_duration", scale=NANOSECONDS),
    ),
    facts="client_golang 1.23.2, dbstats_collector.go; dlmiddlecote/sqlstats, README.md; "
    "go-gorm/prometheus 0.1.0, stats.go",
    run="client_golang 1.23; the other two are *read*",
)

OTELSQL = Format(
    name="otelsql",
    title="Go database/sql by OpenTelemetry: XSAM's otelsql and uptrace's",
    client="database/sql",
    pool=((*_OF_OTELPGX.labels, *_DATABASE, "db_namespace"),),
    info={
        **_ADDRESS,
        "host": ("server_address", "db_host"),
        "database": ("db_namespace", "db_name"),
    },
    unless=OTHER_DATABASES,
    values=(
        value("max", "db_sql_connection_max_open", "go_sql_connections_max_open"),
        value("idle", "db_sql_connection_open", where=(Condition(("status",), "idle"),)),
        value("idle", "go_sql_connections_idle"),
        value("active", "db_sql_connection_open", where=(Condition(("status",), "inuse"),)),
        value("active", "go_sql_connections_in_use"),
        value(
            "queued",
            "db_sql_connection_wait_total",
            "db_sql_connection_wait",
            "go_sql_connections_wait_count_total",
            "go_sql_connections_wait_count",
        ),
        value(
            "acquire_wait",
            "db_sql_connection_wait_duration_milliseconds_total",
            "db_sql_connection_wait_duration_total",
            "db_sql_connection_wait_duration",
            scale=MILLISECONDS,
        ),
        value(
            "acquire_wait",
            "go_sql_connections_wait_duration_nanoseconds_total",
            "go_sql_connections_wait_duration_total",
            "go_sql_connections_wait_duration",
            scale=NANOSECONDS,
        ),
    ),
    facts="XSAM/otelsql 0.40, instruments.go; opentelemetry-go-extra 0.3.2, otelsql/otel.go",
    run="XSAM/otelsql 0.40, uptrace's otelsql 0.3",
)
