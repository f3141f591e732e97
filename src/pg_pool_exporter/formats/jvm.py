"""HikariCP, and Spring Boot's metrics of any pool."""

from __future__ import annotations

from pg_pool_exporter.formats.format import (
    MILLISECONDS,
    NANOSECONDS,
    Aliases,
    Condition,
    Format,
    value,
)

_ANSWERED = "Requests that failed are among them."
# The same names count worker threads and HTTP connections.
_SQL = (Condition(("pool_type",), "sql"),)
_TRIED = "Attempts that failed are among them, and the very first connection is not."


def _with_total(name: str) -> Aliases:
    """As a gauge, and as the counter that it is."""
    return name, f"{name}_total"


def _of_vendor(name: str) -> Aliases:
    """Before version 3 of mpMetrics the scope was in the name."""
    return name, f"vendor_{name}"


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
    run="HikariCP 7.1, Micrometer 1.17, Spring Boot 4.0",
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
    run="HikariCP 7.1, simpleclient 0.16",
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
    run="Spring Boot 4.0, with Tomcat JDBC 11.0 and DBCP2 2.13",
)

AGROAL = Format(
    name="agroal",
    title="Agroal by Micrometer (Quarkus), and by its Spring starter",
    client="Agroal",
    # Quarkus has the first label, the starter the second.
    pool=(("datasource", "pool", "name"),),
    values=(
        value("idle", "agroal_available_count", "agroal_connections_available_count"),
        value("active", "agroal_active_count", "agroal_connections_active_count"),
        value("waiting", "agroal_awaiting_count", "agroal_connections_awaiting_count"),
        value(
            "acquire_wait",
            "agroal_blocking_time_total_milliseconds",
            scale=MILLISECONDS,
            note="The maximum is not on the page: set `max_connections`.",
        ),
        value("acquire_wait", "agroal_blocking_time_total_seconds"),
        value("acquired", "agroal_acquire_count_total", "agroal_acquire_count"),
        value(
            "connects",
            "agroal_creation_count_total",
            "agroal_creation_count",
            "agroal_connections_creation_count",
        ),
    ),
    facts="Quarkus, AgroalMetricsRecorder.java; Agroal, AgroalDataSourcePoolMetrics.java",
    run="Quarkus 3.33, Agroal's starter 2.8",
)

R2DBC = Format(
    name="r2dbc",
    title="R2DBC pool by Spring Boot",
    client="R2DBC pool",
    pool=(("name",),),
    values=(
        value("max", "r2dbc_pool_max_allocated_connections"),
        value("idle", "r2dbc_pool_idle_connections"),
        value("active", "r2dbc_pool_acquired_connections"),
        value("waiting", "r2dbc_pool_pending_connections"),
    ),
    facts="Spring Boot, ConnectionPoolMetrics.java",
    run="r2dbc-pool 1.0, Spring Boot 4.0",
)

VERTX = Format(
    name="vertx",
    title="Vert.x SQL client by Micrometer",
    client="Vert.x SQL client",
    pool=(("pool_name",),),
    only=_SQL,
    values=(
        value("active", "vertx_pool_in_use", "vertx_sql_pool_in_use"),
        value(
            "waiting",
            "vertx_pool_queue_pending",
            "vertx_pool_queue_size",
            note="Known to be wrong in some versions.",
        ),
        value("acquire_wait", "vertx_pool_queue_time_seconds_sum"),
        value("acquired", "vertx_pool_queue_time_seconds_count", note=_ANSWERED),
        value("held", "vertx_pool_usage_seconds_sum"),
        value(
            "returned",
            "vertx_pool_usage_seconds_count",
            "vertx_pool_completed_total",
            note="The maximum is not on the page: set `max_connections`.",
        ),
    ),
    facts="Vert.x Micrometer, VertxPoolMetrics.java",
    run="Vert.x 5.0",
)

QUARKUS_REACTIVE = Format(
    name="quarkus-reactive",
    title="Vert.x SQL client under Quarkus",
    client="Vert.x SQL client",
    pool=(("pool_name",),),
    only=_SQL,
    values=(
        value("max", "sql_pool_active"),
        value("max", "sql_pool_idle", part=1, note="Not idle connections: room for more."),
        value("active", "sql_pool_active"),
        value("waiting", "sql_pool_queue_size"),
        value("acquire_wait", "sql_pool_queue_delay_seconds_sum"),
        value("acquired", "sql_pool_queue_delay_seconds_count", note=_ANSWERED),
        value("held", "sql_pool_usage_seconds_sum"),
        value("returned", "sql_pool_usage_seconds_count"),
    ),
    facts="Quarkus, extensions/micrometer: VertxPoolMetrics.java",
    run="Quarkus 3.33",
)

COMMONS_POOL2 = Format(
    name="commons-pool2",
    title="DBCP2 by Micrometer's commons-pool2 metrics",
    client="DBCP2",
    pool=(("name",),),
    quiet=("type",),
    # The same names count pools of anything.
    only=(Condition(("factoryType", "factory_type"), "org.apache.commons.dbcp2.*"),),
    values=(
        value("idle", "commons_pool2_num_idle_objects"),
        value("active", "commons_pool2_num_active_objects"),
        value("waiting", "commons_pool2_num_waiters_threads"),
        value("acquired", "commons_pool2_borrowed_objects_total"),
        value("returned", "commons_pool2_returned_objects_total"),
        value("connects", "commons_pool2_created_objects_total"),
    ),
    # Spring's has the maximum.
    yields_to=("spring-jdbc",),
    facts="Micrometer, CommonsObjectPool2Metrics.java",
    run="DBCP2 2.13, Micrometer 1.17",
)

WILDFLY = Format(
    name="wildfly",
    title="WildFly and EAP (with `statistics-enabled`)",
    client="IronJacamar",
    pool=(("data_source", "xa_data_source"),),
    quiet=("microprofile_scope", "mp_scope"),
    values=(
        value("max", "wildfly_datasources_pool_available_count"),
        value(
            "max",
            "wildfly_datasources_pool_in_use_count",
            part=1,
            note="Those that could still be had, and those in use.",
        ),
        value("idle", "wildfly_datasources_pool_idle_count"),
        value("active", "wildfly_datasources_pool_in_use_count"),
        value("queued", *_with_total("wildfly_datasources_pool_wait_count")),
        value(
            "timeouts",
            *_with_total("wildfly_datasources_pool_blocking_failure_count"),
            kind="pool",
        ),
        value(
            "acquire_wait",
            *_with_total("wildfly_datasources_pool_total_blocking_time"),
            scale=MILLISECONDS,
        ),
        value(
            "held", *_with_total("wildfly_datasources_pool_total_usage_time"), scale=MILLISECONDS
        ),
        value("connects", *_with_total("wildfly_datasources_pool_created_count")),
    ),
    facts="WildFly, datasources subsystem: the pool's runtime statistics",
)

LIBERTY = Format(
    name="liberty",
    title="Open Liberty (mpMetrics 3 to 5, and `vendor_` before)",
    client="Open Liberty",
    pool=(("datasource",),),
    quiet=("mp_scope", "mp_app"),
    values=(
        value("idle", *_of_vendor("connectionpool_freeConnections")),
        value("active", *_of_vendor("connectionpool_managedConnections")),
        value(
            "active",
            *_of_vendor("connectionpool_freeConnections"),
            scale=-1.0,
            part=1,
            note="Managed less free. The maximum is not on the page: set `max_connections`.",
        ),
        value("queued", *_of_vendor("connectionpool_queuedRequests_total")),
        value("acquire_wait", *_of_vendor("connectionpool_waitTime_total_seconds")),
        value("held", *_of_vendor("connectionpool_inUseTime_total_seconds")),
        value("acquired", *_of_vendor("connectionpool_usedConnections_total")),
        value("connects", *_of_vendor("connectionpool_create_total")),
    ),
    facts="Open Liberty, com.ibm.ws.microprofile.metrics.monitor",
)
