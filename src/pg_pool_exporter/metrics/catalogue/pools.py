"""Pools: what an application sees."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import OTHER, family
from pg_pool_exporter.model import PoolSample

# Bounds of the histograms, in seconds where nothing else is said. They are part of the contract:
# changing one breaks every recording rule and every stored series.
ACQUIRE_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
HOLD_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 600.0,
)  # fmt: skip
# In connections.
DEMAND_BOUNDS = (
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0,
    150.0, 200.0,
)  # fmt: skip

# All values of the label. Every library shows the first two; few have a hook for the others.
POOL_TIMEOUT_KINDS = (
    "pool", "connect", "statement", "lock", "idle_in_transaction", "idle_session", "transaction",
)  # fmt: skip

_pool = family("pool", "pg_pool", "app", "pool", "process", record=PoolSample)

POOL_CONNECTIONS = _pool(
    "gauge", "connections",
    "Connections of the pool by state: idle, or active (checked out by the application, slots lost "
    "to leaks included).",
    "state", field=("idle", "active"),
)  # fmt: skip
POOL_MAX = _pool(
    "gauge", "max_connections", "Maximum size of the pool; absent when unlimited.", field="max"
)
POOL_MIN = _pool(
    "gauge", "min_connections", "Minimum size that the pool tries to keep.", field="min"
)
POOL_WAITING = _pool(
    "gauge", "waiting_requests",
    "Requests waiting for a connection now; requests that gave up are not counted.",
    field="waiting",
)  # fmt: skip
POOL_OLDEST_IDLE = _pool(
    "gauge", "oldest_idle_seconds",
    "Age of the longest idle period of a connection in the pool.",
    field="oldest_idle",
)  # fmt: skip
POOL_OLDEST_ACTIVE = _pool(
    "gauge", "oldest_active_seconds", "Age of the oldest checkout.", field="oldest_active"
)
POOL_OLDEST_WAITING = _pool(
    "gauge", "oldest_waiting_seconds", "Age of the oldest waiting request.", field="oldest_waiting"
)
POOL_ACTIVE_SECONDS = _pool(
    "counter", "active_connection_seconds_total",
    "Active connections integrated over time; the rate is the mean number of active connections.",
    field="active_seconds",
)  # fmt: skip
POOL_SATURATED_SECONDS = _pool(
    "counter", "saturated_seconds_total",
    "Time during which all connections were checked out, or lost inside the library.",
    field="saturated_seconds",
)  # fmt: skip
POOL_REQUESTS = _pool("counter", "requests_total", "Requests for a connection.", field="requests")
POOL_QUEUED = _pool(
    "counter", "queued_requests_total", "Requests that had to wait.", field="queued"
)
POOL_REJECTED = _pool(
    "counter", "rejected_requests_total",
    "Requests rejected because the queue was full.",
    field="rejected",
)  # fmt: skip
POOL_TIMEOUTS = _pool(
    "counter", "timeouts_total",
    "Timeouts in the application: waiting for the pool, connecting to the server, and others that "
    "its library reports.",
    "kind", field="timeouts", values=(*POOL_TIMEOUT_KINDS, OTHER),
)  # fmt: skip
POOL_ACQUIRE = _pool(
    "histogram", "acquire_seconds",
    "Time from a request to its connection; failed requests are not included.",
    field="acquire", bounds=ACQUIRE_BOUNDS,
)  # fmt: skip
POOL_HOLD = _pool(
    "histogram", "hold_seconds", "Time from checkout to return.", field="hold", bounds=HOLD_BOUNDS
)
POOL_DEMAND = _pool(
    "histogram", "demand_connections",
    "Time by demand: whole seconds during which connections checked out and requests waiting "
    "together were at most the bound. count is the time measured, sum the demand integrated over "
    "it.",
    field="demand", bounds=DEMAND_BOUNDS,
)  # fmt: skip
POOL_ACQUIRE_WAIT = _pool(
    "counter", "acquire_wait_seconds_total",
    "Total time spent waiting for connections.",
    field="acquire_wait",
)  # fmt: skip
POOL_ACQUIRED = _pool("counter", "acquired_total", "Connections checked out.", field="acquired")
POOL_HELD = _pool(
    "counter", "held_seconds_total",
    "Total time for which returned connections were checked out.",
    field="held",
)  # fmt: skip
POOL_RETURNED = _pool("counter", "returned_total", "Connections returned.", field="returned")
POOL_CONNECTS = _pool(
    "counter", "connects_total",
    "Sessions that the pool has opened since it was instrumented.",
    field="connects",
)  # fmt: skip
POOL_CONNECT_ERRORS = _pool(
    "counter", "connect_errors_total", "Failed attempts to open a session.", field="connect_errors"
)
POOL_LOST = _pool(
    "counter", "lost_connections_total", "Sessions that the pool found dead.", field="lost"
)
POOL_LEAKED = _pool(
    "counter", "leaked_connections_total",
    "Connections dropped without being returned; each has lost its slot forever.",
    field="leaked",
)  # fmt: skip
POOL_LEAKED_SLOTS = _pool(
    "gauge", "leaked_slots",
    "Slots lost now, by the line of code that checked out the connection.",
    "site", field="leaked_slots",
)  # fmt: skip
POOL_UNACCOUNTED = _pool(
    "gauge", "unaccounted_connections",
    "Connections that the pool counts although they are neither idle, nor checked out, nor being "
    "made, for the leak threshold: slots lost inside the pool library.",
    field="unaccounted",
)  # fmt: skip
POOL_OVERDUE = _pool(
    "gauge", "overdue_connections",
    "Connections checked out for longer than the leak threshold, by the line of code that "
    "checked them out.",
    "site", field="overdue",
)  # fmt: skip
POOL_RECLAIMED = _pool(
    "counter", "reclaimed_connections_total",
    "Connections dropped without being returned, which the library got back from the garbage "
    "collector, by the line of code that checked them out.",
    "site", field="reclaimed",
)  # fmt: skip
POOL_LEAK_THRESHOLD = _pool(
    "gauge", "leak_threshold_seconds", "Age at which a checkout is overdue.", field="leak_after"
)
POOL_LONG_LIVED = _pool(
    "gauge", "long_lived_connections",
    "Active connections that the application declares long-lived; they are never overdue.",
    field="long_lived",
)  # fmt: skip
POOL_INSTANCES = _pool(
    "counter", "instances_total",
    "Pools that were made under this name, by the line of code that made or instrumented them.",
    "site", field="instances",
)  # fmt: skip
POOL_INFO = _pool(
    "gauge", "info",
    "1 for each pool; host and port, or server, name its server. framework is django, fastapi, "
    "flask or celery, the first of these that the process has imported. source is the format of "
    "the page, instrumented, or closed where only the totals of former pools go on. pid is on the "
    "process's own page only.",
    "client", "client_version", "framework", "source", "pid", "host", "port", "server", "database",
    "user", "application",
)  # fmt: skip
