"""Events: what has appeared, become worse or gone, and what the log has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pg_pool_exporter.analysis.events import GONE_SECONDS, Change, Known, follow
from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.commands import finding_log
from pg_pool_exporter.commands.finding_log import FindingLog
from pg_pool_exporter.model import SessionGroup, TargetId
from support.both_sides import BothSides, session_key
from support.daemons import exporting

SITE = "shop/cart.py:88 hold"
OTHER = "shop/jobs.py:7 run"


class Followed:
    """Both sides, and the events from one look to the next."""

    def __init__(self) -> None:
        self.sides = BothSides()
        self._known: Known = {}

    def look(self, seconds: float = 1.0, *, failed: bool = False) -> list[tuple[Change, Any]]:
        """What has happened since the last look, by its cause or its line of code."""
        self.sides.now += seconds
        analysis = replace(self.sides.analysis, failed=failed)
        self._known, events = follow(self._known, analysis, self.sides.now)
        return [(one.change, one.what.cause or next(iter(one.what.sites))) for one in events]


def test_a_leak_is_one_event_when_it_appears_and_one_when_it_has_been_gone_for_a_while() -> None:
    seen = Followed()
    seen.sides.pool(1, 2, leaked_slots={SITE: 1})
    assert seen.look() == [(Change.APPEARED, Cause.LEAK)]
    seen.sides.pool(1, 3, leaked_slots={SITE: 2})
    assert seen.look() == [], "more of the same"
    seen.sides.pool(1, 1)
    assert seen.look() == []
    seen.sides.pool(1, 1)
    assert seen.look(GONE_SECONDS) == [(Change.GONE, Cause.LEAK)]
    assert seen.look() == []


def test_what_comes_and_goes_is_one_event() -> None:
    seen = Followed()
    events = []
    for number in range(20):
        seen.sides.pool(1, 2, leaked_slots={} if number % 2 else {SITE: 1})
        events += seen.look(10)
    assert events == [(Change.APPEARED, Cause.LEAK)]


def test_each_line_of_code_with_overdue_checkouts_is_an_event() -> None:
    seen = Followed()
    seen.sides.server({"active": [90.0]})
    seen.sides.pool(1, 1, overdue={SITE: 1})
    assert seen.look() == [(Change.APPEARED, SITE)]
    seen.sides.pool(1, 2, overdue={SITE: 1, OTHER: 1})
    seen.sides.server({"active": [90.0, 90.0]})
    assert seen.look() == [(Change.APPEARED, OTHER)]
    seen.sides.pool(1, 1, overdue={OTHER: 1})
    seen.look()
    seen.sides.pool(1, 1, overdue={OTHER: 1})
    seen.sides.server({"active": [90.0]})
    assert (Change.GONE, SITE) in seen.look(GONE_SECONDS)


def test_a_warning_that_becomes_a_problem_is_an_event() -> None:
    seen = Followed()
    seen.sides.pool(1, 1, info=None, overdue={SITE: 1})
    assert (Change.APPEARED, Cause.LEAK) in seen.look()
    seen.sides.pool(1, 1, info=None, overdue={SITE: 1}, leaked_slots={OTHER: 1})
    assert seen.look() == [(Change.WORSE, Cause.LEAK)]


def test_what_a_failed_analysis_lacks_is_not_gone() -> None:
    seen = Followed()
    seen.sides.pool(1, 2, leaked_slots={SITE: 1})
    seen.look()
    seen.sides.pool(1, 1)
    for _ in range(3):
        assert seen.look(GONE_SECONDS, failed=True) == []


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as logs:
        yield logs


def test_the_log_names_application_pool_server_line_and_number(lines: list[Any]) -> None:
    sides = BothSides()
    sides.pool(1, 3, leaked_slots={SITE: 2})
    sides.server({"idle": [5.0]})
    log = FindingLog(lambda: sides.now)
    for _ in range(3):
        log.follow(sides.analysis)
    (line,) = lines
    assert {"app": "orders", "pool": "main", "server": "main", "cause": "leak"}.items() <= (
        line.items()
    )
    assert (line["event"], line["log_level"], line["amount"]) == ("finding appeared", "warning", 2)
    assert line["sites"] == f"{SITE} (2)"
    sides.pool(1, 1)
    log.follow(sides.analysis)
    sides.now += GONE_SECONDS
    sides.pool(1, 1)
    log.follow(sides.analysis)
    assert [one["event"] for one in lines[1:]] == ["finding gone"]


def test_a_fleet_that_flaps_does_not_flood_the_log(lines: list[Any]) -> None:
    sides = BothSides()
    log = FindingLog(lambda: sides.now)
    for number in range(600):
        for app in range(10):
            sides.pool(
                1, 2, app=f"{number}-{app}", target=TargetId("app", f"{app}", "a"),
                leaked_slots={SITE: 1},
            )  # fmt: skip
        log.follow(sides.analysis)
        sides.now += 1
    assert 100 < len(lines) < 200
    left_out = sum(one.get("left_out", 0) for one in lines)
    assert left_out > 5000


def test_whole_numbers_are_written_as_such(lines: list[Any]) -> None:
    sides = BothSides()
    waiting = SessionGroup(waiting=5, oldest_waiting=1.0)
    sides.server({"active": [1.0]}, groups={session_key(): waiting})
    FindingLog(lambda: sides.now).follow(sides.analysis)
    (line,) = lines
    assert (line["cause"], str(line["amount"])) == ("lock_pile_up", "5")


def test_a_target_that_does_not_answer_is_logged_where_it_is_polled_only(lines: list[Any]) -> None:
    sides = BothSides()
    sides.fail(TargetId("server", "main"))
    FindingLog(lambda: sides.now).follow(sides.analysis)
    assert lines == []


def test_a_fault_in_it_costs_the_log_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(finding_log, "follow", fails)
    config = tmp_path / "config.yaml"
    config.write_text("servers: []\n")

    async def main() -> None:
        async with exporting(config) as scraper:

            async def failed() -> bool:
                name = "pg_pool_exporter_analysis_failures_total"
                return (await scraper.value(name, "events") or 0) > 0

            await scraper.until(failed)

    asyncio.run(main())
