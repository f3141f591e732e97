"""PgBouncer: pools that belong to a database and a user, not to an application."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

BOUNCER_SERVER_STATES = ("idle", "active", "login", "tested", "cancel")
BOUNCER_CLIENT_STATES = ("active", "waiting", "cancel")

_bouncer = family("bouncer", "pg_bouncer", "bouncer")
_POOL = ("database", "user")

BOUNCER_UP = _bouncer(
    "gauge", "up", "1 if the last poll of the bouncer succeeded within its deadline, else 0."
)
BOUNCER_INFO = _bouncer(
    "gauge", "info", "1 for each bouncer; the label gives its version.", "version"
)
BOUNCER_CONNECTIONS = _bouncer(
    "gauge", "connections", "Server connections of a pool, by state.", *_POOL, "state"
)
BOUNCER_CLIENTS = _bouncer("gauge", "clients", "Clients of a pool, by state.", *_POOL, "state")
BOUNCER_OLDEST_WAITING = _bouncer(
    "gauge", "oldest_waiting_seconds", "Age of the oldest waiting request of a client.", *_POOL
)
BOUNCER_OLDEST_IDLE = _bouncer(
    "gauge", "oldest_idle_seconds",
    "Age of the longest idle period of a server connection, in whole seconds.",
    *_POOL,
)  # fmt: skip
BOUNCER_POOL_SIZE = _bouncer(
    "gauge", "pool_size", "Maximum size of a pool; absent when unlimited.", *_POOL
)
BOUNCER_RESERVE_POOL_SIZE = _bouncer(
    "gauge", "reserve_pool_size",
    "Additional connections that a pool may open when clients wait for long.",
    *_POOL,
)  # fmt: skip
BOUNCER_MIN_POOL_SIZE = _bouncer(
    "gauge", "min_pool_size", "Minimum size that a pool keeps.", *_POOL
)
BOUNCER_TRANSACTIONS = _bouncer("counter", "transactions_total", "Transactions.", "database")
BOUNCER_QUERIES = _bouncer("counter", "queries_total", "Queries.", "database")
BOUNCER_WAIT = _bouncer(
    "counter",
    "wait_seconds_total",
    "Total time that clients spent waiting for a connection.",
    "database",
)
BOUNCER_DATABASE_CONNECTIONS = _bouncer(
    "gauge", "database_connections", "Server connections of all pools of the database.", "database"
)
BOUNCER_DATABASE_MAX = _bouncer(
    "gauge", "database_max_connections",
    "Maximum server connections of the database; absent when unlimited.",
    "database",
)  # fmt: skip
BOUNCER_MAX_CLIENTS = _bouncer(
    "gauge", "max_client_connections", "Maximum clients that the bouncer accepts."
)
BOUNCER_CLIENT_CONNECTIONS = _bouncer(
    "gauge", "client_connections", "Connected clients of all pools."
)
