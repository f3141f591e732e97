"""The readings of one application's pools and sessions on one server, and their proof of leaks."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.long_checkouts import WorkReadings
from pg_pool_exporter.analysis.correlate.pools import KnownPool
from pg_pool_exporter.analysis.correlate.sessions import SILENT, AppSessions, ServerSessions
from pg_pool_exporter.analysis.evidence import bounds
from pg_pool_exporter.analysis.evidence.addresses import AddressReadings, UnreturnedByAddress
from pg_pool_exporter.analysis.evidence.bounds import PoolReading, ServerReading
from pg_pool_exporter.analysis.evidence.lasting import LastingEvidence, RecentEvidence
from pg_pool_exporter.analysis.evidence.readings import Readings
from pg_pool_exporter.config import DEFAULT_LEAK_AFTER
from pg_pool_exporter.model import ClockAhead, LeakEvidence, is_local

MIN_READINGS = 3
"""One reading proves nothing: every checkout is silent for a moment."""

# Kept polls of the server, for pools that are read less often than their server.
_MAX_POLLS = 8


class ServerPoll(NamedTuple):
    """A poll of a server, or of bouncers, whose clients are sessions here.

    Times are seconds on the exporter's clock."""

    begun: float
    taken: float
    clock_ahead: ClockAhead
    sessions: ServerSessions
    is_here: bool
    """Whether the server is on the exporter's machine: then 127.0.0.1 means the same to both."""
    max_gap: float
    """A longer break, in seconds, makes earlier readings void."""
    of_unknown_work: ServerSessions = ServerSessions({})
    """Those of the sessions of which it is unknown since when they work."""
    are_clients: bool = False
    """Whether they are clients of bouncers: others may share the pools' connections."""


class _Poll(NamedTuple):
    taken: float
    sessions: AppSessions


class AppReadings:
    """An application whose pools lead to one server: its last readings, in bounded memory."""

    def __init__(self) -> None:
        self._polls: deque[_Poll] = deque(maxlen=_MAX_POLLS)
        self._readings = Readings(ServerReading)
        self._addresses = AddressReadings()
        self._work = WorkReadings()
        self._by_address: Mapping[str, AppSessions] = {}  # at the last poll
        self._had_sessions = False
        self._lasting = LastingEvidence()

    @property
    def sessions(self) -> AppSessions:
        """At the last poll."""
        return self._polls[-1].sessions

    @property
    def recent_polls(self) -> tuple[AppSessions, ...]:
        """The sessions at the last poll before the pools were read, and since; the latest last.

        A checkout may be explained by what its session did then and does no more.
        """
        return tuple(one.sessions for one in self._polls)

    def add(self, poll: ServerPoll, pools: Collection[KnownPool]) -> None:
        """Take in a poll of the server; `pools` are all of the application that lead there."""
        self._polls.append(_Poll(poll.taken, poll.sessions.of(pools)))
        read = min((pool.state.begun for pool in pools), default=poll.begun)
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
                sum(one.checked_out_min for one in last) - self.sessions.running,
                poll.clock_ahead.least,
            ),
            keep=keep,
            max_gap=poll.max_gap,
        )
        if poll.of_unknown_work.of(pools).sessions:
            self._work = WorkReadings()
        else:
            self._work.add(
                poll.begun, poll.taken, self.sessions, leak_after=keep, max_gap=poll.max_gap
            )
        pages = {one.address for one in last if one.address is not None}
        if not poll.is_here and any(map(is_local, pages)):
            pages.clear()
        self._by_address = poll.sessions.by_address(pools) if len(pages) > 1 else {}
        counts = {address: one.sessions for address, one in self._by_address.items()}
        self._addresses.add(poll.begun, poll.taken, pages, counts, keep=keep, max_gap=poll.max_gap)

    def evidence(
        self, poll: ServerPoll, pools: Collection[KnownPool], others: float
    ) -> LeakEvidence:
        """The evidence up to this poll, which has been added.

        `others` is the most sessions that other applications' pools have under the same name.
        """
        proof = self._proof(poll, pools, others)
        # No session matched: `application_name` differs, or the pools use another server.
        if self.sessions.hidden or not self.sessions.sessions or proof.is_partial:
            return proof
        leak_after = longest_threshold(pools)
        found = self._work.unexplained(poll.taken, pools, self.sessions, leak_after)
        silent = self.sessions.count(*SILENT, longer_than=leak_after)
        return replace(
            proof,
            unexplained=min(sum(found.values()), silent) if found else None,
            unexplained_in=found,
        )

    def lasting(
        self, now: float, pools: Iterable[KnownPool], evidence: LeakEvidence
    ) -> RecentEvidence:
        """The evidence at `now`, without its swings."""
        leak_after = longest_threshold(pools)
        checked_out = {
            pool.sample.key: last.checked_out_min
            for pool in pools
            if (last := pool.readings.last(now - leak_after)) is not None
        }
        silent = self.sessions.count(*SILENT, longer_than=leak_after)
        return self._lasting.add(now, evidence, checked_out, silent, leak_after)

    def _proof(self, poll: ServerPoll, pools: Collection[KnownPool], others: float) -> LeakEvidence:
        """The bounds of each reading during the threshold."""
        leak_after = longest_threshold(pools)
        start = poll.taken - leak_after
        last = _last(pools, start)
        seen = self._readings.within(start, poll.taken)
        if (
            len(last) < len(pools)
            or self.sessions.hidden
            or seen is None
            or seen.number < MIN_READINGS
        ):
            return LeakEvidence()
        # Ages are too long by what the server's clock may have gained meanwhile.
        age = leak_after + poll.clock_ahead.most - seen.reading.clock_ahead_min
        old = self.sessions.count(*SILENT, longer_than=age)
        # No session matched: `application_name` differs, or the pools use another server.
        are_known = seen.reading.sessions_max > 0 or not any(one.connections_max for one in last)
        suspected = bounds.suspected(old, seen.reading.surplus_min) if are_known else None
        full, partial = _split(pools, start, poll.begun)
        if not full or not seen.whole:
            return LeakEvidence(suspected=suspected)
        read = bounds.Pools(full, partial, others)
        sessions = seen.reading.sessions_max
        missing = bounds.missing(read, sessions) if self._had_sessions else None
        if poll.are_clients:
            dropped = sum(sum(pool.sample.leaked_slots.values()) for pool in pools)
            if (missing or 0.0) > dropped:
                return LeakEvidence(is_partial=True)
            missing = None
        if not are_known:
            return LeakEvidence(suspected=suspected, missing=missing)
        together = bounds.unreturned(read, old, sessions)
        old_at = {
            address: each.count(*SILENT, longer_than=age)
            for address, each in self._by_address.items()
        }
        proven = self._addresses.unreturned(read, old_at, start, poll.taken)
        if proven.total < together:
            proven = UnreturnedByAddress(together)
        return LeakEvidence(proven.total, proven.by_address, suspected, missing)


def longest_threshold(pools: Iterable[KnownPool]) -> float:
    """The leak threshold of several pools that share their sessions."""
    return max((pool.leak_after for pool in pools), default=DEFAULT_LEAK_AFTER)


def _last(pools: Iterable[KnownPool], since: float) -> list[PoolReading]:
    """The last reading of each pool that has been read since."""
    return [one for pool in pools if (one := pool.readings.last(since)) is not None]


def _split(
    pools: Iterable[KnownPool], start: float, end: float
) -> tuple[tuple[PoolReading, ...], tuple[PoolReading, ...]]:
    """The readings of the pools that were read from start to end, and the last of the others."""
    full, partial = [], []
    for pool in pools:
        window = pool.readings.within(start, end)
        if window is not None and window.whole and window.number >= MIN_READINGS:
            full.append(window.reading)
        elif (last := pool.readings.last()) is not None:
            partial.append(last)
    return tuple(full), tuple(partial)
