"""Both sides together.

Absent, not 0, while any known process of the application could not be read.
"""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family
from pg_pool_exporter.model import LeakEvidence

_joined = family("joined", "pg_pool", "server", "app", "bouncer", record=LeakEvidence)

UNRETURNED = _joined(
    "gauge", "unreturned_connections",
    "Lower bound of connections that were checked out, with sessions idle or idle in transaction, "
    "at every reading during the leak threshold.",
    field="unreturned",
)  # fmt: skip
UNRETURNED_SUSPECTED = _joined(
    "gauge", "unreturned_connections_suspected",
    "Connections that may be checked out with sessions that do nothing: an early hint, no proof.",
    field="suspected",
)  # fmt: skip
UNEXPLAINED = _joined(
    "gauge", "unexplained_connections",
    "Connections estimated to be checked out, silent and not coming back, by Little's law; absent "
    "where the page shows no checkout times, or reports overdue checkouts itself.",
    field="unexplained",
)  # fmt: skip
MISSING_SESSIONS = _joined(
    "gauge", "missing_sessions",
    "Connections of pools without a session on the server, at every reading during the leak "
    "threshold.",
    field="missing",
)  # fmt: skip

TIME_TO_SATURATION = family("joined", "pg_pool", "app", "pool", "process")(
    "gauge", "time_to_saturation_seconds",
    "Time until all connections are checked out at the pace at which the pool fills, at most an "
    "hour; 0 while they are, absent where the pool does not fill.",
)  # fmt: skip
_FOUND = ("app", "pool", "server")
_sized = family("joined", "pg_pool", *_FOUND)
NEEDED_MAX = _sized(
    "gauge", "needed_max_connections",
    "Maximum of each process's pool at which a connection would have been free for this share of "
    "the busiest hour of the last day; absent until ten minutes were measured.",
    "share", values=("0.99", "0.999"),
)  # fmt: skip
RECOMMENDED_MAX = _sized(
    "gauge", "recommended_max_connections",
    "Recommended maximum of each process's pool: what 99.9 % of the busiest hour needs, bounded by "
    "what the server and the bouncer have left; the present maximum where a larger one is the "
    "wrong answer.",
)  # fmt: skip
NEVER_NEEDED = _sized(
    "gauge", "never_needed_connections",
    "Connections of each process's pool that were never in demand in the last day.",
)  # fmt: skip
DEMAND_WATCHED = _sized(
    "gauge", "demand_watched_seconds",
    "Time since the exporter began to measure the demand for the pool, at most a day. It begins "
    "anew after a break of more than ten minutes.",
)  # fmt: skip
SERVER_RECOMMENDED = family("joined", "pg_server_pools", "server")(
    "gauge", "recommended_max_connections",
    "Recommended maxima of all processes' pools that lead to the server, added up; a pool without "
    "a recommendation counts with its maximum.",
)  # fmt: skip
FINDING = family(
    "joined", "pg_pool", "cause", "severity", *_FOUND, "database", "user", "bouncer", "target"
)(
    "gauge", "finding",
    "Something is wrong now: the number of connections, requests or sessions that it is about; 1 "
    "for one thing, such as a target that is down. At most 500 series, the worst first.",
)  # fmt: skip
FINDING_SITE_CONNECTIONS = family("joined", "pg_pool_finding", "cause", *_FOUND, "site")(
    "gauge", "site_connections",
    "Connections for which a finding blames a line of code; absent where it is unknown which lines "
    "are to blame.",
)  # fmt: skip
