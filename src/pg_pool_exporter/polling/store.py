"""The latest state of each target, its freshness, and the owners of pools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
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
    hidden: Mapping[PoolId, TargetId] = field(default_factory=dict)
    """Pools of the snapshot that another target owns, and that target; set by the store."""

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

    def is_same_reading(self, other: TargetState) -> bool:
        """Whether both are of the same successful poll."""
        return self.taken == other.taken and self.snapshot is other.snapshot

    @property
    def left_out(self) -> int:
        """Number of hidden pools, but for those that yield to their process at its socket."""
        is_page = self.key.kind == "app"
        return sum(not (is_page and owner.kind == "process") for owner in self.hidden.values())

    @property
    def folded(self) -> int:
        """Groups and pools of the snapshot without series of their own."""
        return (self.snapshot.folded if self.snapshot is not None else 0) + self.left_out


class Change(NamedTuple):
    """A target's new state; None when the target was removed."""

    key: TargetId
    state: TargetState | None


Preparation = Callable[[TargetState], Awaitable[None]]


class Store:
    """The states of all targets, in the order in which the targets came. They are only replaced.

    A pool that two targets report would be the same series twice, which makes a whole page invalid.
    So one target owns it: the first, until it is removed, expires, or no longer reports the pool.

    A process at its own socket owns its pools before any page, which shows less of them. A page on
    this machine may have added labels to the process' name: one pool of one page yields to it.
    """

    def __init__(self) -> None:
        self.version = 0
        """Changes with each replacement."""
        self._states: dict[TargetId, TargetState] = {}
        self._owners: dict[PoolId, TargetId] = {}
        self._relabelled: dict[PoolId, TargetId] = {}
        """By a process' own name of a pool: the page on this machine that shows it by another."""
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
        """Store `state` in place of the target's former one, and the pages that yield to it."""
        state = self._owned(state)
        former = self._states.get(state.key)
        changed = [state]
        if former is None or former.snapshot is not state.snapshot or former.hidden != state.hidden:
            self._release(former)
            changed = [*self._yielding_to(state), state]
            for page in changed[:-1]:
                _forget(self._owners, page.hidden, page.key)
            self._owners.update(dict.fromkeys((pool.key for pool in state.pools), state.key))
            self._relabelled.update(dict.fromkeys(self._by_own_name(state), state.key))
        # One operation, so that no thread sees a part of it.
        self._states.update([(one.key, one) for one in changed])
        for one in changed:
            self._changed(Change(one.key, one))

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
        hidden = {
            one.key: owner
            for one in pools
            if (owner := self._owners.get(one.key, state.key)) != state.key
            and self._comes_before(owner, state)
        }
        for name, pool in self._by_own_name(state).items():
            owner = self._owners.get(name, state.key)
            if owner.kind == "process" and self._comes_before(owner, state):
                hidden[pool] = owner
        return state if hidden == state.hidden else replace(state, hidden=hidden)

    def _comes_before(self, owner: TargetId, state: TargetState) -> bool:
        """Whether `owner` keeps its pools from another target's `state`."""
        other = self._states[owner]
        if state.key.kind == "process" and owner.kind == "app":
            return state.fresh(other.taken) is None
        return other.fresh(state.taken) is not None

    def _by_own_name(self, state: TargetState) -> Mapping[PoolId, PoolId]:
        """The pools of a page on this machine that are named otherwise than by their process, by
        the process' name.

        The first of each name, on the first page with it: a name stands for one process.
        """
        if state.snapshot is None or not state.is_local or state.key.kind != "app":
            return {}
        found: dict[PoolId, PoolId] = {}
        for one in state.snapshot.pools:
            if one.client_key is not None:
                page = self._relabelled.get(one.client_key, state.key)
                if page == state.key or self._states[page].fresh(state.taken) is None:
                    found.setdefault(one.client_key, one.key)
        return found

    def _yielding_to(self, state: TargetState) -> Iterator[TargetState]:
        """The pages that show pools of this process so far, without them."""
        if state.key.kind != "process":
            return
        pools = {one.key for one in state.pools}
        showing = {
            owners.get(pool) for pool in pools for owners in (self._owners, self._relabelled)
        }
        for page in showing:
            if page is None or page.kind != "app" or self._comes_before(page, state):
                continue
            former = self._states[page]
            yielded = [one.key for one in former.pools if one.key in pools]
            yielded += [own for name, own in self._by_own_name(former).items() if name in pools]
            hidden = {**former.hidden, **dict.fromkeys(yielded, state.key)}
            if hidden != former.hidden:
                yield replace(former, hidden=hidden)

    def _release(self, state: TargetState | None) -> None:
        if state is not None:
            _forget(self._owners, (pool.key for pool in state.pools), state.key)
            _forget(self._relabelled, self._by_own_name(state), state.key)

    def _changed(self, change: Change) -> None:
        self.version += 1
        for subscriber in self._subscribers:
            subscriber.put(change)


def _forget(owners: dict[PoolId, TargetId], pools: Iterable[PoolId], owner: TargetId) -> None:
    for pool in pools:
        if owners.get(pool) == owner:
            del owners[pool]
