"""Servers: what PostgreSQL sees."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

BACKEND_STATES = (
    "active", "idle", "idle_in_transaction", "idle_in_transaction_aborted",
    "fastpath_function_call", "disabled", "starting", "unknown",
)  # fmt: skip
# Values of the labels whose counters exist from 0 from the first moment.
SESSION_END_REASONS = ("abandoned", "fatal", "killed")
SERVER_TIMEOUT_KINDS = (
    "statement", "lock", "idle_in_transaction", "idle_session", "transaction", "authentication",
)  # fmt: skip
REFUSAL_REASONS = (
    "too_many_connections", "role_limit", "database_limit", "authentication", "other",
)  # fmt: skip

_server = family("server", "pg_server", "server")

# Labels of a group of sessions.
_SESSION = ("database", "user", "application")
SERVER_UP = _server(
    "gauge", "up", "1 if the last poll of the server succeeded within its deadline, else 0."
)
SERVER_INFO = _server(
    "gauge", "info",
    "1 for each server; labels give its version, whether it is in recovery, and its address.",
    "version", "in_recovery", "host", "port",
)  # fmt: skip
SERVER_CONNECTIONS = _server(
    "gauge", "connections",
    "Client sessions by state, without the exporter's own; unknown: the exporter may not see it.",
    *_SESSION, "state",
)  # fmt: skip
SERVER_OLDEST_STATE = _server(
    "gauge", "oldest_state_seconds",
    "Longest time that a session has been in this state (age).",
    *_SESSION, "state",
)  # fmt: skip
SERVER_OLDEST_BACKEND = _server(
    "gauge", "oldest_backend_seconds", "Age of the oldest session.", *_SESSION
)
SERVER_LAST_LOGIN = _server(
    "gauge", "last_login_seconds",
    "Age of the youngest session, the exporter's own included. It only grows while applications "
    "keep their sessions, or the server accepts no login.",
)  # fmt: skip
SERVER_OLDEST_TRANSACTION = _server(
    "gauge", "oldest_transaction_seconds", "Age of the oldest open transaction.", *_SESSION
)
SERVER_WAITING = _server(
    "gauge", "waiting_connections",
    "Sessions waiting for a heavyweight lock; absent without the right to see it.",
    *_SESSION,
)  # fmt: skip
SERVER_OLDEST_WAITING = _server(
    "gauge", "oldest_waiting_seconds",
    "Age of the longest wait for a heavyweight lock; absent before PostgreSQL 14.",
    *_SESSION,
)  # fmt: skip
SERVER_BLOCKING = _server(
    "gauge", "blocking_connections",
    "Sessions that block another session's lock; absent without the right to see all sessions.",
    *_SESSION,
)  # fmt: skip
SERVER_MAX = _server("gauge", "max_connections", "The setting max_connections.")
SERVER_RESERVED = _server(
    "gauge", "reserved_connections",
    "Slots that ordinary roles cannot use: superuser_reserved_connections, and from PostgreSQL 16 "
    "reserved_connections.",
)  # fmt: skip
SERVER_USED = _server("gauge", "used_connections", "Slots in use, the exporter's own included.")
SERVER_DATABASE_LIMIT = _server(
    "gauge", "database_connection_limit", "CONNECTION LIMIT of a database, where set.", "database"
)
SERVER_ROLE_LIMIT = _server(
    "gauge", "role_connection_limit", "CONNECTION LIMIT of a role, where set.", "user"
)
SERVER_POOL_DEMAND = _server(
    "gauge", "pools_max_connections",
    "Sum of the maximum sizes of all pools known to connect to the server.",
)  # fmt: skip
SERVER_TIMEOUT_SETTING = _server(
    "gauge", "timeout_setting_seconds", "Server-wide timeout; 0 is off.", "setting"
)
SERVER_TIMEOUT_OVERRIDE = _server(
    "gauge", "timeout_override_seconds",
    "Timeout set for a database, a role or both; all: for any; 0 is off.",
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
    "Sessions that ended abnormally: abandoned by the client, after a fatal error, or killed by an "
    "operator (PostgreSQL 14 and later).",
    "database", "reason",
)  # fmt: skip

# From the server's own log.
SERVER_TIMEOUTS = _server(
    "counter", "timeouts_total",
    "Timeouts by kind, from the server's log.",
    "database", "kind",
)  # fmt: skip
SERVER_OPENED = _server(
    "counter", "connections_opened_total",
    "Sessions opened, from the server's log; absent without log_connections.",
    "database",
)  # fmt: skip
SERVER_CLOSED = _server(
    "counter", "connections_closed_total",
    "Sessions closed, from the server's log; absent without log_disconnections.",
    "database",
)  # fmt: skip
SERVER_REFUSED = _server(
    "counter", "connections_refused_total",
    "Connection attempts that the server refused, from its log.",
    "reason",
)  # fmt: skip
