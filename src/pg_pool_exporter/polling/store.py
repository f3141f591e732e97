"""The latest that is known of each target. States are replaced, never changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

from pg_pool_exporter.model import Health, Snapshot, TargetId

# Intervals after which a snapshot says nothing about the present any more.
EXPIRY_INTERVALS = 3


# Compared by identity: a state is what one poll gave, and others hold on to it weakly.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class TargetState:
    """One target after its last poll."""

    key: TargetId
    interval: float
    """Of its polls, in seconds."""
    health: Health = field(default_factory=Health)
    is_local: bool = False
    """Whether it is a process of this machine (see `discovery.Target`)."""
    snapshot: Snapshot | None = None
    """Of the last poll that succeeded."""
    begun: float = -inf
    """When the poll that took the snapshot began, on the monotonic clock."""
    taken: float = -inf
    """When the snapshot was taken, on the monotonic clock: it tells of a moment between both."""

    @property
    def expires(self) -> float:
        """When the snapshot is too old to be shown, on the monotonic clock."""
        return self.taken + EXPIRY_INTERVALS * self.interval


Preparation = Callable[[TargetState], Awaitable[None]]
Watcher = Callable[[TargetId], None]


class Store:
    """Targets in the order in which they came.

    `version` changes with each replacement, so whoever made something out of the states knows
    whether it still holds.
    """

    def __init__(self) -> None:
        self.version = 0
        self._states: dict[TargetId, TargetState] = {}
        self._preparations: list[Preparation] = []
        self._watchers: list[Watcher] = []

    def before_publishing(self, prepare: Preparation) -> None:
        """Have `prepare` awaited with each new state before it takes the former one's place."""
        self._preparations.append(prepare)

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` called with the key of each target whose state has been replaced or
        forgotten."""
        self._watchers.append(watcher)

    async def publish(self, state: TargetState) -> None:
        """Store `state` when everything that is made out of it is ready."""
        for prepare in self._preparations:
            await prepare(state)
        self.put(state)

    def put(self, state: TargetState) -> None:
        """Store `state` in place of the target's former one."""
        self._states[state.key] = state
        self._changed(state.key)

    def remove(self, key: TargetId) -> None:
        """Forget a target. Nothing happens when it is not there."""
        if self._states.pop(key, None) is not None:
            self._changed(key)

    def get(self, key: TargetId) -> TargetState | None:
        """The state of one target."""
        return self._states.get(key)

    def states(self) -> tuple[TargetState, ...]:
        """All states, in the order in which the targets came."""
        return tuple(self._states.values())

    def _changed(self, key: TargetId) -> None:
        self.version += 1
        for watcher in self._watchers:
            watcher(key)
