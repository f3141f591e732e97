"""Workloads whose truth is known, on the virtual clock: the right cause is named, and no other.

Some minutes for all of them; `python -m bench.detection` makes docs/detection.md of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import require
from scenarios.scenario import Scenario
from scenarios.verdict import RUNS, run
from support.programs import PROMTOOL

pytestmark = pytest.mark.debian


@pytest.mark.parametrize(
    ("scenario", "page"), [pytest.param(*each, id=f"{each[0].name}, {each[1]}") for each in RUNS]
)
def test_the_verdict_is_the_truth(scenario: Scenario, page: str, tmp_path: Path) -> None:
    require(PROMTOOL.exists(), "Debian's package prometheus")
    verdict = run(scenario, page, tmp_path)
    assert verdict.faults() == []
    if scenario.leak and page == "client":
        assert verdict.lead is not None
        assert verdict.lead >= 0.7
