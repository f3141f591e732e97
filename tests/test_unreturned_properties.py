"""`unreturned` against a model in which it is known what is held: never more than that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.analysis.evidence import bounds
from pg_pool_exporter.model import AppOnServer, LeakEvidence
from support.pool_model import KEY, Model

STEPS = 80
Addresses: TypeAlias = Callable[[Random, int], tuple[str, str]]
ADDRESSES: dict[str, Addresses] = {
    "one host": lambda _random, _process: ("a", "a"),
    "each its own": lambda _random, process: (f"p{process}", f"p{process}"),
    "two hosts": lambda random, _process: (host := random.choice("ab"), host),
    "a translation for some": lambda random, process: (
        f"p{process}", random.choice((f"p{process}", "translated")),
    ),
    "a socket for some": lambda random, process: random.choice(
        ((own := f"p{process}", own), ("", own), ("", "p0"), ("", "p1"))
    ),
    "a balancer for some": lambda random, process: (
        random.choice((f"p{process}", "balancer")), f"p{process}",
    ),
    "an address that is used again": lambda random, process: (
        address := f"p{random.randint(0, process % 2)}", address
    ),
    "a host of two families": lambda random, _process: (
        random.choice(("192.0.2.1", "2001:db8::1")), random.choice(("192.0.2.1", "2001:db8::1")),
    ),
}  # fmt: skip
addresses = st.sampled_from(list(ADDRESSES)).map(ADDRESSES.__getitem__)
seeds = st.integers(0, 2**32)


def unreturned(evidence: Mapping[AppOnServer, LeakEvidence]) -> float:
    return evidence.get(KEY, LeakEvidence()).unreturned or 0.0


@settings(deadline=None, max_examples=100)
@given(
    seed=seeds,
    skew=st.sampled_from([0.0, -3600.0, 86400.0]),
    churn=st.booleans(),
    disturbed=st.booleans(),
    addresses=addresses,
)
def test_of_an_applications_own_sessions_never_more_than_what_is_held(
    seed: int, skew: float, churn: bool, disturbed: bool, addresses: Addresses
) -> None:
    model = Model(
        Random(seed), strangers=0, churn=churn, skew=skew, disturbed=disturbed,
        addresses=addresses,
    )  # fmt: skip
    for evidence in model.run(STEPS):
        assert unreturned(evidence) <= model.held()


@settings(deadline=None, max_examples=100)
@given(seed=seeds, addresses=addresses)
def test_strangers_falsify_it_only_together_with_checkouts_without_a_session(
    seed: int, addresses: Addresses
) -> None:
    model = Model(Random(seed), strangers=4, churn=True, skew=0.0, addresses=addresses)
    for evidence in model.run(STEPS):
        wrong = min(model.old_strangers(), model.without_session())
        assert unreturned(evidence) <= model.held() + wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_strangers_at_a_pages_address_falsify_it_no_more_where_many_connections_are_held(
    name: str,
) -> None:
    for seed in range(30):
        model = Model(
            Random(seed), strangers=4, churn=False, skew=0.0, forgets=1.0,
            addresses=ADDRESSES[name],
        )  # fmt: skip
        for evidence in model.run(STEPS):
            wrong = min(model.old_strangers(), model.without_session())
            assert unreturned(evidence) <= model.held() + wrong


@pytest.mark.slow
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


def test_what_is_held_is_found_sooner_where_each_process_has_its_own_address() -> None:
    def found(name: str) -> float:
        models = [
            Model(Random(seed), strangers=0, churn=False, skew=0.0, forgets=1.0,
                  addresses=ADDRESSES[name])
            for seed in range(60)
        ]  # fmt: skip
        return sum(unreturned(evidence) for one in models for evidence in one.run(STEPS))

    assert found("each its own") > 1.2 * found("one host")


def test_what_is_held_is_found() -> None:
    found = reported = 0
    for seed in range(60):
        model = Model(Random(seed), strangers=0, churn=False, skew=0.0, forgets=1.0)
        for evidence in model.run(STEPS):
            reported += KEY in evidence and evidence[KEY].unreturned is not None
            found += unreturned(evidence) > 0
    assert reported > 500
    assert found > 20
