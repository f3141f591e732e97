"""Correlates the pools with the sessions that their servers see, state by state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import chain

from pg_pool_exporter.analysis.correlate.addresses import ServerAddress
from pg_pool_exporter.analysis.correlate.app_readings import AppReadings, ServerPoll
from pg_pool_exporter.analysis.correlate.pools import KnownPool, KnownPools
from pg_pool_exporter.analysis.correlate.sessions import AppSessions, ServerSessions, SharedNames
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import (
    AppOnServer,
    ClockAhead,
    Kind,
    LeakEvidence,
    ServerSample,
    TargetId,
    is_local,
)
from pg_pool_exporter.polling.store import Change, TargetState


@dataclass(slots=True)
class _Server:
    """What is remembered of one server since the last long break, and since its clock was set."""

    clock_ahead: ClockAhead
    """At the last poll."""
    taken: float
    apps: dict[str, AppReadings] = field(default_factory=lambda: defaultdict(AppReadings))
    evidence: Mapping[AppOnServer, LeakEvidence] = field(default_factory=dict)
    pools_max: float | None = None


class Correlation:
    """The evidence of both sides, kept up to date with the states of the targets.

    `apps` are the configured applications. Memory: of each pool its readings during its leak
    threshold as at most some twenty parts, and as much of each application on each server.
    Time: a target's state costs time for its own pools; a server's for those that lead to it.
    """

    def __init__(self, apps: Iterable[AppConfig] = ()) -> None:
        self.pools = KnownPools(apps)
        self.states: dict[TargetId, TargetState] = {}
        """The pools followed so far, in the order of their targets."""
        self._servers: dict[str, _Server] = {}

    def configure(self, apps: Iterable[AppConfig]) -> None:
        """Go on with these applications configured."""
        self.pools.configure(apps, self.pools.addresses)

    def evidence(self, now: float) -> dict[AppOnServer, LeakEvidence]:
        """Of each application whose processes were all read, on each server known at `now`."""
        return dict(chain(*(one.evidence.items() for _, one in self._known(now))))

    def pools_max(self, now: float) -> dict[str, float]:
        """By server, the most connections that the pools that lead there may have together."""
        return {name: one.pools_max for name, one in self._known(now) if one.pools_max is not None}

    def last_pools_max(self, server: str) -> float | None:
        """The same of one server at its last poll, however long ago; None when unknown."""
        return self._servers[server].pools_max if server in self._servers else None

    def _known(self, now: float) -> Iterator[tuple[str, _Server]]:
        for name, server in self._servers.items():
            state = self.states.get(TargetId("server", name))
            if state is not None and state.fresh(now) is not None:
                yield name, server

    def recent_polls(self, app: str, server: str, now: float) -> tuple[AppSessions, ...]:
        """An application's sessions at the server's last polls (see `AppReadings.recent_polls`);
        none when the last is too old.
        """
        state = self.states.get(TargetId("server", server))
        if state is None or state.fresh(now) is None or server not in self._servers:
            return ()
        readings = self._servers[server].apps.get(app)
        return readings.recent_polls if readings is not None else ()

    def follow(self, change: Change) -> None:
        """Take in a change, in the order in which the store made them."""
        key, state = change
        if state is None:
            self.states.pop(key, None)
        else:
            self.states[key] = state
        self.pools.follow(key, state)
        if key.kind == "server":
            self._follow_server(key.name, state)

    def _follow_server(self, name: str, state: TargetState | None) -> None:
        server = self._servers.get(name)
        if state is None:
            self._relink(name, None)
            self._servers.pop(name, None)
        elif state.snapshot is None or state.snapshot.server is None:
            self._servers.pop(name, None)
        elif server is None or state.taken > server.taken:
            self._relink(name, ServerAddress.of(name, state.snapshot.server))
            self._correlate(name, self._remember(name, state, state.snapshot.server), state)

    def _relink(self, name: str, address: ServerAddress | None) -> None:
        """The server `name` is at `address` now, or gone: pools may lead to it."""
        if self.pools.addresses.get(name) != address:
            self.pools.configure(self.pools.apps, self.pools.addresses.replaced(name, address))

    def _remember(self, name: str, state: TargetState, sample: ServerSample) -> _Server:
        clock = sample.clock if sample.clock is not None else state.taken
        ahead = ClockAhead.of(clock, state.begun, state.taken)
        server = self._servers.get(name)
        if (
            server is None
            or state.begun - server.taken > state.max_gap
            or ahead.was_set_since(server.clock_ahead)
        ):
            server = self._servers[name] = _Server(ahead, state.taken)
        server.clock_ahead, server.taken = ahead, state.taken
        return server

    def _correlate(self, name: str, server: _Server, state: TargetState) -> None:
        assert state.snapshot is not None
        sample = state.snapshot.server
        assert sample is not None
        apps = self.pools.on(name)
        for gone in server.apps.keys() - apps.keys():
            del server.apps[gone]
        poll = ServerPoll(
            state.begun, state.taken, server.clock_ahead, ServerSessions(sample.sessions),
            is_here=is_local(sample.address or sample.host), max_gap=state.max_gap,
        )  # fmt: skip
        shared = SharedNames(apps)
        unread = {
            (one.key.kind, one.key.app) for one in self.states.values() if one.snapshot is None
        }
        evidence = {}
        for app, its in apps.items():
            readings = server.apps[app]
            readings.add(poll, its.values())
            if self._all_are_read(app, unread, state.taken):
                others = shared.of_others(app, its.values())
                evidence[AppOnServer(name, app)] = readings.evidence(poll, its.values(), others)
        server.evidence = evidence
        server.pools_max = _pools_max(
            chain(*(pools.values() for pools in apps.values())), state.taken
        )

    def _all_are_read(self, app: str, unread: Set[tuple[Kind, str]], now: float) -> bool:
        """Whether each known process of the application has been read recently.

        `unread` are the applications of the targets that were never read. A process whose socket
        has the same name as one with a pool of the application may have such a pool, too.
        """
        states = set(self.pools.states_of(app))
        namesakes = {("process", state.key.app) for state in states if state.key.kind == "process"}
        return unread.isdisjoint({("app", app), *namesakes}) and all(
            state.fresh(now) is not None for state in states
        )


def _pools_max(pools: Iterable[KnownPool], now: float) -> float | None:
    """The sum of the maxima of pools; None when none is known."""
    maxima = [pool.sample.max for pool in pools if pool.sample.max is not None
              and pool.state.fresh(now) is not None]  # fmt: skip
    return sum(maxima) if maxima else None
