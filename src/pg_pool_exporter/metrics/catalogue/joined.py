"""Both sides together: what neither sees alone.

Absent, not 0, while any known process of the application could not be read.
"""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family

_joined = family("joined", "pg_pool", "server", "app")

UNRETURNED = _joined(
    "gauge", "unreturned_connections",
    "Lower bound of the connections that were checked out at every reading during the leak "
    "threshold while the server saw them do nothing.",
)  # fmt: skip
UNRETURNED_SUSPECTS = _joined(
    "gauge", "unreturned_connections_suspected",
    "An early hint: so many connections may be held and idle; no proof.",
)  # fmt: skip
MISSING_SESSIONS = _joined(
    "gauge", "missing_sessions",
    "Connections that pools count and the server does not have, at every reading during the leak "
    "threshold.",
)  # fmt: skip
