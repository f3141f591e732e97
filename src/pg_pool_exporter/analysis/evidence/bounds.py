"""Lower bounds of the connections that are checked out and silent, from both sides.

Of an application's sessions on a server, let `old` be those that the server reports idle, or idle
in transaction, for longer than the leak threshold. Each did nothing during that time. So at each
reading of the pools in it, each was either idle in a pool or checked out. Hence two lower bounds of
the silent checkouts:

- The pools had at most their idle connections in them: at least `old` minus those are checked out.
  This takes every old session for one of the pools' own. A stranger's session under the same name
  makes it too high.
- At most as many checkouts as there are sessions that are not old can be busy: at least the
  checkouts minus these are silent. A stranger's session makes this lower, or leaves it as it is.
  It takes every checkout for a session on the server. A checkout without one (not connected yet, or
  closed since) makes it too high.

The smaller of the two is too high only where both exist: strangers that were idle for that long,
and checkouts without a session at each reading. Then it is too high by at most the fewer of them:
the second bound is the first one minus (sessions - connections that the pools count), which is the
number of strangers minus the number of checkouts without a session.

Processes are read at different times. Each bound is a sum over the processes, so each takes the
largest and the smallest of its own readings. A process that has not been read during the whole time
may have had anything checked out before: so all its connections count as idle in its pool.
"""

from __future__ import annotations

from typing import NamedTuple


class PoolReading(NamedTuple):
    """One process's pool: bounds that hold for one reading, or for several."""

    idle_max: float
    """Upper bound of those idle in the pool, or checked out and declared long-lived."""
    checked_out_min: float
    """Lower bound of those checked out, neither lost by dropping nor declared long-lived.

    A dropped connection has no session any more: it would only hide how many there are."""
    connections_min: float
    """Lower bound of the connections that the pool counts."""
    connections_max: float
    """Upper bound of those that can have a session."""
    address: str | None = None
    """Where it was read; None where that is unknown, or changed."""

    def union(self, other: PoolReading) -> PoolReading:
        """Bounds that hold for both."""
        return PoolReading(
            max(self.idle_max, other.idle_max),
            min(self.checked_out_min, other.checked_out_min),
            min(self.connections_min, other.connections_min),
            max(self.connections_max, other.connections_max),
            self.address if self.address == other.address else None,
        )


class ServerReading(NamedTuple):
    """An application's sessions on a server: bounds that hold for one reading, or for several."""

    sessions_max: int
    """Upper bound of the sessions."""
    surplus_min: float
    """Lower bound of the checkouts minus the sessions that ran something."""
    clock_ahead_min: float
    """Lower bound of the server's clock minus ours, in seconds."""

    def union(self, other: ServerReading) -> ServerReading:
        """Bounds that hold for both."""
        return ServerReading(
            max(self.sessions_max, other.sessions_max),
            min(self.surplus_min, other.surplus_min),
            min(self.clock_ahead_min, other.clock_ahead_min),
        )


class Pools(NamedTuple):
    """All pools that may have the sessions in question."""

    full: tuple[PoolReading, ...]
    """The application's that were read all the time: bounds that hold for each reading."""
    partial: tuple[PoolReading, ...] = ()
    """The application's that were read only recently."""
    others: float = 0.0
    """The most sessions that other applications' pools have under the same name."""

    @property
    def idle_max(self) -> float:
        """Upper bound of the old sessions that were idle in a pool."""
        full = sum(pool.idle_max for pool in self.full)
        return full + sum(pool.connections_max for pool in self.partial) + self.others


def pool_reading(
    idle: float,
    active: float,
    *,
    leaked: float = 0,
    long_lived: float = 0,
    address: str | None = None,
) -> PoolReading:
    """The bounds of one reading of a pool."""
    return PoolReading(
        idle_max=idle + long_lived,
        checked_out_min=active - leaked - long_lived,
        connections_min=idle + active,
        connections_max=idle + active - leaked,
        address=address,
    )


def beyond_pools(pools: Pools, old: int) -> float:
    """Lower bound of the old sessions in no pool, if all of them belong to the pools."""
    return old - pools.idle_max


def beyond_busy(pools: Pools, old: int, sessions: int) -> float:
    """Lower bound of the silent checkouts, if each has a session.

    `sessions` is the most that the application had at any reading of the server: one that has been
    closed since may have been a busy checkout.
    """
    return sum(pool.checked_out_min for pool in pools.full) - (sessions - old)


def unreturned(pools: Pools, old: int, sessions: int) -> float:
    """Lower bound of the connections that were checked out and silent at each reading."""
    return max(0.0, min(beyond_pools(pools, old), beyond_busy(pools, old, sessions)))


def suspected(old: int, surplus: float) -> float:
    """Old sessions, but at most the checkouts beyond the busy sessions: a hint, no bound."""
    return max(0.0, min(old, surplus))


def missing(pools: Pools, sessions: int) -> float:
    """Lower bound of the connections that the pools count and the server does not have."""
    return max(0.0, sum(pool.connections_min for pool in pools.full) - sessions)
