"""Analyses run beside the polls: a fault in one costs that one, and is counted and logged."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NoReturn

import pytest
import structlog

from pg_pool_exporter.analysis import analyzer
from pg_pool_exporter.analysis.analyzer import ANALYSES, Analyzer
from pg_pool_exporter.analysis.checklist import pools as pool_checks
from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.analysis.findings.finding import Cause, Verdict
from pg_pool_exporter.analysis.history.fleet_history import History
from pg_pool_exporter.analysis.records import fleet_view
from pg_pool_exporter.analysis.records.pool_view import process_view
from pg_pool_exporter.analysis.verdicts import judge
from pg_pool_exporter.config import AppConfig, Config
from pg_pool_exporter.discovery import Target
from pg_pool_exporter.exposition import pages
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.poller import Poller
from pg_pool_exporter.polling.store import Store
from support.both_sides import BothSides
from support.postgres import wait_until
from support.sources import Scripted, snapshot, target
from support.virtual_time import run

MESSAGE = "password=secret of a page"
SITE = "shop/cart.py:88 hold"


def fails(*_args: Any, **_more: Any) -> NoReturn:
    raise RuntimeError(MESSAGE)


# What fails, and what that counts as.
FAULTS = [
    pytest.param(Correlation, "follow", "correlation", id="correlation"),
    pytest.param(Correlation, "pools_max", "records", id="evidence"),
    pytest.param(History, "follow", "history", id="history"),
    pytest.param(analyzer, "fleet_view", "records", id="records"),
    pytest.param(fleet_view, "pool_view", "records", id="record of a pool"),
    pytest.param(judge, "leak_of_pool", "leak", id="leak"),
    pytest.param(judge, "locks_of_server", "locks", id="locks"),
    pytest.param(judge, "target_unreachable", "targets", id="targets"),
    pytest.param(pages, "of_pools", "exposition", id="exposition"),
]


@pytest.mark.parametrize(("where", "name", "analysis"), FAULTS)
def test_a_target_stays_up_when_an_analysis_of_it_fails(
    where: object, name: str, analysis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, fails)
    store = Store()
    analyzer = Analyzer(store, Config(), clock=lambda: 0.0)
    exposition = Exposition(store, analyzer, clock=lambda: 0.0)

    async def polled() -> None:
        for polled, source in (
            (target("a"), Scripted(snapshot("orders/main/web:0"))),
            (Target(TargetId("server", "main"), 5.0, 3.0, ()), Scripted(*servers())),
        ):
            await Poller(polled, source, store).poll()

    run(polled())
    assert [state.health.reason for state in store.states()] == [None, None]
    assert [state.health.up for state in store.states()] == [True, True]
    with structlog.testing.capture_logs() as lines:
        analyzer.update()
        analyzer.update()
        page = exposition.plain(openmetrics=False).decode()
    assert 'pg_pool_exporter_target_up{target="a",kind="process"} 1' in page
    counts = analyzer.faults.counts
    assert counts[analysis] > 0
    assert {other for other in ANALYSES if counts[other]} == {analysis}
    label = f'{{analysis="{analysis}"}}'
    assert f"pg_pool_exporter_analysis_failures_total{label} {counts[analysis]}\n" in page
    assert MESSAGE not in str(lines)


def servers() -> list[Any]:
    sides = BothSides()
    sides.server({"idle": [1.0]})
    (state,) = sides.store.states()
    return [state.snapshot]


def test_all_counters_exist_from_the_first_moment() -> None:
    assert Analyzer(Store(), Config()).faults.counts == dict.fromkeys(ANALYSES, 0)


def test_a_fault_costs_one_verdict_and_what_was_fine_is_unknown_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = BothSides()
    sides.pool(1, 2, leaked_slots={SITE: 1})
    sides.server({"idle_in_transaction": [600.0]})
    assert {one.cause for one in sides.analysis.findings} == {Cause.LEAK, Cause.IDLE_IN_TRANSACTION}
    monkeypatch.setattr(judge, "leak_of_pool", fails)
    with structlog.testing.capture_logs() as lines:
        found = sides.analysis
    assert {one.cause for one in found.findings} == {Cause.IDLE_IN_TRANSACTION}
    assert found.failed
    assert {one.verdict for one in found.checks} <= {Verdict.UNKNOWN, Verdict.WARNING}
    (line,) = lines
    assert (line["analysis"], line["error"]) == ("leak", "RuntimeError")
    monkeypatch.undo()
    assert not sides.analysis.failed


def test_a_point_of_the_checklist_that_fails_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = BothSides()
    sides.pool(1, 2)
    points = [one.name for one in sides.analysis.checks]
    monkeypatch.setattr(pool_checks, "findings_of", fails)
    found = {one.name: one for one in sides.analysis.checks}
    assert found["leaks"].verdict is Verdict.UNKNOWN
    assert list(found) == points


def test_a_fault_that_repeats_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "target_unreachable", fails)
    sides = BothSides()
    sides.pool(1, 1)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            sides.analyzer.update()
    assert len(lines) == 1
    assert sides.analyzer.faults.counts["targets"] == 5


def test_in_its_thread_it_takes_in_what_is_stored_and_ends() -> None:
    sides = BothSides()

    async def main() -> None:
        sides.analyzer.start()
        sides.pool(1, 2, leaked_slots={SITE: 1})
        try:
            async with asyncio.timeout(10):
                while not sides.analyzer.analysis.findings:  # noqa: ASYNC110 - a thread sets it
                    await asyncio.sleep(0.01)
        finally:
            sides.analyzer.stop()

    asyncio.run(main())


def test_a_fault_that_nothing_contains_ends_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = BothSides()
    sides.analyzer.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(analyzer, "checklist", fails)
            wait_until(lambda: sides.analyzer.faults.counts["records"], "it fails, and counts it")
        sides.pool(1, 2, leaked_slots={SITE: 1})
        wait_until(lambda: sides.analyzer.analysis.findings, "the next analysis has a finding")
    finally:
        sides.analyzer.stop()


def test_an_analysis_that_had_to_wait_for_its_turn_does_not_delay_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine: what it waits is no cost of its own."""
    sides = BothSides()
    in_time = fleet_view.fleet_view

    def late(*arguments: Any) -> Any:
        time.sleep(0.4)
        return in_time(*arguments)

    monkeypatch.setattr(analyzer, "fleet_view", late)
    sides.analyzer.start()
    try:
        seen = {id(sides.analyzer.analysis): sides.analyzer.analysis}

        def analysed_twice() -> bool:
            analysis = sides.analyzer.analysis
            seen[id(analysis)] = analysis
            return len(seen) > 2

        wait_until(analysed_twice, "it has analysed twice", 8)
    finally:
        sides.analyzer.stop()


@pytest.mark.parametrize(
    ("cpu_seconds", "pause"),
    [
        pytest.param(0.001, 0.2, id="a few pools"),
        pytest.param(0.02, 1.0, id="at 2 % of a core"),
        pytest.param(0.1, 5.0, id="the longest pause at 2 %"),
        pytest.param(0.15, 5.0, id="at 3 %"),
        pytest.param(0.4, 10.0, id="at 4 %"),
    ],
)
def test_analyses_take_two_percent_of_a_core_and_up_to_four_when_each_is_long(
    cpu_seconds: float, pause: float
) -> None:
    assert analyzer.pause_after(cpu_seconds) == pytest.approx(pause)


def test_a_record_that_fails_is_the_only_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = BothSides()
    sides.pool(1, 2, leaked_slots={SITE: 1})
    sides.pool(1, 2, app="odd", process="web:1")

    def odd(sample: Any, *more: Any) -> Any:
        return fails() if sample.key.app == "odd" else process_view(sample, *more)

    monkeypatch.setattr(fleet_view, "process_view", odd)
    found = sides.analysis
    assert [pool.app for pool in found.fleet.pools] == ["orders"]
    assert [one.cause for one in found.findings] == [Cause.LEAK]
    assert found.failed


def test_what_failed_while_states_were_taken_in_is_no_longer_fine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = BothSides()
    monkeypatch.setattr(History, "follow", fails)
    sides.server({"idle": [1.0]})
    assert sides.analysis.failed
    assert sides.analysis.failed, "until its next poll is taken in"
    monkeypatch.undo()
    sides.server({"idle": [1.0]})
    assert not sides.analysis.failed


def test_a_target_that_could_not_be_taken_in_is_forgotten_when_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = BothSides()
    monkeypatch.setattr(History, "follow", fails)
    sides.server({"idle": [1.0]})
    assert sides.analysis.failed
    monkeypatch.undo()
    sides.store.remove(TargetId("server", "main"))
    assert not sides.analysis.failed


def test_applications_that_are_configured_while_a_change_is_taken_in_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop configures, a thread analyses: neither configuration may be lost."""
    sides = BothSides()
    used: list[object] = []
    first, second = (Config(apps=(AppConfig(name=name),)) for name in ("orders", "billing"))
    configure = Correlation.configure

    def interrupted(correlation: Correlation, apps: Any) -> None:
        if not used:
            sides.analyzer.configure(second)
        used.append(apps)
        configure(correlation, ())

    monkeypatch.setattr(Correlation, "configure", interrupted)
    sides.analyzer.configure(first)
    sides.pool(1, 2)
    sides.pool(1, 2)
    assert not sides.analysis.failed
    assert used == [first.apps, second.apps]


@pytest.mark.parametrize(
    ("passed", "late"),
    [
        pytest.param([1.0] * 59, None, id="not yet"),
        pytest.param([1.0] * 61, 61.0, id="it hangs"),
        pytest.param([86400.0], None, id="the process was stopped for a day"),
        pytest.param([86400.0, *[1.0] * 55], 65.0, id="and has hung since"),
    ],
)
def test_an_analysis_is_late_by_the_time_in_which_the_process_ran(
    passed: list[float], late: float | None
) -> None:
    now = 0.0
    one = Analyzer(Store(), Config(), clock=lambda: now)
    for seconds in passed:
        now += seconds
        one.tick()
    assert one.lateness == late
    one.update()
    assert one.lateness is None
