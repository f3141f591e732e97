"""PgBouncer: pools that belong to a database and a user, not to an application."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

BOUNCER_SERVER_STATES = ("idle", "active", "login", "tested", "cancel")
BOUNCER_CLIENT_STATES = ("active", "waiting", "cancel")

_bouncer = family("bouncer", "pg_bouncer", "bouncer")
_POOL = ("database", "user")

BOUNCER_UP = _bouncer(
    "gauge", "up", "1 when the last poll of the bouncer answered within its deadline, else 0."
)
BOUNCER_INFO = _bouncer("gauge", "info", "1 for each bouncer; what it is.", "version")
BOUNCER_CONNECTIONS = _bouncer(
    "gauge", "connections", "Connections of a pool to its server, by state.", *_POOL, "state"
)
BOUNCER_CLIENTS = _bouncer("gauge", "clients", "Clients of a pool, by state.", *_POOL, "state")
BOUNCER_OLDEST_WAITING = _bouncer(
    "gauge", "oldest_waiting_seconds", "Age of the longest-waiting client's request.", *_POOL
)
BOUNCER_OLDEST_IDLE = _bouncer(
    "gauge", "oldest_idle_seconds",
    "Age of the longest-idle connection to a server, to the second.",
    *_POOL,
)  # fmt: skip
BOUNCER_POOL_SIZE = _bouncer(
    "gauge", "pool_size", "Most connections of a pool; absent when unlimited.", *_POOL
)
BOUNCER_RESERVE_POOL_SIZE = _bouncer(
    "gauge", "reserve_pool_size",
    "Connections that a pool may have besides, when clients wait for long.",
    *_POOL,
)  # fmt: skip
BOUNCER_MIN_POOL_SIZE = _bouncer(
    "gauge", "min_pool_size", "Connections that a pool keeps open.", *_POOL
)
BOUNCER_TRANSACTIONS = _bouncer("counter", "transactions_total", "Transactions.", "database")
BOUNCER_QUERIES = _bouncer("counter", "queries_total", "Queries.", "database")
BOUNCER_WAIT = _bouncer(
    "counter", "wait_seconds_total", "Time that clients spent waiting for a connection.", "database"
)
BOUNCER_DATABASE_CONNECTIONS = _bouncer(
    "gauge", "database_connections", "Connections to the database, of all its pools.", "database"
)
BOUNCER_DATABASE_MAX = _bouncer(
    "gauge", "database_max_connections",
    "Most connections to the database; absent when unlimited.",
    "database",
)  # fmt: skip
BOUNCER_MAX_CLIENTS = _bouncer(
    "gauge", "max_client_connections", "Most clients that the bouncer takes."
)
BOUNCER_CLIENT_CONNECTIONS = _bouncer(
    "gauge", "client_connections", "Clients that are connected, of all pools."
)
