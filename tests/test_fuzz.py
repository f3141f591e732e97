"""A few mutants of each kind of input; `make fuzz` tries many more."""

from __future__ import annotations

import pytest

from fuzz import runner
from fuzz.inputs import NAMES, load
from fuzz.mutator import Mutator

MUTANTS = 400


@pytest.mark.parametrize("name", NAMES)
def test_no_mutant_of_a_valid_input_does_harm(name: str) -> None:
    harness = load(name)
    report = runner.run(harness, MUTANTS, seed=1)
    assert not report.faults


def test_mutants_depend_on_the_seed_only() -> None:
    one, same, other = (Mutator([b"a 1\nb 2\n"], [b"x"], 100, seed) for seed in ("1", "1", "2"))
    mutants = [one.next() for _ in range(50)]
    assert mutants == [same.next() for _ in range(50)]
    assert mutants != [other.next() for _ in range(50)]
    assert max(map(len, mutants)) <= 100


def test_the_least_input_that_fails_is_found() -> None:
    assert runner.shrink(b"x" * 500 + b"ab" + b"y" * 500, lambda data: b"ab" in data) == b"ab"
