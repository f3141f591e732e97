"""What is shown of the targets' states: pure, from values to values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pg_pool_exporter.model import PoolId, Snapshot, TargetId
from pg_pool_exporter.polling.store import TargetState

Owners = Mapping[PoolId, TargetId]
"""Which target gives a pool's series."""


class View(NamedTuple):
    """What is shown of one target."""

    state: TargetState
    snapshot: Snapshot | None
    """None when there is none yet, or when it is too old."""
    hidden: frozenset[PoolId] = frozenset()
    """Pools of the snapshot that another target gives already."""

    @property
    def folded(self) -> int:
        """Groups and pools of the target that don't have series of their own."""
        return (self.snapshot.folded if self.snapshot else 0) + len(self.hidden)


def views(
    states: Sequence[TargetState], owners: Owners, now: float
) -> tuple[list[View], dict[PoolId, TargetId]]:
    """What is shown at `now` (monotonic), and the owners to pass in next time.

    The same series twice would make the whole page invalid, so a pool that two targets give is
    shown for one of them: for its owner so far, else for the target that came first.
    """
    fresh = {
        state.key: state.snapshot for state in states if state.snapshot and now < state.expires
    }
    claimed: dict[PoolId, TargetId] = {}
    pools = 0
    for target, snapshot in fresh.items():
        pools += len(snapshot.pools)
        for pool in snapshot.pools:
            if pool.key not in claimed or owners.get(pool.key) == target:
                claimed[pool.key] = target
    if len(claimed) == pools:
        return [View(state, fresh.get(state.key)) for state in states], claimed
    return [_view(state, fresh.get(state.key), claimed) for state in states], claimed


def foreseen(
    state: TargetState,
    owners: Owners,
    current: Callable[[TargetId], TargetState | None],
    now: float,
) -> View:
    """What will be shown of `state` when it is stored: nearly always what `views` then gives.

    `owners` are those of the last page, `current` gives the state that a target has now.
    """

    def is_given_already(pool: PoolId) -> bool:
        owner = current(owners.get(pool, state.key))
        return owner is not None and owner.key != state.key and now < owner.expires

    pools = state.snapshot.pools if state.snapshot else ()
    hidden = frozenset(pool.key for pool in pools if is_given_already(pool.key))
    return View(state, state.snapshot, hidden)


def _view(state: TargetState, snapshot: Snapshot | None, owners: Owners) -> View:
    pools = snapshot.pools if snapshot else ()
    hidden = frozenset(pool.key for pool in pools if owners[pool.key] != state.key)
    return View(state, snapshot, hidden)
