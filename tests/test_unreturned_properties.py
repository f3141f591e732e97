"""`unreturned` against a model in which it is known what is held: never more than that."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from support.pool_model import KEY, Model

STEPS = 80
seeds = st.integers(0, 2**32)


@settings(deadline=None, max_examples=150)
@given(seed=seeds, skew=st.sampled_from([0.0, -3600.0, 86400.0]))
def test_of_an_applications_own_sessions_never_more_than_what_is_held(
    seed: int, skew: float
) -> None:
    model = Model(Random(seed), strangers=0, churn=True, skew=skew)
    for joined in model.run(STEPS):
        assert joined.unreturned.get(KEY, 0) <= model.held()


@settings(deadline=None, max_examples=150)
@given(seed=seeds)
def test_strangers_and_sessions_that_come_and_go_falsify_it_only_together(seed: int) -> None:
    model = Model(Random(seed), strangers=4, churn=True, skew=0.0)
    for joined in model.run(STEPS):
        wrong = min(model.old_strangers(), model.without_session())
        assert joined.unreturned.get(KEY, 0) <= model.held() + wrong


def test_the_model_holds_what_is_found_and_finds_it_often() -> None:
    found = told = 0
    for seed in range(60):
        model = Model(Random(seed), strangers=0, churn=False, skew=0.0)
        for joined in model.run(STEPS):
            told += KEY in joined.unreturned
            found += joined.unreturned.get(KEY, 0) > 0
    assert told > 500
    assert found > 20
