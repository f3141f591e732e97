"""Workloads whose truth is known, on the virtual clock: the right cause is named, and no other.

`make test` runs those with our own client, the others are for `make test-all`.
`python -m bench.detection` makes docs/detection.md of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import require
from scenarios.scenario import Scenario
from scenarios.verdict import RUNS, run
from support.programs import PROMTOOL

pytestmark = pytest.mark.debian

# Each simulates many processes, for half a minute of CPU time and more.
_LARGE = ("fifty-processes", "oversubscribed")


def _case(scenario: Scenario, page: str) -> object:
    is_slow = page != "client" or scenario.name in _LARGE
    marks = [pytest.mark.slow] if is_slow else []
    return pytest.param(scenario, page, id=f"{scenario.name}-{page}", marks=marks)


@pytest.mark.parametrize(("scenario", "page"), [_case(*one) for one in RUNS])
def test_the_verdict_is_the_truth(scenario: Scenario, page: str, tmp_path: Path) -> None:
    require(PROMTOOL.exists(), "Debian's package prometheus")
    verdict = run(scenario, page, tmp_path)
    assert verdict.faults() == []
    if scenario.leak and page == "client":
        assert verdict.lead is not None
        assert verdict.lead >= 0.7
