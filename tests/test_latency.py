"""Settings of the interpreter while the exporter runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from pg_pool_exporter.commands.latency import responsive


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Those of the tests' own process are as they were."""
    kept = gc.get_threshold()
    yield
    gc.set_threshold(*kept)


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        pytest.param((700, 10, 10), (350, 2), id="generations"),
        pytest.param((2000, 10, 10), (350, 2), id="generations since 3.13"),
        pytest.param((2000, 10, 0), (2000, 10), id="increments"),
    ],
)
def test_the_collector_is_set_for_short_pauses_where_it_has_generations(
    defaults: tuple[int, int, int], expected: tuple[int, int]
) -> None:
    gc.set_threshold(*defaults)
    before = sys.getswitchinterval()
    with responsive():
        assert gc.get_threshold()[:2] == expected
        assert sys.getswitchinterval() < before
    assert gc.get_threshold() == defaults
    assert sys.getswitchinterval() == before
