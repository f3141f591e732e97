"""Workloads whose truth is known, on the virtual clock: the right cause is named, and no other.

`make test` runs one for each of the usual causes, with our own client; `make test-all` runs all.
`python -m bench.detection` makes docs/reference/detection.md of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import require
from scenarios.scenario import Scenario
from scenarios.verdict import RUNS, run
from support.programs import PROMTOOL

pytestmark = pytest.mark.debian

# One for each cause that is seen often, and the commonest of what is healthy. Seconds each.
_USUAL = (
    "leak-keep",
    "leak-in-transaction",
    "too-small",
    "lock-pile-up",
    "open-transactions",
    "pool-per-request",
    "slots-lost",
    "reclaimed",
    "server-full",
    "postgresql-down",
    "bouncer-idle-in-transaction",
    "batch",
)


def _case(scenario: Scenario, page: str) -> object:
    is_usual = page == "client" and scenario.name in _USUAL
    marks = [] if is_usual else [pytest.mark.slow]
    return pytest.param(scenario, page, id=f"{scenario.name}-{page}", marks=marks)


@pytest.mark.parametrize(("scenario", "page"), [_case(*one) for one in RUNS])
def test_the_verdict_is_the_truth(scenario: Scenario, page: str, tmp_path: Path) -> None:
    require(PROMTOOL.exists(), "Debian's package prometheus")
    verdict = run(scenario, page, tmp_path)
    assert verdict.faults() == []
    if scenario.leak and page == "client":
        assert verdict.lead is not None
        assert verdict.lead >= 0.7
