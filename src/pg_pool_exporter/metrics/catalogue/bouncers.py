"""PgBouncer: pools that belong to a database and a user, not to an application."""

from __future__ import annotations

from functools import partial

from pg_pool_exporter.metrics.catalogue.metric import family
from pg_pool_exporter.model import (
    BouncerDatabase,
    BouncerPool,
    BouncerSample,
    BouncerUser,
    ClientGroup,
)

BOUNCER_SERVER_STATES = ("idle", "active", "login", "tested", "cancel")
BOUNCER_CLIENT_STATES = ("idle", "active", "waiting", "cancel")

_family = partial(family, "bouncer", "pg_bouncer", "bouncer")
_bouncer = _family(record=BouncerSample)
_pool = _family("database", "user", record=BouncerPool)
_clients = _family("database", "user", "application", record=ClientGroup)
_database = _family("database", record=BouncerDatabase)
_user = _family("user", record=BouncerUser)

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
BOUNCER_CLIENTS = _clients(
    "gauge", "clients",
    "Clients of a pool, by application and state: an active one has a server connection. The "
    "application is `unknown`, and idle clients are active ones, where clients are not read.",
    "state", field="counts", values=BOUNCER_CLIENT_STATES,
)  # fmt: skip
BOUNCER_CLIENT_OLDEST_WAITING = _clients(
    "gauge", "client_oldest_waiting_seconds",
    "Age of the oldest waiting request of a client of the application.",
    field="oldest_waiting",
)  # fmt: skip
BOUNCER_CLIENT_OLDEST_ACTIVE = _clients(
    "gauge", "client_oldest_active_seconds",
    "Age of the last request of a client that has a server connection, in whole seconds: it runs, "
    "or the client keeps the connection and does nothing.",
    field="oldest_active",
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
BOUNCER_TRANSACTION_TIME = _database(
    "counter", "transaction_seconds_total",
    "Total time of transactions, the wait for a connection included.",
    field="transaction_time",
)  # fmt: skip
BOUNCER_QUERY_TIME = _database(
    "counter", "query_seconds_total",
    "Total time of queries, the wait for a connection included.",
    field="query_time",
)  # fmt: skip
BOUNCER_WAIT = _database(
    "counter", "wait_seconds_total",
    "Total time that clients spent waiting for a connection.",
    field="wait",
)  # fmt: skip
BOUNCER_RECEIVED = _database(
    "counter", "received_bytes_total", "Bytes received from clients.", field="received"
)
BOUNCER_SENT = _database("counter", "sent_bytes_total", "Bytes sent to clients.", field="sent")
BOUNCER_ASSIGNMENTS = _database(
    "counter", "server_assignments_total",
    "How often a client was given a server connection.",
    field="assignments",
)  # fmt: skip
BOUNCER_LOGINS = _database(
    "counter", "client_logins_total", "Successful logins of clients.", field="logins"
)
BOUNCER_CLIENT_PARSES = _database(
    "counter", "client_parses_total",
    "Prepared statements made by clients, where the bouncer tracks them.",
    field="client_parses",
)  # fmt: skip
BOUNCER_SERVER_PARSES = _database(
    "counter", "server_parses_total",
    "Prepared statements that the bouncer made on server connections.",
    field="server_parses",
)  # fmt: skip
BOUNCER_BINDS = _database(
    "counter", "binds_total",
    "Prepared statements that clients had executed, where the bouncer tracks them.",
    field="binds",
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
BOUNCER_DATABASE_CLIENTS = _database(
    "gauge", "database_client_connections", "Connected clients of the database.", field="clients"
)
BOUNCER_DATABASE_MAX_CLIENTS = _database(
    "gauge", "database_max_client_connections",
    "Maximum clients of the database; absent when unlimited.",
    field="max_clients",
)  # fmt: skip
BOUNCER_DATABASE_PAUSED = _database(
    "gauge", "database_paused",
    "1 if the database is paused: its clients wait until somebody resumes it.",
    field="paused",
)  # fmt: skip
BOUNCER_DATABASE_DISABLED = _database(
    "gauge", "database_disabled",
    "1 if the database is disabled: new clients are refused.",
    field="disabled",
)  # fmt: skip
BOUNCER_USER_CONNECTIONS = _user(
    "gauge", "user_connections", "Server connections of a user.", field="connections"
)
BOUNCER_USER_MAX = _user(
    "gauge", "user_max_connections",
    "Maximum server connections of a user; absent when unlimited.",
    field="max_connections",
)  # fmt: skip
BOUNCER_USER_CLIENTS = _user(
    "gauge", "user_client_connections", "Connected clients of a user.", field="clients"
)
BOUNCER_USER_MAX_CLIENTS = _user(
    "gauge", "user_max_client_connections",
    "Maximum clients of a user; absent when unlimited.",
    field="max_clients",
)  # fmt: skip
BOUNCER_PAUSED = _bouncer(
    "gauge", "paused",
    "1 if all of the bouncer is paused or suspended: clients wait until somebody resumes it.",
    field="paused",
)  # fmt: skip
BOUNCER_MAX_CLIENTS = _bouncer(
    "gauge", "max_client_connections",
    "Maximum clients that the bouncer accepts.",
    field="max_clients",
)  # fmt: skip
BOUNCER_CLIENT_CONNECTIONS = _bouncer(
    "gauge", "client_connections", "Connected clients of all pools.", field="clients"
)
