"""The faults of docs/reference/faults.md: each shows beside a running daemon, and goes away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.faults import FAULTS, Fault
from bench.faults.measure import measure
from bench.faults.stand import Stand, is_possible, serving
from conftest import require

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with serving() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [pytest.param(one, id=f"{one.kind}: {one.title}") for one in FAULTS]
)
def test_a_fault_shows_and_all_is_well_when_it_is_gone(stand: Stand, fault: Fault) -> None:
    require(is_possible(fault.needs), f"a {fault.needs} that can be broken")
    assert measure(stand, fault).wrong == []


def test_there_are_as_many_faults_as_promised() -> None:
    assert len(FAULTS) >= 60
    titles = [(fault.kind, fault.title) for fault in FAULTS]
    assert len(set(titles)) == len(titles)
