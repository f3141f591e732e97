"""Workloads whose truth is known, on the virtual clock: the right cause is named, and no other.

Two to three minutes for all of them on two quiet cores; `python -m bench.detection` makes
docs/detection.md of the same.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from conftest import require
from scenarios.verdict import RUNS, Verdict, run
from support.programs import PROMTOOL

pytestmark = pytest.mark.debian

NAMES = [(scenario.name, page) for scenario, page in RUNS]


def verdict_of(name: str, page: str, directory: Path) -> Verdict:
    """Run in a process of its own."""
    (scenario,) = {scenario for scenario, _ in RUNS if scenario.name == name}
    return run(scenario, page, directory)


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[tuple[str, str], Future[Verdict]]]:
    """The runs that are under way, of the tests that were chosen."""
    require(PROMTOOL.exists(), "Debian's package prometheus")
    chosen = [
        (str(item.callspec.params["name"]), str(item.callspec.params["page"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield {
            (name, page): pool.submit(verdict_of, name, page, tmp_path_factory.mktemp(name))
            for name, page in chosen
        }


@pytest.mark.parametrize(("name", "page"), NAMES)
def test_the_verdict_is_the_truth(
    verdicts: Mapping[tuple[str, str], Future[Verdict]], name: str, page: str
) -> None:
    verdict = verdicts[name, page].result()
    assert verdict.faults() == []
    if verdict.scenario.leak and page == "client":
        assert verdict.lead is not None
        assert verdict.lead >= 0.7
