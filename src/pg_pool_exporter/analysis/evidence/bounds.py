"""How many connections must be held in silence: the arithmetic of both sides, and nothing else.

Of an application's sessions on a server, let `old` be those that the server reports idle for longer
than the leak threshold. Each did nothing during the whole of that time, so at each reading of the
pools in it, each was either in a pool or checked out. Hence two lower bounds of how many were
checked out:

- At most as many as a pool had in it were in it: at least `old` less those are checked out. This
  takes every old session for one of the pools' own. A stranger's under the same name makes it too
  high.
- At most as many checkouts as there are sessions that are not old can be busy: at least the
  checkouts less these are silent. A stranger's session makes this lower or leaves it as it is. It
  takes every checkout for a session on the server. A checkout that has none (not connected yet, or
  closed since) makes it too high.

The smaller of the two is too high only where there are both, strangers that were idle for that long
and checkouts without a session at each reading, and then by no more than the fewer of them. For the
second bound is the first one less (sessions - connections that the pools count), which is how many
more strangers there are than checkouts without a session.

Processes are read at different times. Each bound is a sum over the processes, so each takes the
largest and the smallest of its own readings. A process that has not been read for so long may have
had anything checked out before: it counts as if all its connections were in its pool.
"""

from __future__ import annotations

from typing import NamedTuple


class PoolReading(NamedTuple):
    """One process's pool, at one reading or at each of several."""

    pooled: float
    """At most so many in the pool, or checked out and declared long-lived."""
    out: float
    """At least so many checked out, neither lost by dropping nor declared long-lived.

    A dropped connection has no session any more: it would only hide how many there are."""
    fewest: float
    """At least so many connections that the pool counts."""
    most: float
    """At most so many that can have a session."""
    address: str | None = None
    """Where it was read; None where that is not known, or was not always the same."""

    def widened(self, other: PoolReading) -> PoolReading:
        """What holds for both."""
        return PoolReading(
            max(self.pooled, other.pooled),
            min(self.out, other.out),
            min(self.fewest, other.fewest),
            max(self.most, other.most),
            self.address if self.address == other.address else None,
        )


class ServerReading(NamedTuple):
    """An application's sessions on a server, at one reading or at each of several."""

    sessions: int
    """At most so many."""
    unaccounted: float
    """At least so many checkouts more than sessions that were not idle."""
    ahead: float
    """At least so many seconds is the server's clock ahead of ours; negative: behind."""

    def widened(self, other: ServerReading) -> ServerReading:
        """What holds for both."""
        return ServerReading(
            max(self.sessions, other.sessions),
            min(self.unaccounted, other.unaccounted),
            min(self.ahead, other.ahead),
        )


class Pools(NamedTuple):
    """All pools that may have the sessions in question."""

    full: tuple[PoolReading, ...]
    """The application's that were read all the time; what holds for each of their readings."""
    partial: tuple[PoolReading, ...] = ()
    """The application's that were read only lately."""
    others: float = 0.0
    """The most sessions that other applications' pools have under the same name."""

    @property
    def pooled(self) -> float:
        """At most so many old sessions can have been in a pool."""
        full = sum(pool.pooled for pool in self.full)
        return full + sum(pool.most for pool in self.partial) + self.others


def pool_reading(
    idle: float,
    active: float,
    *,
    leaked: float = 0,
    long_lived: float = 0,
    address: str | None = None,
) -> PoolReading:
    """What one reading of a pool says."""
    return PoolReading(
        pooled=idle + long_lived,
        out=active - leaked - long_lived,
        fewest=idle + active,
        most=idle + active - leaked,
        address=address,
    )


def beyond_pools(pools: Pools, old: int) -> float:
    """At least so many old sessions were in no pool, if all of them belong to the pools."""
    return old - pools.pooled


def beyond_busy(pools: Pools, old: int, sessions: int) -> float:
    """At least so many checkouts were silent, if each has a session.

    `sessions` is the most that the application had at any reading of the server: one that has been
    closed meanwhile may have been a busy checkout.
    """
    return sum(pool.out for pool in pools.full) - (sessions - old)


def unreturned(pools: Pools, old: int, sessions: int) -> float:
    """At least so many were checked out and silent at each reading."""
    return max(0.0, min(beyond_pools(pools, old), beyond_busy(pools, old, sessions)))


def suspects(old: int, unaccounted: float) -> float:
    """So many may be held in silence: old sessions, and checkouts beyond the busy sessions."""
    return max(0.0, min(old, unaccounted))


def missing(pools: Pools, sessions: int) -> float:
    """At least so many connections are counted by the pools and unknown to the server."""
    return max(0.0, sum(pool.fewest for pool in pools.full) - sessions)
