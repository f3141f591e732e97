"""Every metric once: its name, type, help and labels.

Everything that writes or reads metrics (the client's page, the reader, the daemon's page, the
documentation) takes them from here. The standard library only, because the client imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricType = Literal["gauge", "counter", "histogram"]
Section = Literal["pool", "server", "exporter"]

# Bounds of the histograms, in seconds. They are part of the contract: changing one breaks every
# recording rule and every stored series.
ACQUIRE_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
HOLD_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 600.0,
)  # fmt: skip

# All values of the label. Each library sees the first two; few have a hook that sees the others.
POOL_TIMEOUT_KINDS = (
    "pool", "connect", "statement", "lock", "idle_in_transaction", "idle_session", "transaction",
)  # fmt: skip
# Known values of the labels whose counters exist from 0 from the first moment.
SESSION_END_REASONS = ("abandoned", "fatal", "killed")
POLL_FAILURE_REASONS = (
    "timeout", "refused", "auth", "protocol", "too_large", "too_many_connections", "permission",
    "other",
)  # fmt: skip
BACKEND_STATES = (
    "active", "idle", "idle_in_transaction", "idle_in_transaction_aborted",
    "fastpath_function_call", "disabled", "starting", "unknown",
)  # fmt: skip

# The label value that stands for all groups beyond a cap.
OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric family. Compared and hashed by identity: each exists once.

    `labels` gives the order in which label values are written everywhere.
    `bounds` are a histogram's upper bounds in seconds, without +Inf.
    """

    name: str
    type: MetricType
    section: Section
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()


METRICS: list[Metric] = []


def _metric(
    section: Section,
    kind: MetricType,
    name: str,
    labels: tuple[str, ...],
    text: str,
    bounds: tuple[float, ...] = (),
) -> Metric:
    metric = Metric(name, kind, section, labels, text, bounds)
    METRICS.append(metric)
    return metric


def _pool(
    kind: MetricType,
    name: str,
    text: str,
    *more: str,
    bounds: tuple[float, ...] = (),
) -> Metric:
    return _metric("pool", kind, f"pg_pool_{name}", ("app", "pool", "process", *more), text, bounds)


def _server(kind: MetricType, name: str, text: str, *more: str) -> Metric:
    return _metric("server", kind, f"pg_server_{name}", ("server", *more), text)


def _exporter(kind: MetricType, name: str, text: str, *labels: str) -> Metric:
    return _metric("exporter", kind, f"pg_pool_exporter_{name}", labels, text)


# Pools: what an application sees.
POOL_CONNECTIONS = _pool(
    "gauge", "connections",
    "Connections of the pool: idle in it, or active, which is checked out by the application "
    "(slots that a leak has lost included).",
    "state",
)  # fmt: skip
POOL_MAX = _pool(
    "gauge", "max_connections", "Most connections that the pool may have; absent when unlimited."
)
POOL_MIN = _pool("gauge", "min_connections", "Connections that the pool tries to keep open.")
POOL_WAITING = _pool(
    "gauge", "waiting_requests",
    "Requests queued for a connection now; those that have given up are not counted.",
)  # fmt: skip
POOL_OLDEST_IDLE = _pool(
    "gauge", "oldest_idle_seconds", "Age of the longest-idle connection in the pool."
)
POOL_OLDEST_ACTIVE = _pool("gauge", "oldest_active_seconds", "Age of the oldest checkout.")
POOL_OLDEST_WAITING = _pool(
    "gauge", "oldest_waiting_seconds", "Age of the longest-waiting request in the queue."
)
POOL_ACTIVE_SECONDS = _pool(
    "counter", "active_connection_seconds_total",
    "Integral of active connections over time: its rate is the mean use.",
)  # fmt: skip
POOL_SATURATED_SECONDS = _pool(
    "counter", "saturated_seconds_total", "Time spent with every connection checked out."
)
POOL_REQUESTS = _pool("counter", "requests_total", "Connections asked for.")
POOL_QUEUED = _pool("counter", "queued_requests_total", "Requests that had to queue.")
POOL_REJECTED = _pool(
    "counter", "rejected_requests_total", "Requests refused at once, because the queue was full."
)
POOL_TIMEOUTS = _pool(
    "counter", "timeouts_total",
    "Time-outs seen by the application: waiting for the pool, connecting to the server, and others "
    "where its library tells of them.",
    "kind",
)  # fmt: skip
POOL_ACQUIRE = _pool(
    "histogram", "acquire_seconds", "Time from asking for a connection to having it.",
    bounds=ACQUIRE_BOUNDS,
)  # fmt: skip
POOL_HOLD = _pool("histogram", "hold_seconds", "Time from checkout to return.", bounds=HOLD_BOUNDS)
POOL_ACQUIRE_WAIT = _pool(
    "counter", "acquire_wait_seconds_total", "Time spent waiting for connections, in all."
)
POOL_ACQUIRED = _pool("counter", "acquired_total", "Connections checked out.")
POOL_HELD = _pool(
    "counter", "held_seconds_total", "Time that returned connections were held, in all."
)
POOL_RETURNED = _pool("counter", "returned_total", "Connections given back.")
POOL_CONNECTS = _pool(
    "counter", "connects_total", "Sessions opened by the pool since it was instrumented."
)
POOL_CONNECT_ERRORS = _pool(
    "counter", "connect_errors_total", "Attempts to open a session that failed."
)
POOL_LOST = _pool("counter", "lost_connections_total", "Sessions that the pool found dead.")
POOL_LEAKED = _pool(
    "counter", "leaked_connections_total",
    "Connections dropped without being returned: each has cost its slot for good.",
)  # fmt: skip
POOL_LEAKED_SLOTS = _pool(
    "gauge", "leaked_slots", "Slots lost now, by the line of code that borrowed them.", "site"
)
POOL_OVERDUE = _pool(
    "gauge", "overdue_connections",
    "Connections checked out for longer than the leak threshold, by the line of code that "
    "borrowed them.",
    "site",
)  # fmt: skip
POOL_INFO = _pool(
    "gauge", "info",
    "1 for each pool; joins it to its server by host and port, or by server.",
    "client", "client_version", "source", "pid", "host", "port", "server", "database", "user",
    "application",
)  # fmt: skip

# Servers: what PostgreSQL sees.
_SESSION = ("database", "user", "application")
SERVER_UP = _server(
    "gauge", "up", "1 when the last poll of the server answered within its deadline, else 0."
)
SERVER_INFO = _server(
    "gauge", "info", "1 for each server; its version, its role and its address.",
    "version", "in_recovery", "host", "port",
)  # fmt: skip
SERVER_CONNECTIONS = _server(
    "gauge", "connections",
    "Client sessions by state, the exporter's own left out; unknown: it has no right to see it.",
    *_SESSION, "state",
)  # fmt: skip
SERVER_OLDEST_STATE = _server(
    "gauge", "oldest_state_seconds",
    "Age of the state that a session has been in for longest.",
    *_SESSION, "state",
)  # fmt: skip
SERVER_OLDEST_BACKEND = _server(
    "gauge", "oldest_backend_seconds", "Age of the oldest session.", *_SESSION
)
SERVER_OLDEST_TRANSACTION = _server(
    "gauge", "oldest_transaction_seconds", "Age of the oldest open transaction.", *_SESSION
)
SERVER_WAITING = _server(
    "gauge", "waiting_connections",
    "Sessions that wait for a heavyweight lock; absent without the right to see it.",
    *_SESSION,
)  # fmt: skip
SERVER_OLDEST_WAITING = _server(
    "gauge", "oldest_waiting_seconds",
    "Age of the longest wait for a heavyweight lock; absent before PostgreSQL 14, which does not "
    "tell.",
    *_SESSION,
)  # fmt: skip
SERVER_BLOCKING = _server(
    "gauge", "blocking_connections",
    "Sessions that hold up another one's lock; absent without the right to see all sessions.",
    *_SESSION,
)  # fmt: skip
SERVER_MAX = _server("gauge", "max_connections", "The setting max_connections.")
SERVER_RESERVED = _server(
    "gauge", "reserved_connections",
    "Slots that an ordinary role cannot have: superuser_reserved_connections, and from "
    "PostgreSQL 16 reserved_connections.",
)  # fmt: skip
SERVER_USED = _server("gauge", "used_connections", "Slots taken, the exporter's own included.")
SERVER_DATABASE_LIMIT = _server(
    "gauge", "database_connection_limit", "CONNECTION LIMIT of a database, where set.", "database"
)
SERVER_ROLE_LIMIT = _server(
    "gauge", "role_connection_limit", "CONNECTION LIMIT of a role, where set.", "user"
)
SERVER_TIMEOUT_SETTING = _server(
    "gauge", "timeout_setting_seconds", "Server-wide time-out; 0 is off.", "setting"
)
SERVER_TIMEOUT_OVERRIDE = _server(
    "gauge", "timeout_override_seconds",
    "Time-out set for a database or a role; all where one of them is open; 0 is off.",
    "setting", "database", "user",
)  # fmt: skip
SERVER_DEADLOCKS = _server(
    "counter", "deadlocks_total", "Deadlocks, from pg_stat_database.", "database"
)
SERVER_SESSIONS = _server(
    "counter", "sessions_total",
    "Sessions established, from pg_stat_database (PostgreSQL 14 and later).",
    "database",
)  # fmt: skip
SERVER_SESSIONS_ENDED = _server(
    "counter", "sessions_ended_total",
    "Sessions that ended abnormally: abandoned by the client, by a fatal error, or killed by an "
    "operator (PostgreSQL 14 and later).",
    "database", "reason",
)  # fmt: skip

# The exporter itself.
_TARGET = ("target", "kind")
BUILD_INFO = _exporter("gauge", "build_info", "1; the exporter's version.", "version", "python")
TARGET_UP = _exporter(
    "gauge", "target_up", "1 when the last poll of the target succeeded, else 0.", *_TARGET
)
POLLS = _exporter("counter", "polls_total", "Polls of the target.", *_TARGET)
POLL_FAILURES = _exporter(
    "counter", "poll_failures_total", "Polls of the target that failed.", *_TARGET, "reason"
)
POLL_DURATION = _exporter(
    "gauge", "poll_duration_seconds", "Duration of the last poll of the target.", *_TARGET
)
LAST_SUCCESS = _exporter(
    "gauge", "last_success_timestamp_seconds",
    "Time of the last successful poll of the target, since the epoch; absent before the first.",
    *_TARGET,
)  # fmt: skip
SERIES_FOLDED = _exporter(
    "gauge", "series_folded",
    "Groups of the target (sessions' groups, pools, sites) that are folded into other, or left "
    "out because they are over a cap.",
    *_TARGET,
)  # fmt: skip
RELOAD_SUCCESSFUL = _exporter(
    "gauge",
    "config_last_reload_successful",
    "1 when the last (re)load of the configuration worked.",
)
RELOAD_TIMESTAMP = _exporter(
    "gauge", "config_last_reload_success_timestamp_seconds",
    "Time of the last (re)load of the configuration that worked, since the epoch.",
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}
