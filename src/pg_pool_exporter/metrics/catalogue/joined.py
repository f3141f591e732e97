"""Both sides together: what neither sees alone.

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
