"""Correlates the pools with the sessions that their servers see, state by state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

from pg_pool_exporter.analysis.correlate.addresses import ServerAddress
from pg_pool_exporter.analysis.correlate.app_readings import AppReadings, ServerPoll
from pg_pool_exporter.analysis.correlate.bouncers import BouncerAddress
from pg_pool_exporter.analysis.correlate.chain import Chain
from pg_pool_exporter.analysis.correlate.client_sessions import ClientSessions
from pg_pool_exporter.analysis.correlate.pools import KnownPool, KnownPools, Pools
from pg_pool_exporter.analysis.correlate.sessions import AppSessions, ServerSessions, SharedNames
from pg_pool_exporter.analysis.evidence.lasting import RecentEvidence
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import (
    AppOnServer,
    BouncerSample,
    ClockAhead,
    Kind,
    LeakEvidence,
    TargetId,
    is_local,
)
from pg_pool_exporter.polling.store import Change, TargetState


@dataclass(slots=True)
class _Server:
    """What is remembered of one server, or of bouncers that pools connect to, since the last long
    break, and since its clock was set."""

    clock_ahead: ClockAhead
    """At the last poll."""
    taken: float
    apps: dict[AppOnServer, AppReadings] = field(default_factory=lambda: defaultdict(AppReadings))
    evidence: Mapping[AppOnServer, LeakEvidence] = field(default_factory=dict)
    recent_evidence: Mapping[AppOnServer, RecentEvidence] = field(default_factory=dict)
    pools_max: float | None = None


class Correlation:
    """What both sides prove together, kept up to date with the states of the targets.

    `apps` are the configured applications. Memory: of each pool its readings during its leak
    threshold as at most some twenty parts, and as much of each application on each server.
    Time: a target's state costs time for its own pools; a server's for those that lead to it.
    """

    def __init__(self, apps: Iterable[AppConfig] = ()) -> None:
        self.pools = KnownPools(apps)
        self.states: dict[TargetId, TargetState] = {}
        """As far as they have been followed, in the order in which the targets came."""
        self._servers: dict[tuple[TargetId, ...], _Server] = {}

    def configure(self, apps: Iterable[AppConfig]) -> None:
        """Go on with these applications configured."""
        self.pools.configure(apps)

    def evidence(self, now: float) -> dict[AppOnServer, LeakEvidence]:
        """Of each application whose processes were all read, on each server known at `now`."""
        return dict(chain(*(one.evidence.items() for _, one in self._known(now))))

    def recent_evidence(self, now: float) -> dict[AppOnServer, RecentEvidence]:
        """The same without its swings."""
        return dict(chain(*(one.recent_evidence.items() for _, one in self._known(now))))

    def pools_max(self, now: float) -> dict[str, float]:
        """By server, the most connections that the pools that lead there may have together."""
        return {
            targets[0].name: one.pools_max
            for targets, one in self._known(now)
            if one.pools_max is not None and targets[0].kind == "server"
        }

    def last_pools_max(self, server: str) -> float | None:
        """The same of one server at its last poll, however long ago; None when unknown."""
        found = self._servers.get((TargetId("server", server),))
        return found.pools_max if found is not None else None

    def _known(self, now: float) -> Iterator[tuple[tuple[TargetId, ...], _Server]]:
        for targets, server in self._servers.items():
            if self._fresh(targets, now) is not None:
                yield targets, server

    def _fresh(self, targets: Iterable[TargetId], now: float) -> list[TargetState] | None:
        """The states of targets; None when one of them is too old."""
        states = [self.states.get(key) for key in targets]
        known = [one for one in states if one is not None and one.fresh(now) is not None]
        return known if len(known) == len(states) else None

    def recent_polls(self, key: AppOnServer, now: float) -> tuple[AppSessions, ...]:
        """An application's sessions at the server's last polls (see `AppReadings.recent_polls`);
        none when the last is too old.
        """
        targets = _targets(key)
        if targets not in self._servers or self._fresh(targets, now) is None:
            return ()
        readings = self._servers[targets].apps.get(key)
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
            self._follow_server(key, state)
        elif key.kind == "bouncer":
            self._follow_bouncer(key, state)

    def _follow_server(self, key: TargetId, state: TargetState | None) -> None:
        sample = state.snapshot.server if state is not None and state.snapshot else None
        if state is None:
            self.pools.place_server(key.name, None)
        if state is None or sample is None:
            self._servers.pop((key,), None)
            return
        server = self._servers.get((key,))
        if server is not None and state.taken <= server.taken:
            return
        self.pools.place_server(key.name, ServerAddress.of(key.name, sample))
        clock = sample.clock if sample.clock is not None else state.taken
        ahead = ClockAhead.of(clock, state.begun, state.taken)
        poll = ServerPoll(
            state.begun, state.taken, ahead, ServerSessions(sample.sessions),
            is_here=is_local(sample.address or sample.host), max_gap=state.max_gap,
        )  # fmt: skip
        server = self._remember((key,), poll)
        self._correlate(server, poll, self.pools.on(key.name))

    def _follow_bouncer(self, key: TargetId, state: TargetState | None) -> None:
        sample = state.snapshot.bouncer if state is not None and state.snapshot else None
        address = None if sample is None else BouncerAddress.of(key.name, sample)
        self.pools.place_bouncer(key.name, address)
        groups = self.pools.through(key.name)
        present = {_targets(one) for apps in groups.values() for one in apps}
        for targets in [one for one in self._servers if key in one and one not in present]:
            del self._servers[targets]
        if state is None:
            return
        for apps in groups.values():
            targets = _targets(next(iter(apps)))
            states = self._fresh(targets, state.taken)
            if states is None:
                self._servers.pop(targets, None)
                continue
            poll = self._poll_of_bouncers(states)
            former = self._servers.get(targets)
            if former is None or poll.taken > former.taken:
                self._correlate(self._remember(targets, poll), poll, apps)

    def _poll_of_bouncers(self, states: Sequence[TargetState]) -> ServerPoll:
        """Those of several at the moment of the earliest one."""
        taken = min(one.taken for one in states)
        clients = ClientSessions(self.chain(taken))
        for one in states:
            for sample in _bouncers([one]):
                clients.add(sample, one.taken - taken)
        begun = min(one.begun for one in states)
        return ServerPoll(
            begun,
            taken,
            ClockAhead.of(taken, begun, taken),
            clients.sessions,
            is_here=all(is_local(b.address or b.host) for b in _bouncers(states)),
            max_gap=max(one.max_gap for one in states),
            of_unknown_work=clients.of_unknown_work,
            are_clients=True,
        )

    def chain(self, now: float) -> Chain:
        """From the clients of bouncers to the sessions of the servers known at `now`."""
        servers = {
            key.name: snapshot.server
            for key, state in self.states.items()
            if (snapshot := state.fresh(now)) is not None and snapshot.server is not None
        }
        return Chain(self.pools.addresses, servers)

    def _remember(self, targets: tuple[TargetId, ...], poll: ServerPoll) -> _Server:
        server = self._servers.get(targets)
        if (
            server is None
            or poll.begun - server.taken > poll.max_gap
            or poll.clock_ahead.was_set_since(server.clock_ahead)
        ):
            server = self._servers[targets] = _Server(poll.clock_ahead, poll.taken)
        server.clock_ahead, server.taken = poll.clock_ahead, poll.taken
        return server

    def _correlate(
        self, server: _Server, poll: ServerPoll, apps: Mapping[AppOnServer, Pools]
    ) -> None:
        for gone in server.apps.keys() - apps.keys():
            del server.apps[gone]
        shared = SharedNames(apps)
        unread = {
            (one.key.kind, one.key.app) for one in self.states.values() if one.snapshot is None
        }
        evidence, recent = {}, {}
        for app, its in apps.items():
            readings = server.apps[app]
            readings.add(poll, its.values())
            if self._all_are_read(app.app, unread, poll.taken):
                others = shared.of_others(app, its.values())
                found = readings.evidence(poll, its.values(), others)
                evidence[app] = found
                recent[app] = readings.lasting(poll.taken, its.values(), found)
        server.evidence, server.recent_evidence = evidence, recent
        server.pools_max = _pools_max(
            chain(*(pools.values() for pools in apps.values())), poll.taken
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


def _targets(key: AppOnServer) -> tuple[TargetId, ...]:
    """What the pools of an application connect to."""
    if key.bouncers:
        return tuple(TargetId("bouncer", name) for name in key.bouncers)
    return (TargetId("server", key.server),)


def _bouncers(states: Iterable[TargetState]) -> Iterator[BouncerSample]:
    for one in states:
        if one.snapshot is not None and one.snapshot.bouncer is not None:
            yield one.snapshot.bouncer
