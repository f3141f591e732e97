"""The latest state of each target, its freshness, and the owners of pools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from queue import SimpleQueue
from typing import NamedTuple

from pg_pool_exporter.model import Health, PoolId, PoolSample, Snapshot, TargetId

# A snapshot older than this many intervals is too old to show the present. Two polls may fail; the
# rest is what the polls before and after them stray from their schedule.
_EXPIRY_INTERVALS = 3.2


# Compared by identity: a state is the outcome of one poll.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
    """When that poll ended: the snapshot shows a moment between both."""
    hidden: frozenset[PoolId] = frozenset()
    """Pools of the snapshot that another target owns; set by the store."""

    @property
    def max_gap(self) -> float:
        """Seconds without a reading after which earlier readings no longer show the present."""
        return _EXPIRY_INTERVALS * self.interval

    @property
    def expires(self) -> float:
        """When the snapshot becomes too old to be shown, on the monotonic clock."""
        return self.taken + self.max_gap

    def fresh(self, now: float) -> Snapshot | None:
        """The snapshot, unless it is missing or too old at `now` (monotonic)."""
        return self.snapshot if now < self.expires else None

    @property
    def pools(self) -> tuple[PoolSample, ...]:
        """The pools of the snapshot that the target owns."""
        pools = self.snapshot.pools if self.snapshot is not None else ()
        return tuple(one for one in pools if one.key not in self.hidden) if self.hidden else pools

    @property
    def folded(self) -> int:
        """Groups and pools of the snapshot without series of their own."""
        return (self.snapshot.folded if self.snapshot is not None else 0) + len(self.hidden)


class Change(NamedTuple):
    """A target's new state; None when the target was removed."""

    key: TargetId
    state: TargetState | None


Preparation = Callable[[TargetState], Awaitable[None]]


class Store:
    """The states of all targets, in the order in which the targets came. They are only replaced.

    A pool that two targets report would be the same series twice, which makes a whole page invalid.
    So one target owns it: the first, until it is removed, expires, or no longer reports the pool. A
    process at its own socket comes before a page, which shows less of the pool.
    """

    def __init__(self) -> None:
        self.version = 0
        """Changes with each replacement."""
        self._states: dict[TargetId, TargetState] = {}
        self._owners: dict[PoolId, TargetId] = {}
        self._processes: dict[PoolId, TargetId] = {}
        """Of the pools that processes report at their sockets, shown or hidden."""
        self._preparations: list[Preparation] = []
        self._subscribers: list[SimpleQueue[Change]] = []

    def before_publishing(self, prepare: Preparation) -> None:
        """Await `prepare`, which must not raise, with each published state before it is stored."""
        self._preparations.append(prepare)

    def subscribe(self) -> SimpleQueue[Change]:
        """All changes from now on, in order, for a reader in any thread."""
        changes: SimpleQueue[Change] = SimpleQueue()
        self._subscribers.append(changes)
        return changes

    async def publish(self, state: TargetState) -> None:
        """Store `state` as soon as all preparations are done."""
        state = self._owned(state)
        for prepare in self._preparations:
            await prepare(state)
        self.put(state)

    def put(self, state: TargetState) -> None:
        """Store `state` in place of the target's former one."""
        state = self._owned(state)
        former = self._states.get(state.key)
        if former is None or former.snapshot is not state.snapshot or former.hidden != state.hidden:
            self._release(former)
            self._owners.update(dict.fromkeys(_names(state.pools, state), state.key))
            if state.key.kind == "process" and state.snapshot is not None:
                self._processes.update((pool.key, state.key) for pool in state.snapshot.pools)
        self._states[state.key] = state
        self._changed(Change(state.key, state))

    def remove(self, key: TargetId) -> None:
        """Forget a target. Does nothing when it is not there."""
        former = self._states.pop(key, None)
        if former is not None:
            self._release(former)
            self._changed(Change(key, None))

    def get(self, key: TargetId) -> TargetState | None:
        """The state of one target."""
        return self._states.get(key)

    def states(self) -> tuple[TargetState, ...]:
        """All states, in the order in which the targets came. For any thread."""
        # The copy is one operation: meanwhile nothing is stored.
        return tuple(self._states.copy().values())

    def _owned(self, state: TargetState) -> TargetState:
        """The state with its hidden pools."""
        pools = state.snapshot.pools if state.snapshot is not None else ()
        hidden = frozenset(one.key for one in pools if self._is_owned_by_another(one, state))
        return state if hidden == state.hidden else replace(state, hidden=hidden)

    def _is_owned_by_another(self, pool: PoolSample, state: TargetState) -> bool:
        owners = {self._owners.get(name) for name in _names([pool], state)}
        if state.key.kind != "process":
            # From the page's next poll on, so that both never show it at once.
            owners |= {self._processes.get(name) for name in _names([pool], state)}
        others = owners - {None, state.key}
        return any(self._states[one].fresh(state.taken) is not None for one in others if one)

    def _release(self, state: TargetState | None) -> None:
        if state is not None and state.snapshot is not None:
            for name in _names(state.snapshot.pools, state):
                for owners in (self._owners, self._processes):
                    if owners.get(name) == state.key:
                        del owners[name]

    def _changed(self, change: Change) -> None:
        self.version += 1
        for subscriber in self._subscribers:
            subscriber.put(change)


def _names(pools: Iterable[PoolSample], state: TargetState) -> Iterator[PoolId]:
    """The names by which another target can report these pools.

    A page on this machine can add labels to the name of a process here. Elsewhere such labels tell
    apart processes of the same name.
    """
    for pool in pools:
        yield pool.key
        if state.is_local and pool.client_key is not None:
            yield pool.client_key
