"""Facts about a server's sessions that are off by default: each has its price in series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from pg_pool_exporter.aggregate import summed
from pg_pool_exporter.config import FactsConfig
from pg_pool_exporter.metrics.catalogue import IDLE_BOUNDS, OTHER
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import ClientKey, Histogram, ServerFacts, SessionGroup
from pg_pool_exporter.sources.postgres.activity import state_name
from pg_pool_exporter.sources.queries.rows import SnapshotRow, WaitEventRow

LOCAL = "local"
"""The network of sessions over a unix socket."""
UNKNOWN = "unknown"
MOST_WAITS = 100
"""Most pairs of a state and a type of wait events; PostgreSQL has some twenty."""

# Columns of the activity without which they are unknown; without a process id our own are in them.
_NEEDED_FOR_WAITS = {"pid", "wait_event_type"}
_NEEDED_FOR_SNAPSHOTS = {"pid", "backend_type", "backend_xmin"}
_HOLDERS = {
    "client backend": "client",
    "walsender": "walsender",
    "autovacuum worker": "autovacuum",
    "replication slot": "replication_slot",
    "prepared transaction": "prepared_transaction",
}


class ServerFactsReader:
    """Reads what `config` switches on. At most `limit` names of each kind have series of their own
    at any time; the others come together under `other`.
    """

    def __init__(self, config: FactsConfig, limit: int) -> None:
        self._config = config
        self._networks = NameLimiter[str](limit)
        self._waits = NameLimiter[tuple[str, str]](MOST_WAITS)
        self._snapshots = NameLimiter[tuple[str, str]](limit)
        self.statements = (
            *(("wait_events",) if config.wait_events else ()),
            *(("snapshots",) if config.snapshots else ()),
        )
        """The statements of a poll for them."""

    def read(
        self,
        sessions: Mapping[ClientKey, SessionGroup],
        rows: Mapping[str, list[Any]],
        sees_all: bool,
        now: float,
        lacking: Collection[str] = (),
    ) -> ServerFacts:
        """The facts of one poll, taken at `now` (seconds on any clock that never goes back).

        `rows` are those of `statements`, unless the server lacks them, and `lacking` are columns of
        its activity. Ages, and whose snapshot is
        the oldest, are unknown while sessions are hidden from the exporter.
        """
        config = self._config
        ages = _idle_ages(sessions.values()) if config.idle_in_transaction else None
        has_networks = config.client_networks and "client_addr" not in lacking
        has_waits = "wait_events" in rows and _NEEDED_FOR_WAITS.isdisjoint(lacking)
        has_snapshots = (
            "snapshots" in rows and sees_all and _NEEDED_FOR_SNAPSHOTS.isdisjoint(lacking)
        )
        return ServerFacts(
            networks=self._by_network(sessions, now) if has_networks else None,
            waits=self._by_wait(rows["wait_events"], now) if has_waits else None,
            idle_in_transaction=ages,
            snapshots=self._by_holder(rows["snapshots"], now) if has_snapshots else None,
        )

    def _by_network(self, sessions: Mapping[ClientKey, SessionGroup], now: float) -> dict[str, int]:
        counts = summed(pair for each in sessions.items() for pair in self._networks_of(*each))
        shown = self._networks.choose(counts, now)
        return summed((name if name in shown else OTHER, one) for name, one in counts.items())

    def _networks_of(self, key: ClientKey, group: SessionGroup) -> Iterator[tuple[str, int]]:
        # The address of a session that may not be seen is hidden, too.
        hidden = 0 if key.address else group.hidden.get(UNKNOWN, 0)
        if group.sessions > hidden:
            yield self._network(key.address), group.sessions - hidden
        if hidden:
            yield UNKNOWN, hidden

    def _network(self, address: str) -> str:
        config = self._config
        return _network(address, config.ipv4_prefix, config.ipv6_prefix) if address else LOCAL

    def _by_wait(self, rows: Iterable[WaitEventRow], now: float) -> dict[tuple[str, str], int]:
        counts = summed((_wait_of(row), row.sessions) for row in rows)
        shown = self._waits.choose(counts, now)
        return summed((key if key in shown else (OTHER, OTHER), one) for key, one in counts.items())

    def _by_holder(self, rows: Iterable[SnapshotRow], now: float) -> dict[tuple[str, str], int]:
        ages: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (_HOLDERS.get(row.holder, OTHER), row.name)
            ages[key] = max(ages.get(key, 0), row.age)
        shown = self._snapshots.choose(ages, now)
        oldest: dict[tuple[str, str], int] = {}
        for key, age in ages.items():
            name = key if key in shown else (key[0], OTHER)
            oldest[name] = max(oldest.get(name, 0), age)
        return oldest


def _wait_of(row: WaitEventRow) -> tuple[str, str]:
    if row.hidden:
        return UNKNOWN, UNKNOWN
    return state_name(row.state), row.event_type or "none"


def _idle_ages(groups: Collection[SessionGroup]) -> Histogram | None:
    """How long sessions have been idle in their transactions, failed ones included.

    None while the state of any session is hidden.
    """
    if any(group.hidden for group in groups):
        return None
    counts = [0] * (len(IDLE_BOUNDS) + 1)
    total = 0.0
    for group in groups:
        for state in ("idle_in_transaction", "idle_in_transaction_aborted"):
            for age in group.ages.get(state, ()):
                counts[bisect_left(IDLE_BOUNDS, age)] += 1
                total += age
    return Histogram(tuple(counts), total)


@lru_cache(maxsize=10_000)
def _network(address: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = ipv4_prefix if found.version == 4 else ipv6_prefix
    return str(ip_network((found.packed, prefix), strict=False))
