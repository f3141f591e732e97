"""Differences between the admin consoles of PgBouncer and its relatives, as data.

Taken from their sources: `src/admin.c` of PgBouncer 1.12 to 1.25, `sources/console.c` of Odyssey,
`src/admin.rs` and `src/stats` of PgCat, `pgdog/src/admin` of PgDog. Columns that differ by
version need nothing here: rows are read by column names, and a missing column is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one product's console is read."""

    unreliable: Set[str] = frozenset()
    """Columns that are always 0, or mean something else than in PgBouncer."""
    idle_as_waiting: bool = False
    """Whether `cl_waiting` counts idle clients, where there is no column `cl_idle` for them."""
    names_databases: bool = True
    """Whether the names of SHOW DATABASES are those of SHOW POOLS."""
    clients: str | None = "used_clients"
    """The item of SHOW LISTS that counts all its clients; None where there is none."""
    lists_clients: bool = False
    """Whether SHOW CLIENTS and SHOW SERVERS are PgBouncer's: with links, ports and applications."""
    names_applications: bool = False
    """Whether SHOW CLIENTS has the application and the state of each client, and nothing else of
    use: no links, and no times."""
    sockets: tuple[str, ...] = ("used_clients", "used_servers")
    """Items of SHOW LISTS of which the largest says how many rows SHOW CLIENTS and SHOW SERVERS
    may have."""
    time_unit: float = 1e-6
    """Of counters of time (`total_wait_time` and others), in seconds."""
    repeats_user_sizes: bool = True
    """Whether SHOW USERS may show one user's size for others, too (PgBouncer 1.23 to 1.25)."""


_PGBOUNCER = Dialect(lists_clients=True)
# Its limit and its number of connections are those of clients. Its clients "wait" when they have no
# connection, whether they want one or not (`count_pending`), but in versions with `cl_idle`.
_ODYSSEY = Dialect(
    idle_as_waiting=True,
    unreliable={
        "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us", "total_wait_time",
        "reserve_pool", "max_connections", "current_connections", "paused", "disabled",
    },
)  # fmt: skip
# Free clients are idle ones there; those that wait are in neither list. Its databases are single
# servers of a pool.
_PGCAT = Dialect(
    names_databases=False, clients=None, unreliable={"sv_used", "cl_cancel_req"},
    names_applications=True, sockets=("free_clients", "used_clients", "used_servers"),
)  # fmt: skip
_BY_NAME = {
    "PgBouncer": _PGBOUNCER,
    "Odyssey": _ODYSSEY,
    "PgCat": _PGCAT,
    "PgDog": Dialect(clients=None, time_unit=1e-3, names_applications=True),
}
# Older versions consist of number, commit (if built from one) and kind of build, without a name.
_ODYSSEY_VERSION = re.compile(r"\d[\w.]*-\w*-\w+")
_WITHOUT_REPEATS = re.compile(r"PgBouncer (1\.(2[6-9]|[3-9]\d)|[2-9])\.")
# Their maxwait is the longest wait ever of a connected client, not of those that wait now.
_ALL_TIME_WAIT = re.compile(r"PgCat (0|1\.[01])\.")


def dialect(version: str) -> Dialect:
    """The dialect of the console whose SHOW VERSION is `version`; PgBouncer's if unknown."""
    if _ODYSSEY_VERSION.match(version):
        return _ODYSSEY
    if _ALL_TIME_WAIT.match(version):
        return replace(_PGCAT, unreliable=_PGCAT.unreliable | {"maxwait", "maxwait_us"})
    if _WITHOUT_REPEATS.match(version):
        return replace(_PGBOUNCER, repeats_user_sizes=False)
    return _BY_NAME.get(version.partition(" ")[0], _PGBOUNCER)
