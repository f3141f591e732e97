"""What is shown of the targets' states."""

from __future__ import annotations

import pytest

from pg_pool_exporter.model import PoolId, TargetId
from pg_pool_exporter.polling.store import TargetState
from pg_pool_exporter.polling.views import Owners, foreseen, views
from support.sources import snapshot

POOL = PoolId("orders", "main", "web:0")
FIRST, SECOND = TargetId("process", "a"), TargetId("process", "b")


def state(key: TargetId, *pools: str, taken: float = 0.0, folded: int = 0) -> TargetState:
    return TargetState(key=key, interval=5.0, snapshot=snapshot(*pools, folded=folded), taken=taken)


def hidden(*states: TargetState, owners: Owners | None = None, now: float = 1.0) -> dict[str, int]:
    """How many pools of each target are not shown."""
    shown, _ = views(states, owners or {}, now)
    return {view.state.key.name: len(view.hidden) for view in shown}


def test_pools_of_different_targets_are_all_shown() -> None:
    states = state(FIRST, "orders/main/web:0"), state(SECOND, "orders/main/web:1")
    assert hidden(*states) == {"a": 0, "b": 0}


def test_a_pool_that_two_targets_give_is_shown_for_the_one_that_came_first() -> None:
    states = state(FIRST, "orders/main/web:0"), state(SECOND, "orders/main/web:0", "x/y/z")
    assert hidden(*states) == {"a": 0, "b": 1}


def test_a_pool_stays_with_the_target_that_has_shown_it_so_far() -> None:
    states = state(FIRST, "orders/main/web:0"), state(SECOND, "orders/main/web:0")
    assert hidden(*states, owners={POOL: SECOND}) == {"a": 1, "b": 0}


def test_a_pool_passes_on_when_its_target_does_not_give_it_any_more() -> None:
    both = state(FIRST, "orders/main/web:0"), state(SECOND, "orders/main/web:0")
    _, owners = views(both, {}, 1.0)
    assert owners == {POOL: FIRST}
    without, owners = views([state(FIRST), both[1]], owners, 2.0)
    assert [len(view.hidden) for view in without] == [0, 0]
    assert owners == {POOL: SECOND}


def test_a_snapshot_is_shown_for_three_intervals_and_its_pools_are_then_free() -> None:
    old, new = state(FIRST, "orders/main/web:0"), state(SECOND, "orders/main/web:0", taken=14.0)
    before, _ = views([old, new], {}, 14.9)
    assert [view.snapshot is not None for view in before] == [True, True]
    after, owners = views([old, new], {}, 15.0)
    assert [view.snapshot is not None for view in after] == [False, True]
    assert owners == {POOL: SECOND}


@pytest.mark.parametrize(
    ("owner", "now", "count"),
    [
        pytest.param(None, 1.0, 0, id="new pool"),
        pytest.param(SECOND, 1.0, 0, id="its own"),
        pytest.param(FIRST, 14.9, 1, id="another target's"),
        pytest.param(FIRST, 15.0, 0, id="another target's, too old to be shown"),
        pytest.param(TargetId("process", "gone"), 1.0, 0, id="of a target that is gone"),
    ],
)
def test_a_pool_is_foreseen_to_be_hidden_where_another_target_still_gives_it(
    owner: TargetId | None, now: float, count: int
) -> None:
    stored = {FIRST: state(FIRST, "orders/main/web:0")}
    owners = {POOL: owner} if owner else {}
    view = foreseen(state(SECOND, "orders/main/web:0", taken=now), owners, stored.get, now)
    assert len(view.hidden) == count
    assert view.snapshot is not None


def test_what_is_left_out_counts_as_folded() -> None:
    states = (
        state(FIRST, "orders/main/web:0", folded=2),
        state(SECOND, "orders/main/web:0", folded=3),
        TargetState(key=TargetId("app", "new"), interval=5.0),
    )
    shown, _ = views(states, {}, 1.0)
    assert [view.folded for view in shown] == [2, 4, 0]
