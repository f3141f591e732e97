"""PgBouncer: pools that belong to a database and a user, not to an application."""

from __future__ import annotations

from functools import partial

from pg_pool_exporter.metrics.catalogue.metric import family
from pg_pool_exporter.model import BouncerDatabase, BouncerPool, BouncerSample

BOUNCER_SERVER_STATES = ("idle", "active", "login", "tested", "cancel")
BOUNCER_CLIENT_STATES = ("active", "waiting", "cancel")

_family = partial(family, "bouncer", "pg_bouncer", "bouncer")
_bouncer = _family(record=BouncerSample)
_pool = _family("database", "user", record=BouncerPool)
_database = _family("database", record=BouncerDatabase)

BOUNCER_UP = _bouncer(
    "gauge", "up", "1 if the last poll of the bouncer succeeded within its deadline, else 0."
)
BOUNCER_INFO = _bouncer(
    "gauge", "info", "1 for each bouncer; the label gives its version.", "version"
)
BOUNCER_CONNECTIONS = _pool(
    "gauge", "connections",
    "Server connections of a pool, by state.",
    "state", field="connections", values=BOUNCER_SERVER_STATES,
)  # fmt: skip
BOUNCER_CLIENTS = _pool(
    "gauge", "clients",
    "Clients of a pool, by state.",
    "state", field="clients", values=BOUNCER_CLIENT_STATES,
)  # fmt: skip
BOUNCER_OLDEST_WAITING = _pool(
    "gauge", "oldest_waiting_seconds",
    "Age of the oldest waiting request of a client.",
    field="oldest_waiting",
)  # fmt: skip
BOUNCER_OLDEST_IDLE = _pool(
    "gauge", "oldest_idle_seconds",
    "Age of the longest idle period of a server connection, in whole seconds.",
    field="oldest_idle",
)  # fmt: skip
BOUNCER_POOL_SIZE = _pool(
    "gauge", "pool_size", "Maximum size of a pool; absent when unlimited.", field="size"
)
BOUNCER_RESERVE_POOL_SIZE = _pool(
    "gauge", "reserve_pool_size",
    "Additional connections that a pool may open when clients wait for long.",
    field="reserve_size",
)  # fmt: skip
BOUNCER_MIN_POOL_SIZE = _pool(
    "gauge", "min_pool_size", "Minimum size that a pool keeps.", field="min_size"
)
BOUNCER_TRANSACTIONS = _database(
    "counter", "transactions_total", "Transactions.", field="transactions"
)
BOUNCER_QUERIES = _database("counter", "queries_total", "Queries.", field="queries")
BOUNCER_WAIT = _database(
    "counter", "wait_seconds_total",
    "Total time that clients spent waiting for a connection.",
    field="wait",
)  # fmt: skip
BOUNCER_DATABASE_CONNECTIONS = _database(
    "gauge", "database_connections",
    "Server connections of all pools of the database.",
    field="connections",
)  # fmt: skip
BOUNCER_DATABASE_MAX = _database(
    "gauge", "database_max_connections",
    "Maximum server connections of the database; absent when unlimited.",
    field="max_connections",
)  # fmt: skip
BOUNCER_MAX_CLIENTS = _bouncer(
    "gauge", "max_client_connections",
    "Maximum clients that the bouncer accepts.",
    field="max_clients",
)  # fmt: skip
BOUNCER_CLIENT_CONNECTIONS = _bouncer(
    "gauge", "client_connections", "Connected clients of all pools.", field="clients"
)
