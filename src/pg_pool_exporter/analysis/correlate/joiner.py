"""Joins the pools with the sessions that their servers see, as the states in the store change."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pg_pool_exporter.analysis.correlate.app_sides import AppSides, ServerPoll
from pg_pool_exporter.analysis.correlate.places import Place
from pg_pool_exporter.analysis.correlate.pools_seen import PoolSeen, PoolsSeen
from pg_pool_exporter.analysis.correlate.sessions import AppSessions, ServerSessions, SharedNames
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import AppOnServer, Joined, Kind, ServerSample, TargetId, is_local
from pg_pool_exporter.polling.store import EXPIRY_INTERVALS, Store, TargetState

# The server's clock has been set when it differs by more from what has passed here; seconds.
_CLOCK_JUMP = 0.5


@dataclass(slots=True)
class _Server:
    """What is remembered of one server since the last long break, and since its clock was set."""

    offset: tuple[float, float]
    """Bounds of its own clock less the exporter's at the last poll."""
    taken: float
    joined: Joined = field(default_factory=Joined)
    apps: dict[str, AppSides] = field(default_factory=lambda: defaultdict(AppSides))


class Joiner:
    """Keeps `joined` what both sides tell together, and passes it to `tell` when it changes.

    `apps` are the configured applications; `clock` is the one that the states' times are on. What
    is remembered: of each pool in the store its readings during its leak threshold, as some twenty
    parts at most, and as much of each application on each server.

    A target's state costs time for its own pools; a server's for those that lead to it.
    """

    def __init__(
        self,
        store: Store,
        apps: Iterable[AppConfig] = (),
        *,
        tell: Callable[[Joined], None] = lambda _joined: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.joined = Joined()
        """The same object until something changes."""
        self._tell = tell
        self.pools = PoolsSeen(apps)
        self._store = store
        self._clock = clock
        self._servers: dict[str, _Server] = {}
        store.watch(self._follow)

    def configure(self, apps: Iterable[AppConfig]) -> None:
        """Go on with these applications configured."""
        self.pools.configure(apps, self.pools.places)

    def sessions(self, app: str, server: str) -> tuple[AppSessions, ...]:
        """The sessions of an application at the server's last polls (see `AppSides.lately`); none
        when the last is too old.
        """
        state = self._store.get(TargetId("server", server))
        if state is None or self._clock() >= state.expires or server not in self._servers:
            return ()
        sides = self._servers[server].apps.get(app)
        return sides.lately if sides is not None else ()

    def _follow(self, key: TargetId) -> None:
        state = self._store.get(key)
        self.pools.follow(key, state)
        if key.kind == "server":
            self._follow_server(key.name, state)

    def _follow_server(self, name: str, state: TargetState | None) -> None:
        sample = None if state is None else _fresh_server(state, self._clock())
        before = self._joined_of(name)
        if state is None:
            self._find_servers(name, None)
        if state is None or sample is None:
            self._servers.pop(name, None)
        elif name not in self._servers or state.taken > self._servers[name].taken:
            self._find_servers(name, Place.of(name, sample))
            server = self._remember(name, state, sample)
            server.joined = self._join(name, server, state, sample)
        if self._joined_of(name) != before:
            self.joined = _together([server.joined for server in self._servers.values()])
            self._tell(self.joined)

    def _joined_of(self, name: str) -> Joined:
        server = self._servers.get(name)
        return server.joined if server is not None else Joined()

    def _find_servers(self, name: str, place: Place | None) -> None:
        """The server `name` is at `place` now: pools may lead to it."""
        if self.pools.places.get(name) != place:
            self.pools.configure(self.pools.apps, self.pools.places.replaced(name, place))

    def _remember(self, name: str, state: TargetState, sample: ServerSample) -> _Server:
        clock = sample.clock if sample.clock is not None else state.taken
        offset = clock - state.taken, clock - state.begun
        server = self._servers.get(name)
        if (
            server is None
            or state.begun - server.taken > EXPIRY_INTERVALS * state.interval
            or offset[0] - server.offset[1] > _CLOCK_JUMP
            or server.offset[0] - offset[1] > _CLOCK_JUMP
        ):
            server = self._servers[name] = _Server(offset, state.taken)
        server.offset, server.taken = offset, state.taken
        return server

    def _join(self, name: str, server: _Server, state: TargetState, sample: ServerSample) -> Joined:
        apps = self.pools.on(name)
        for gone in server.apps.keys() - apps.keys():
            del server.apps[gone]
        poll = ServerPoll(
            state.begun, state.taken, server.offset, ServerSessions(sample.sessions),
            is_here=is_local(sample.address or sample.host),
            most_gap=EXPIRY_INTERVALS * state.interval,
        )  # fmt: skip
        shared = SharedNames(apps)
        unread = {
            (one.key.kind, one.key.app) for one in self._store.states() if one.snapshot is None
        }
        told = {}
        for app, pools in apps.items():
            sides = server.apps[app]
            sides.add(poll, pools.values())
            if self._all_are_read(app, unread, state.taken):
                others = shared.of_others(app, pools.values())
                told[AppOnServer(name, app)] = sides.told(poll, pools.values(), others)
        return Joined(
            unreturned=_known((key, one.unreturned) for key, one in told.items()),
            held_at={key: one.held_at for key, one in told.items() if one.held_at},
            suspects=_known((key, one.suspects) for key, one in told.items()),
            missing=_known((key, one.missing) for key, one in told.items()),
            demand=_demand(name, chain(*(pools.values() for pools in apps.values())), state.taken),
        )

    def _all_are_read(self, app: str, unread: Set[tuple[Kind, str]], now: float) -> bool:
        """Whether each known process of the application has been read lately.

        `unread` are the applications of the targets that were never read. A process whose socket
        is called like one that has a pool of the application may have one, too.
        """
        targets = self.pools.targets_of(app)
        kin = {("process", target.app) for target in targets if target.kind == "process"}
        return unread.isdisjoint({("app", app), *kin}) and all(
            self._is_fresh(target, now) for target in targets
        )

    def _is_fresh(self, key: TargetId, now: float) -> bool:
        state = self._store.get(key)
        return state is not None and now < state.expires


def _fresh_server(state: TargetState, now: float) -> ServerSample | None:
    return state.snapshot.server if state.snapshot is not None and now < state.expires else None


def _known(values: Iterable[tuple[AppOnServer, float | None]]) -> dict[AppOnServer, float]:
    return {key: value for key, value in values if value is not None}


def _demand(server: str, pools: Iterable[PoolSeen], now: float) -> dict[str, float]:
    """The sum of the maxima of pools; none when no pool tells one."""
    maxima = [pool.sample.max for pool in pools if pool.sample.max is not None
              and now < pool.expires]  # fmt: skip
    return {server: sum(maxima)} if maxima else {}


def _together(parts: list[Joined]) -> Joined:
    def merged(field: str) -> dict[Any, Any]:
        return dict(chain.from_iterable(getattr(part, field).items() for part in parts))

    return Joined(
        unreturned=merged("unreturned"),
        held_at=merged("held_at"),
        suspects=merged("suspects"),
        missing=merged("missing"),
        demand=merged("demand"),
    )
