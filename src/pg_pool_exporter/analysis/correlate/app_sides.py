"""Both sides of one application on one server: what is remembered of them, and what they tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.pools_seen import PoolSeen
from pg_pool_exporter.analysis.correlate.sessions import AppSessions, ServerSessions
from pg_pool_exporter.analysis.evidence import bounds
from pg_pool_exporter.analysis.evidence.addresses import NOTHING_HELD, Addresses
from pg_pool_exporter.analysis.evidence.bounds import PoolReading, ServerReading
from pg_pool_exporter.analysis.evidence.readings import Readings
from pg_pool_exporter.config import DEFAULT_LEAK_AFTER
from pg_pool_exporter.model import is_local

LEAST_READINGS = 3
"""One reading proves nothing: every checkout is silent for a moment."""

# Pools that are read so much more seldom than their server are judged by its last polls.
_MOST_POLLS = 8


class ServerPoll(NamedTuple):
    """A poll of a server. Times are seconds on the exporter's clock."""

    begun: float
    taken: float
    ahead: tuple[float, float]
    """Bounds of the server's clock less the exporter's."""
    sessions: ServerSessions
    is_here: bool
    """Whether the server is on the exporter's machine: then both mean the same by 127.0.0.1."""
    most_gap: float
    """After a longer break, in seconds, what was before is forgotten."""


class Told(NamedTuple):
    """What both sides tell. None: can't be told soundly now."""

    unreturned: float | None = None
    held_at: Mapping[str, float] = {}
    """Of `unreturned` those whose sessions come from an address; empty where nobody knows."""
    suspects: float | None = None
    missing: float | None = None


class _Polled(NamedTuple):
    taken: float
    sessions: AppSessions


class AppSides:
    """An application, as far as its pools lead to one server."""

    def __init__(self) -> None:
        self._polls: deque[_Polled] = deque(maxlen=_MOST_POLLS)
        self._readings: Readings[ServerReading] = Readings()
        self._addresses = Addresses()
        self._by_address: Mapping[str, AppSessions] = {}  # at the last poll
        self._had_sessions = False

    @property
    def sessions(self) -> AppSessions:
        """At the last poll."""
        return self._polls[-1].sessions

    @property
    def lately(self) -> tuple[AppSessions, ...]:
        """At the last poll that was over before the pools were read, and since; the latest last.

        What a pool tells may be explained by what its sessions did then, and don't do any more.
        """
        return tuple(one.sessions for one in self._polls)

    def add(self, poll: ServerPoll, pools: Collection[PoolSeen]) -> None:
        """Take in a poll of the server; `pools` are all of the application that lead there."""
        self._polls.append(_Polled(poll.taken, poll.sessions.of(pools)))
        read = min((pool.begun for pool in pools), default=poll.begun)
        while len(self._polls) > 2 and self._polls[1].taken <= read:
            self._polls.popleft()
        self._had_sessions |= self.sessions.sessions > 0
        keep = longest_threshold(pools)
        last = _last(pools, poll.taken - keep)
        self._readings.add(
            poll.begun,
            poll.taken,
            ServerReading(
                self.sessions.sessions,
                sum(one.out for one in last) - self.sessions.busy,
                poll.ahead[0],
            ),
            keep=keep,
            most_gap=poll.most_gap,
        )
        pages = {one.address for one in last if one.address is not None}
        if not poll.is_here and any(map(is_local, pages)):
            pages.clear()
        self._by_address = poll.sessions.by_address(pools) if len(pages) > 1 else {}
        self._addresses.add(
            poll.begun,
            poll.taken,
            pages,
            self._by_address,
            keep=keep,
            most_gap=poll.most_gap,
        )

    def told(self, poll: ServerPoll, pools: Collection[PoolSeen], others: float) -> Told:
        """What was true at each reading up to this poll, which has been added.

        `others` is the most sessions that other applications' pools have under the same name.
        """
        leak_after = longest_threshold(pools)
        start = poll.taken - leak_after
        last = _last(pools, start)
        seen = self._readings.within(start, poll.taken)
        if (
            len(last) < len(pools)
            or self.sessions.hidden
            or seen is None
            or seen.number < LEAST_READINGS
        ):
            return Told()
        # Ages are too long by what the server's clock may have gained meanwhile.
        age = leak_after + poll.ahead[1] - seen.reading.ahead
        old = self.sessions.count("idle", longer_than=age)
        # Else its sessions have another name there, or it leads elsewhere.
        are_known = seen.reading.sessions > 0 or not any(one.most for one in last)
        suspects = bounds.suspects(old, seen.reading.unaccounted) if are_known else None
        full, partial = _split(pools, start, poll.begun)
        if not full or not seen.whole:
            return Told(suspects=suspects)
        read = bounds.Pools(full, partial, others)
        missing = bounds.missing(read, seen.reading.sessions) if self._had_sessions else None
        if not are_known:
            return Told(suspects=suspects, missing=missing)
        together = bounds.unreturned(read, old, seen.reading.sessions)
        old_at = {
            address: sessions.count("idle", longer_than=age)
            for address, sessions in self._by_address.items()
        }
        held = self._addresses.unreturned(read, old_at, start, poll.taken)
        if held.total < together:
            held = NOTHING_HELD._replace(total=together)
        return Told(held.total, held.by_address, suspects, missing)


def longest_threshold(pools: Iterable[PoolSeen]) -> float:
    """The leak threshold that holds for several pools' sessions, which can't be told apart."""
    return max((pool.leak_after for pool in pools), default=DEFAULT_LEAK_AFTER)


def _last(pools: Iterable[PoolSeen], since: float) -> list[PoolReading]:
    """The last reading of each pool that has been read since."""
    return [one for pool in pools if (one := pool.readings.last(since)) is not None]


def _split(
    pools: Iterable[PoolSeen], start: float, end: float
) -> tuple[tuple[PoolReading, ...], tuple[PoolReading, ...]]:
    """What was read of the pools: of those read from start to end, and of the others."""
    full, partial = [], []
    for pool in pools:
        window = pool.readings.within(start, end)
        if window is not None and window.whole and window.number >= LEAST_READINGS:
            full.append(window.reading)
        elif (last := pool.readings.last()) is not None:
            partial.append(last)
    return tuple(full), tuple(partial)
