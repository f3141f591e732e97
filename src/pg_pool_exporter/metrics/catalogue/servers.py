"""Servers: what PostgreSQL sees."""

from __future__ import annotations

from functools import partial

from pg_pool_exporter.metrics.catalogue.metric import family
from pg_pool_exporter.model import (
    DatabaseCounters,
    LogCounts,
    ServerFacts,
    ServerSample,
    ServerSettings,
    SessionGroup,
    StateSample,
)

BACKEND_STATES = (
    "active", "idle", "idle_in_transaction", "idle_in_transaction_aborted",
    "fastpath_function_call", "disabled", "starting", "unknown",
)  # fmt: skip
# Values of the labels whose counters exist from 0 from the first moment.
SERVER_TIMEOUT_KINDS = (
    "statement", "lock", "idle_in_transaction", "idle_session", "transaction", "authentication",
)  # fmt: skip
REFUSAL_REASONS = (
    "too_many_connections", "role_limit", "database_limit", "authentication", "other",
)  # fmt: skip

_family = partial(family, "server", "pg_server", "server")
_server = _family(record=ServerSample)
_settings = _family(record=ServerSettings)
_group = _family("database", "user", "application", record=SessionGroup)
_state = _family("database", "user", "application", "state", record=StateSample)
_database = _family("database", record=DatabaseCounters)
_facts = _family(record=ServerFacts)
_log = _family(record=LogCounts)

SERVER_UP = _server(
    "gauge", "up", "1 if the last poll of the server succeeded within its deadline, else 0."
)
SERVER_INFO = _server(
    "gauge", "info",
    "1 for each server; labels give its version, whether it is in recovery, and its address.",
    "version", "in_recovery", "host", "port",
)  # fmt: skip
SERVER_CONNECTIONS = _state(
    "gauge", "connections",
    "Client sessions by state, without the exporter's own; unknown: the exporter may not see it.",
    field="sessions", values=BACKEND_STATES,
)  # fmt: skip
SERVER_OLDEST_STATE = _state(
    "gauge", "oldest_state_seconds",
    "Longest time that a session has been in this state (age).",
    field="oldest", values=BACKEND_STATES,
)  # fmt: skip
SERVER_OLDEST_BACKEND = _group(
    "gauge", "oldest_backend_seconds", "Age of the oldest session.", field="oldest_backend"
)
SERVER_LAST_LOGIN = _server(
    "gauge", "last_login_seconds",
    "Age of the youngest session, the exporter's own included. It only grows while applications "
    "keep their sessions, or the server accepts no login.",
    field="last_login",
)  # fmt: skip
SERVER_OLDEST_TRANSACTION = _group(
    "gauge", "oldest_transaction_seconds",
    "Age of the oldest open transaction.",
    field="oldest_transaction",
)  # fmt: skip
SERVER_WAITING = _group(
    "gauge", "waiting_connections",
    "Sessions waiting for a heavyweight lock; absent without the right to see it.",
    field="waiting",
)  # fmt: skip
SERVER_OLDEST_WAITING = _group(
    "gauge", "oldest_waiting_seconds",
    "Age of the longest wait for a heavyweight lock; absent before PostgreSQL 14.",
    field="oldest_waiting",
)  # fmt: skip
SERVER_BLOCKING = _group(
    "gauge", "blocking_connections",
    "Sessions that block another session's lock; absent without the right to see all sessions. "
    "While more than 100 wait, a lower bound, and absent where none is known.",
    field="blocking",
)  # fmt: skip
SERVER_LOCK_WAITS = _server(
    "counter", "lock_waits_total",
    "Waits for heavyweight locks that were longer than deadlock_timeout, by type of lock, from "
    "pg_stat_lock (PostgreSQL 19 and later).",
    "lock_type", field="lock_waits",
)  # fmt: skip
SERVER_LOCK_WAIT_SECONDS = _server(
    "counter", "lock_wait_seconds_total",
    "Time of the waits that pg_server_lock_waits_total counts (PostgreSQL 19 and later).",
    "lock_type", field="lock_wait_seconds",
)  # fmt: skip
SERVER_MAX = _settings(
    "gauge", "max_connections", "The setting max_connections.", field="max_connections"
)
SERVER_RESERVED = _settings(
    "gauge", "reserved_connections",
    "Slots that ordinary roles cannot use: superuser_reserved_connections, and from PostgreSQL 16 "
    "reserved_connections.",
    field="reserved_connections",
)  # fmt: skip
SERVER_USED = _server(
    "gauge", "used_connections", "Slots in use, the exporter's own included.", field="used"
)
SERVER_DATABASE_LIMIT = _settings(
    "gauge", "database_connection_limit",
    "CONNECTION LIMIT of a database, where set.",
    "database", field="database_limits",
)  # fmt: skip
SERVER_ROLE_LIMIT = _settings(
    "gauge", "role_connection_limit",
    "CONNECTION LIMIT of a role, where set.",
    "user", field="role_limits",
)  # fmt: skip
SERVER_POOLS_MAX = _server(
    "gauge", "pools_max_connections",
    "Sum of the maximum sizes of all pools known to connect to the server.",
)  # fmt: skip
SERVER_TIMEOUT_SETTING = _settings(
    "gauge", "timeout_setting_seconds",
    "Server-wide timeout; 0 is off.",
    "setting", field="timeouts",
)  # fmt: skip
SERVER_TIMEOUT_OVERRIDE = _settings(
    "gauge", "timeout_override_seconds",
    "Timeout set for a database, a role or both; all: for any; 0 is off.",
    "setting", "database", "user", field="overrides",
)  # fmt: skip
SERVER_DEADLOCKS = _database(
    "counter", "deadlocks_total", "Deadlocks, from pg_stat_database.", field="deadlocks"
)
SERVER_SESSIONS = _database(
    "counter", "sessions_total",
    "Sessions established, from pg_stat_database (PostgreSQL 14 and later).",
    field="sessions",
)  # fmt: skip
SERVER_SESSIONS_ENDED = _database(
    "counter", "sessions_ended_total",
    "Sessions that ended abnormally: abandoned by the client, after a fatal error, or killed by an "
    "operator (PostgreSQL 14 and later).",
    "reason", field=("abandoned", "fatal", "killed"),
)  # fmt: skip

# Off by default: `facts` of the configuration.
IDLE_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
SERVER_NETWORKS = _facts(
    "gauge", "network_connections",
    "Client sessions by network of the client's address; local: unix sockets; unknown: hidden from "
    "the exporter. Only with `client_networks`.",
    "network", field="networks",
)  # fmt: skip
SERVER_WAIT_EVENTS = _facts(
    "gauge", "wait_event_connections",
    "Client sessions by state and PostgreSQL's type of the event that they wait for; none: they "
    "work; Client: they wait for their application. Only with `wait_events`.",
    "state", "wait_event_type", field="waits",
)  # fmt: skip
SERVER_IDLE_IN_TRANSACTION = _facts(
    "gaugehistogram", "idle_in_transaction_seconds",
    "How long the sessions that are idle in a transaction now have been: a count falls when one "
    "ends. Absent without the right to see all sessions. Only with `idle_in_transaction`.",
    field="idle_in_transaction", bounds=IDLE_BOUNDS,
)  # fmt: skip
SERVER_SNAPSHOTS = _facts(
    "gauge", "oldest_snapshot_transactions",
    "Age in transactions of the oldest snapshot, which keeps VACUUM from removing rows, by who "
    "holds it: client, walsender, autovacuum, replication_slot (application is its name), "
    "prepared_transaction, other. Absent without the right to see all sessions. Only with "
    "`snapshots`.",
    "holder", "application", field="snapshots",
)  # fmt: skip

# From the server's own log.
SERVER_TIMEOUTS = _log(
    "counter", "timeouts_total",
    "Timeouts by kind, from the server's log.",
    "database", "kind", field="timeouts", values=SERVER_TIMEOUT_KINDS,
)  # fmt: skip
SERVER_OPENED = _log(
    "counter", "connections_opened_total",
    "Sessions opened, from the server's log; absent without log_connections.",
    "database", field="opened",
)  # fmt: skip
SERVER_CLOSED = _log(
    "counter", "connections_closed_total",
    "Sessions closed, from the server's log; absent without log_disconnections.",
    "database", field="closed",
)  # fmt: skip
SERVER_REFUSED = _log(
    "counter", "connections_refused_total",
    "Connection attempts that the server refused, from its log.",
    "reason", field="refused", values=REFUSAL_REASONS,
)  # fmt: skip
