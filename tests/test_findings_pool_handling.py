"""Findings about pools that are not used as they are meant to be, or whose library is at fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import PoolId, PoolSample
from support.agreement import disagreement
from support.both_sides import INFO, INTERVAL, BothSides, pool_sample
from support.sources import process_id

SITE = "shop/db.py:9 session"
ELSEWHERE = "shop/jobs.py:7 run"


def found(sides: BothSides) -> list[Finding]:
    assert disagreement(sides.analysis) is None
    return list(sides.analysis.findings)


def live(seconds: float, *polls: Callable[[BothSides, float], None], **app: Any) -> list[Finding]:
    """What is found after so many seconds of polls; each gets the seconds that have passed."""
    sides = BothSides(AppConfig(name="orders", **app))
    begun = sides.now
    while sides.now - begun <= seconds:
        for poll in polls:
            poll(sides, sides.now - begun)
        findings = found(sides)
        sides.now += INTERVAL
    return findings


@pytest.mark.parametrize(
    ("client", "version", "named"),
    [
        ("psycopg_pool", "3.2.7", "3.2.8"),
        ("psycopg_pool", "3.2.7.dev1", "3.2.8"),
        ("psycopg_pool", "3.2.8", ""),
        ("psycopg_pool", "3.10", ""),
        ("sqlalchemy", "2.0.1", ""),
    ],
)
def test_slots_lost_in_the_library_name_the_versions_that_are_known_to_be_faulty(
    client: str, version: str, named: str
) -> None:
    sides = BothSides()
    info = replace(INFO, client=client, client_version=version)
    sides.pool(0, 1, max=4, unaccounted=3, waiting=5, info=info)
    (finding,) = found(sides)
    assert (finding.cause, finding.severity, finding.amount) == (
        Cause.SLOTS_LOST_IN_LIBRARY, Severity.PROBLEM, 3
    )  # fmt: skip
    assert finding.subject == Subject(app="orders", pool="main")
    assert finding.figures["utilisation_ratio"] == 1
    assert "full" in finding.summary
    text = " ".join(finding.evidence)
    assert (named in text) if named else ("does not" not in text)


def test_slots_lost_in_the_library_are_in_use() -> None:
    """Requests that wait behind them wait for a known reason."""

    def poll(sides: BothSides, _passed: float) -> None:
        sides.pool(0, 0, max=4, unaccounted=4, waiting=3)

    (finding,) = live(60, poll)
    assert finding.cause is Cause.SLOTS_LOST_IN_LIBRARY


def test_a_pool_whose_books_balance_has_no_such_finding() -> None:
    sides = BothSides()
    sides.pool(2, 2, max=4, unaccounted=0)
    assert found(sides) == []


def _reclaims(every: float, before: float = 0) -> Callable[[BothSides, float], None]:
    def poll(sides: BothSides, passed: float) -> None:
        sites = {SITE: before + passed // every, ELSEWHERE: before}
        sides.pool(5, 1, reclaimed={site: count for site, count in sites.items() if count})

    return poll


def test_connections_that_come_back_by_the_collector_are_named_by_line() -> None:
    (finding,) = live(400, _reclaims(every=20))
    assert (finding.cause, finding.severity) == (Cause.RECLAIMED_CONNECTIONS, Severity.WARNING)
    assert finding.amount == finding.figures["reclaimed_connections"]
    assert 14 <= finding.amount <= 19, "those of the last five minutes"
    assert finding.sites == {SITE: finding.amount}


@pytest.mark.parametrize(
    ("poll", "app"),
    [
        (_reclaims(every=120), {}),
        (_reclaims(every=1e9, before=1000), {}),
        (_reclaims(every=20), {"thresholds": {"reclaimed_connections": 100}}),
    ],
    ids=["seldom", "long ago", "with a threshold of its own"],
)
def test_a_few_connections_that_come_back_by_the_collector_are_no_finding(
    poll: Callable[[BothSides, float], None], app: dict[str, Any]
) -> None:
    assert live(400, poll, **app) == []


def _pools(
    instances: Callable[[float], Mapping[str, float]], process: str = "web:0"
) -> Callable[[BothSides, float], None]:
    """One process, and how many pools it had made under each name after so many seconds."""

    def poll(sides: BothSides, passed: float) -> None:
        for name, made in instances(passed).items():
            sides.pool(
                1, 0, name=name, process=process, instances={SITE: made},
                target=process_id(f"{name}-{process}"),
            )  # fmt: skip

    return poll


def test_a_pool_for_each_request_is_found_with_the_line_that_makes_it() -> None:
    (finding,) = live(300, _pools(lambda passed: {"main": passed // 10, "main-2": passed // 10}))
    assert (finding.cause, finding.severity) == (Cause.POOL_PER_REQUEST, Severity.WARNING)
    assert finding.subject == Subject(app="orders")
    assert finding.amount == finding.figures["pools_made"] == 60, "of all names"
    assert any(SITE in one for one in finding.evidence)


def _at_start(_passed: float) -> Mapping[str, float]:
    return {f"tenant-{number}": 1 for number in range(15)}


def _grows(passed: float) -> Mapping[str, float]:
    """A tenant more every ten seconds."""
    return {f"tenant-{number}": 1 for number in range(1 + int(passed // 10))}


@pytest.mark.parametrize(
    "polls",
    [
        [_pools(_at_start)],
        [_pools(_grows)],
        [_pools(lambda passed: {"main": 1 + passed // 100})],
        [_pools(lambda passed: {"main": 1 + passed // 50}, f"web:{n}") for n in range(8)],
    ],
    ids=["many pools", "more and more pools", "made anew now and then", "in many processes"],
)
def test_pools_that_are_made_once_are_no_finding(polls: list[Any]) -> None:
    assert live(300, *polls) == []


def _keeps(
    made: Callable[[float], int],
    *,
    checkouts: Callable[[float], float] = lambda age: 1,
    database: Callable[[int], str] = lambda number: "shop",
    pid: Callable[[float], str] = lambda passed: "1",
    every: float = 10.0,
) -> Callable[[BothSides, float], None]:
    """A process with a pool for itself, and as many others, each made `every` so many seconds and
    with so many checkouts at an age.
    """

    def pool(number: int, passed: float) -> PoolSample:
        age = max(0.0, passed - every * number)
        return pool_sample(
            PoolId("orders", f"main-{number}", "web:0"), 1, 0, instances={SITE: 1},
            acquired=checkouts(age), info=replace(INFO, database=database(number), pid=pid(passed)),
        )  # fmt: skip

    def poll(sides: BothSides, passed: float) -> None:
        main = pool_sample(PoolId("orders", "main", "web:0"), 1, 0, acquired=passed)
        sides.process(main, *(pool(number, passed) for number in range(made(passed))))

    return poll


def _each_ten_seconds(passed: float) -> int:
    return int(passed // 10)


def test_pools_that_are_made_for_each_request_and_kept_are_found_with_their_line() -> None:
    (finding,) = live(300, _keeps(_each_ten_seconds))
    assert (finding.cause, finding.severity) == (Cause.POOL_PER_REQUEST, Severity.WARNING)
    assert finding.subject == Subject(app="orders")
    assert 10 <= finding.figures["kept_pools"] <= 18, "those made at the start are left out"
    assert any(SITE in one for one in finding.evidence)
    assert "not used again" in finding.summary


@pytest.mark.parametrize(
    "poll",
    [
        pytest.param(_keeps(lambda passed: 30), id="dozens when it starts"),
        pytest.param(_keeps(lambda passed: min(12, _each_ten_seconds(passed))),
                     id="one by one in its first minutes"),
        pytest.param(_keeps(lambda passed: int(passed // 45), every=45), id="slowly"),
        pytest.param(_keeps(lambda passed: 30 if passed > 200 else 0), id="all at once, later"),
        pytest.param(_keeps(_each_ten_seconds, checkouts=lambda age: age // 20),
                     id="each is used again"),
        pytest.param(_keeps(_each_ten_seconds, database=lambda number: f"tenant_{number}"),
                     id="each for a database of its own"),
        pytest.param(_keeps(lambda passed: 30 if passed > 200 else 0,
                            pid=lambda passed: "2" if passed > 200 else "1"),
                     id="a successor of the process begins with dozens"),
    ],
)  # fmt: skip
def test_many_pools_that_are_meant_are_no_finding(poll: Any) -> None:
    sides = BothSides(AppConfig(name="orders"))
    for reading in range(80):
        poll(sides, reading * INTERVAL)
        if reading % 4 == 0:
            assert not sides.analysis.findings
        sides.now += INTERVAL
