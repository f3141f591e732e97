"""OpenTelemetry's semantic conventions for pools of database clients, as Prometheus text.

The names of metrics and attributes changed with version 1.26 of the conventions, the exporters add
the unit to the name or leave it out, and an attribute was renamed twice. All spellings are aliases.
"""

from __future__ import annotations

from types import MappingProxyType

from pg_pool_exporter.formats.format import MILLISECONDS, Condition, Format, Value, value

_STATE = ("db_client_connection_state", "db_client_connections_state", "state")
_POOL = (
    "db_client_connection_pool_name", "db_client_connections_pool_name", "pool_name",
)  # fmt: skip
_MAX = ("db_client_connection_max", "db_client_connection_max_connections")
_MAX_OLD = ("db_client_connections_max", "db_client_connections_max_connections")
_MAX_NET = ("npgsql_db_client_connections_max", "npgsql_db_client_connection_max")
_INFO = {"host": ("server_address",), "port": ("server_port",), "database": ("db_namespace",)}
# Labels of the processes on a collector's page.
_PROCESS = (("service_instance_id", "instance"),)
_BOTH_HIKARI = ("micrometer", "hikaricp")
# Node's instrumentation reads the queue when a connection moves: it misses a queue that stands
# still, and requests that gave up (tried with 0.76).
_SEES_THE_QUEUE = (Condition(("otel_scope_name",), "@opentelemetry/instrumentation-pg", True),)

# The conventions are for all databases, and an application can have pools of several.
OTHER_DATABASES = (
    *(
        Condition(("db_system_name", "db_system"), system)
        for system in (
            "redis", "mongodb", "mysql", "mariadb", "microsoft.sql_server", "mssql", "oracle.db",
            "oracle", "sqlite",
        )
    ),
    *(
        Condition(("otel_scope_name",), scope)
        for scope in (
            "@opentelemetry/instrumentation-mongodb", "@opentelemetry/instrumentation-mysql",
            "MySqlConnector",
        )
    ),
)  # fmt: skip

_FIRST = "There is no series before the first one."
_PLAIN_COUNTER = ".NET's exporter can be configured to leave out `_total`."
_NPGSQL = "Npgsql"
_CLIENTS = {
    _NPGSQL: "Npgsql",
    "io.opentelemetry.hikaricp-3.0": "HikariCP",
    "io.opentelemetry.c3p0-0.9": "c3p0",
    "io.opentelemetry.apache-dbcp-2.0": "DBCP2",
    "io.opentelemetry.tomcat-jdbc": "Tomcat JDBC",
    "io.opentelemetry.vibur-dbcp-11.0": "Vibur DBCP",
    "io.opentelemetry.alibaba-druid-1.0": "Druid",
    "io.opentelemetry.oracle-ucp-11.2": "UCP",
    "@opentelemetry/instrumentation-pg": "node-postgres",
    "opentelemetry.instrumentation.sqlalchemy": "SQLAlchemy",
}
# Node's instrumentation reads the pool just before a connection moves (tried with 0.76).
_LAGS = MappingProxyType({"node-postgres": 1})
# A disposed data source keeps its counters on the page and loses these (tried with Npgsql 8 to 10).
_GAUGES = ("max", "idle", "active")
_OF_NPGSQL = (Condition(("otel_scope_name",), _NPGSQL),)
# Others don't count timeouts: theirs are unknown, not 0.
_COUNT_TIMEOUTS = (_NPGSQL, "io.opentelemetry.hikaricp-3.0")


def _state(name: str) -> tuple[Condition, ...]:
    return (Condition(_STATE, name),)


def _none_yet(field: str, *shown: str, scopes: tuple[str, ...], kind: str = "") -> list[Value]:
    """0 of pools that are `shown` by instrumentations that have no series before the first one.

    Else `increase()` would not see it.
    """
    return [
        value(
            field,
            *shown,
            where=(Condition(("otel_scope_name",), scope),),
            scale=0.0,
            kind=kind,
            part=1,
            note=_FIRST,
        )
        for scope in scopes
    ]


def _times(field: str, counted: str, name: str, *, milliseconds: bool) -> tuple[Value, ...]:
    """Sum and count of a histogram of times, under the names that exporters give it."""
    plain = value(
        field,
        f"{name}_sum",
        scale=MILLISECONDS if milliseconds else 1.0,
        note="JavaScript's exporter leaves the unit out of the name.",
    )
    by_unit = (
        value(field, f"{name}_seconds_sum"),
        value(field, f"{name}_milliseconds_sum", scale=MILLISECONDS),
    )
    counts = value(counted, f"{name}_seconds_count", f"{name}_milliseconds_count", f"{name}_count")
    return (*by_unit, plain, counts)


OTEL = Format(
    name="otel",
    title="OpenTelemetry, conventions from 1.26 (and Npgsql from 10)",
    clients=_CLIENTS,
    pool=(_POOL,),
    process=_PROCESS,
    info=_INFO,
    unless=OTHER_DATABASES,
    gauges=_GAUGES,
    gauges_where=_OF_NPGSQL,
    lags=_LAGS,
    values=(
        value("max", *_MAX),
        value("min", "db_client_connection_idle_min", "db_client_connection_idle_min_connections"),
        value(
            "idle",
            "db_client_connection_count",
            "db_client_connection_count_connections",
            where=_state("idle"),
        ),
        value(
            "active",
            "db_client_connection_count",
            "db_client_connection_count_connections",
            where=_state("used"),
        ),
        value(
            "waiting",
            "db_client_connection_pending_requests",
            "db_client_connection_pending_requests_requests",
            "db_client_connection_npgsql_pending_requests",
            where=_SEES_THE_QUEUE,
            note="Not of Node's instrumentation-pg, which misses most of a queue.",
        ),
        *_none_yet("waiting", *_MAX, scopes=(_NPGSQL,)),
        value(
            "timeouts",
            "db_client_connection_timeouts_total",
            "db_client_connection_timeouts_timeouts_total",
            "db_client_connection_timeouts",
            "db_client_connection_npgsql_timeouts_total",
            "db_client_connection_npgsql_timeouts",
            kind="pool",
            note=_PLAIN_COUNTER,
        ),
        *_none_yet("timeouts", *_MAX, scopes=_COUNT_TIMEOUTS, kind="pool"),
        *_times("acquire_wait", "acquired", "db_client_connection_wait_time", milliseconds=False),
        *_times("held", "returned", "db_client_connection_use_time", milliseconds=False),
        value(
            "connects",
            "db_client_connection_create_time_seconds_count",
            "db_client_connection_create_time_milliseconds_count",
            "db_client_connection_create_time_count",
            "db_client_connection_npgsql_create_time_seconds_count",
        ),
    ),
    yields_to=_BOTH_HIKARI,
    facts="OpenTelemetry semantic conventions 1.26, Npgsql 10 MetricsReporter.cs",
    run="Java agent 2.31 (HikariCP 7.1, Tomcat JDBC 11.0), instrumentation-pg 0.76, Npgsql 10.0",
)

OTEL_OLD = Format(
    name="otel-old",
    title="OpenTelemetry, conventions before 1.26 (and Npgsql 8 and 9)",
    clients=_CLIENTS,
    pool=(_POOL,),
    process=_PROCESS,
    info=_INFO,
    unless=OTHER_DATABASES,
    gauges=_GAUGES,
    gauges_where=_OF_NPGSQL,
    lags=_LAGS,
    values=(
        value("max", *_MAX_OLD),
        value(
            "min", "db_client_connections_idle_min", "db_client_connections_idle_min_connections"
        ),
        value(
            "idle",
            "db_client_connections_usage",
            "db_client_connections_usage_connections",
            where=_state("idle"),
        ),
        value(
            "active",
            "db_client_connections_usage",
            "db_client_connections_usage_connections",
            where=_state("used"),
        ),
        value(
            "waiting",
            "db_client_connections_pending_requests",
            "db_client_connections_pending_requests_requests",
            where=_SEES_THE_QUEUE,
            note="Not of Node's instrumentation-pg, which misses most of a queue.",
        ),
        *_none_yet("waiting", *_MAX_OLD, scopes=(_NPGSQL,)),
        value(
            "timeouts",
            "db_client_connections_timeouts_total",
            "db_client_connections_timeouts_timeouts_total",
            "db_client_connections_timeouts",
            kind="pool",
            note=_PLAIN_COUNTER,
        ),
        *_none_yet("timeouts", *_MAX_OLD, scopes=_COUNT_TIMEOUTS, kind="pool"),
        *_times("acquire_wait", "acquired", "db_client_connections_wait_time", milliseconds=True),
        *_times("held", "returned", "db_client_connections_use_time", milliseconds=True),
        value(
            "connects",
            "db_client_connections_create_time_milliseconds_count",
            "db_client_connections_create_time_seconds_count",
            "db_client_connections_create_time_count",
        ),
    ),
    yields_to=("otel", *_BOTH_HIKARI),
    facts="OpenTelemetry semantic conventions 1.24, Npgsql 8 MetricsReporter.cs",
    run="Java agent 2.31 (c3p0 0.12, DBCP2 2.13), Npgsql 8.0 and 9.0",
)

NPGSQL = Format(
    name="npgsql",
    title="Npgsql by prometheus-net",
    client="Npgsql",
    pool=(_POOL,),
    # Of each the first name is that of Npgsql 8 and 9, the other that of Npgsql 10.
    values=(
        value("max", *_MAX_NET),
        value(
            "idle",
            "npgsql_db_client_connections_usage",
            "npgsql_db_client_connection_count",
            where=_state("idle"),
        ),
        value(
            "active",
            "npgsql_db_client_connections_usage",
            "npgsql_db_client_connection_count",
            where=_state("used"),
        ),
        value(
            "waiting",
            "npgsql_db_client_connections_pending_requests",
            "npgsql_db_client_connection_npgsql_pending_requests",
        ),
        value("waiting", *_MAX_NET, scale=0.0, part=1, note=_FIRST),
        value(
            "timeouts",
            "npgsql_db_client_connections_timeouts",
            "npgsql_db_client_connection_npgsql_timeouts",
            kind="pool",
            note="A counter, shown as a gauge and without `_total`, which is dropped five minutes "
            "after the last one and begins again at 0.",
        ),
        value(
            "timeouts",
            *_MAX_NET,
            scale=0.0,
            kind="pool",
            part=1,
            note=_FIRST,
        ),
        value(
            "connects",
            "npgsql_db_client_connections_create_time_count",
            "npgsql_db_client_connection_npgsql_create_time_count",
        ),
    ),
    yields_to=("otel", "otel-old"),
    facts="prometheus-net, MeterAdapter.cs; Npgsql 8 and 10, MetricsReporter.cs",
    run="Npgsql 8.0 and 10.0, prometheus-net 8.2",
)
