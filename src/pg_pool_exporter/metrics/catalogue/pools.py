"""Pools: what an application sees."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

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

_pool = family("pool", "pg_pool", "app", "pool", "process")

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
    "histogram", "acquire_seconds",
    "Time from asking for a connection to having it; requests that got none are not in it.",
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
POOL_LEAK_THRESHOLD = _pool(
    "gauge", "leak_threshold_seconds", "How long a checkout may last before it is overdue."
)
POOL_LONG_LIVED = _pool(
    "gauge", "long_lived_connections",
    "Connections checked out now that the application has declared long-lived: never overdue.",
)  # fmt: skip
POOL_INFO = _pool(
    "gauge", "info",
    "1 for each pool; joins it to its server by host and port, or by server.",
    "client", "client_version", "source", "pid", "host", "port", "server", "database", "user",
    "application",
)  # fmt: skip
