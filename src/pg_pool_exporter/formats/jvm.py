"""HikariCP, and Spring Boot's metrics of any pool."""

from __future__ import annotations

from pg_pool_exporter.formats.format import MILLISECONDS, NANOSECONDS, Format, value

_ANSWERED = "Requests that failed are among them."
_TRIED = "Attempts that failed are among them, and the very first connection is not."

MICROMETER = Format(
    name="micrometer",
    title="HikariCP by Micrometer (Spring Boot Actuator, Micronaut)",
    client="HikariCP",
    pool=(("pool",),),
    values=(
        value("max", "hikaricp_connections_max"),
        value("min", "hikaricp_connections_min"),
        value("idle", "hikaricp_connections_idle"),
        value("active", "hikaricp_connections_active"),
        value("waiting", "hikaricp_connections_pending"),
        value("timeouts", "hikaricp_connections_timeout_total", kind="pool"),
        value("acquire_wait", "hikaricp_connections_acquire_seconds_sum"),
        value("acquired", "hikaricp_connections_acquire_seconds_count", note=_ANSWERED),
        value("held", "hikaricp_connections_usage_seconds_sum"),
        value("returned", "hikaricp_connections_usage_seconds_count"),
        value("connects", "hikaricp_connections_creation_seconds_count", note=_TRIED),
    ),
    facts="HikariCP, metrics/micrometer/MicrometerMetricsTracker.java and pool/PoolBase.java",
)

HIKARICP = Format(
    name="hikaricp",
    title="HikariCP's own Prometheus trackers (summaries and histograms)",
    client="HikariCP",
    pool=(("pool",),),
    # `hikaricp_connections`, the total, is in Micrometer's format too and is not read.
    values=(
        value("max", "hikaricp_max_connections"),
        value("min", "hikaricp_min_connections"),
        value("idle", "hikaricp_idle_connections"),
        value("active", "hikaricp_active_connections"),
        value("waiting", "hikaricp_pending_threads"),
        value(
            "timeouts",
            "hikaricp_connection_timeout_total",
            "hikaricp_connection_timeout_count",
            kind="pool",
        ),
        value("acquire_wait", "hikaricp_connection_acquired_nanos_sum", scale=NANOSECONDS),
        value("acquired", "hikaricp_connection_acquired_nanos_count", note=_ANSWERED),
        value("held", "hikaricp_connection_usage_millis_sum", scale=MILLISECONDS),
        value("returned", "hikaricp_connection_usage_millis_count"),
        value("connects", "hikaricp_connection_creation_millis_count", note=_TRIED),
    ),
    yields_to=("micrometer",),
    facts="HikariCP, metrics/prometheus/HikariCPCollector.java and PrometheusMetricsTracker.java",
)

SPRING_JDBC = Format(
    name="spring-jdbc",
    title="Spring Boot, any DataSource",
    pool=(("name",),),
    values=(
        value("max", "jdbc_connections_max"),
        value("min", "jdbc_connections_min"),
        value("idle", "jdbc_connections_idle"),
        value("active", "jdbc_connections_active"),
    ),
    # Its `name` is that of the bean, HikariCP's `pool` that of the pool: the same pool has two
    # names on one page, so they can't be matched one by one.
    yields_to=("micrometer", "hikaricp"),
    facts="Spring Boot, DataSourcePoolMetrics.java",
)
