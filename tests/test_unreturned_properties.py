"""`unreturned` against a model in which it is known what is held: never more than that."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_pool_exporter.derive import bounds
from support.pool_model import KEY, Model

STEPS = 80
seeds = st.integers(0, 2**32)


@settings(deadline=None, max_examples=100)
@given(
    seed=seeds,
    skew=st.sampled_from([0.0, -3600.0, 86400.0]),
    churn=st.booleans(),
    disturbed=st.booleans(),
)
def test_of_an_applications_own_sessions_never_more_than_what_is_held(
    seed: int, skew: float, churn: bool, disturbed: bool
) -> None:
    model = Model(Random(seed), strangers=0, churn=churn, skew=skew, disturbed=disturbed)
    for joined in model.run(STEPS):
        assert joined.unreturned.get(KEY, 0) <= model.held()


@settings(deadline=None, max_examples=100)
@given(seed=seeds)
def test_strangers_falsify_it_only_together_with_checkouts_without_a_session(seed: int) -> None:
    model = Model(Random(seed), strangers=4, churn=True, skew=0.0)
    for joined in model.run(STEPS):
        wrong = min(model.old_strangers(), model.without_session())
        assert joined.unreturned.get(KEY, 0) <= model.held() + wrong


@settings(deadline=None, max_examples=200)
@given(seed=seeds)
def test_each_bound_alone_is_too_high_by_no_more_than_is_said_of_it(seed: int) -> None:
    asked: list[tuple[bounds.Pools, int, int]] = []

    def note(pools: bounds.Pools, old: int, sessions: int) -> float:
        asked.append((pools, old, sessions))
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "unreturned", note)
        model = Model(Random(seed), strangers=4, churn=True, skew=0.0)
        for _ in model.run(STEPS):
            for pools, old, sessions in asked:
                held = model.held()
                assert bounds.beyond_pools(pools, old) <= held + model.old_strangers()
                assert bounds.beyond_busy(pools, old, sessions) <= held + model.without_session()
            asked.clear()


def test_what_is_held_is_found() -> None:
    found = told = 0
    for seed in range(60):
        model = Model(Random(seed), strangers=0, churn=False, skew=0.0, forgets=1.0)
        for joined in model.run(STEPS):
            told += KEY in joined.unreturned
            found += joined.unreturned.get(KEY, 0) > 0
    assert told > 500
    assert found > 20
