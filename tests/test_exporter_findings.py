"""What the exporter itself knows to be wrong: a finding, a point of the checklist, a sentence."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Verdict
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import DiscoveryStatus
from pg_pool_exporter.discovery.socket_directory import SocketDirectory
from pg_pool_exporter.model import Health, LogCounts, Snapshot, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
from support.daemons import Scraper, exporting

LIST = DiscoveryStatus(
    app="orders", mechanism="file_sd", name="/etc/orders.json", up=False, targets=2,
    problem="is not a list",
)  # fmt: skip


def analysed(status: ExporterStatus, *states: TargetState) -> Analysis:
    store = Store()
    analyzer = Analyzer(store, Config(), clock=lambda: 1.0)
    for state in states:
        store.put(state)
    analyzer.exporter = status
    return analyzer.update()


def the(analysis: Analysis) -> Finding:
    (found,) = (one for one in analysis.findings if one.cause is Cause.EXPORTER_IMPAIRED)
    return found


def verdict(analysis: Analysis) -> Verdict:
    (point,) = (one for one in analysis.checks if one.name == "exporter")
    return point.verdict


def test_a_colon_in_a_name_cuts_no_summary() -> None:
    status = ExporterStatus(lists=(replace(LIST, app="shop:eu"),))
    assert "shop:eu can't be used" in the(analysed(status)).summary


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            ExporterStatus(config_problem="config.yaml:3: interval: must be a duration"),
            ("configuration", "former one", "config.yaml:3: interval"),
        ),
        (
            ExporterStatus(has_web_config=True, web_config_problem="web.yaml: is not valid YAML"),
            ("web configuration", "former one", "web.yaml"),
        ),
        (
            ExporterStatus(
                socket_directory="/tmp/x", socket_directory_problem="/tmp/x is a symbolic link"
            ),
            ("socket directory", "/tmp/x is a symbolic link"),
        ),
        (ExporterStatus(lists=(LIST,)), ("orders", "/etc/orders.json", "is not a list")),
    ],
)
def test_what_it_cannot_use_is_a_finding_that_says_what_and_why(
    status: ExporterStatus, words: tuple[str, ...]
) -> None:
    analysis = analysed(status)
    found = the(analysis)
    text = " ".join([found.summary, *found.evidence])
    assert [word for word in words if word not in text] == []
    assert str(found.subject) == "the exporter"
    assert verdict(analysis) is Verdict.WARNING


def test_several_faults_are_one_finding_with_a_sentence_each() -> None:
    found = the(analysed(ExporterStatus(config_problem="c.yaml: gone", lists=(LIST, LIST))))
    assert (found.amount, len(found.evidence)) == (3, 3)


def test_a_configuration_with_a_hundred_mistakes_is_cut() -> None:
    problem = "\n".join(f"c.yaml:{number}: {'x' * 1000}" for number in range(100))
    (evidence,) = the(analysed(ExporterStatus(config_problem=problem))).evidence
    assert len(evidence) < 2000
    assert "95 more" in evidence


def test_without_a_fault_the_point_is_fine() -> None:
    up = DiscoveryStatus(app="orders", mechanism="file_sd", name="x", up=True, targets=2)
    analysis = analysed(ExporterStatus(has_web_config=True, lists=(up,)))
    assert analysis.findings == ()
    assert verdict(analysis) is Verdict.FINE


def of_log(**fields: Any) -> TargetState:
    counts = LogCounts(
        timeouts={}, opened=None, closed=None, refused={}, read=0, lag=0, unparsed=0, **fields
    )
    return TargetState(
        key=TargetId("log", "main"), interval=5.0, health=Health(up=True, polls=1),
        snapshot=Snapshot(log=counts), taken=0.0,
    )  # fmt: skip


def test_a_log_whose_state_is_not_saved_is_a_finding_with_the_reason() -> None:
    problem = "/var/lib/x/log-main.json cannot be written: No space left on device"
    found = the(analysed(ExporterStatus(), of_log(state_saved=False, state_problem=problem)))
    assert "No space left" in " ".join(found.evidence)
    assert found.subject.target == TargetId("log", "main")


@pytest.mark.parametrize("saved", [True, None], ids=["saved", "no state directory"])
def test_a_log_whose_state_is_saved_or_not_kept_is_no_finding(saved: bool | None) -> None:
    assert analysed(ExporterStatus(), of_log(state_saved=saved)).findings == ()


@pytest.mark.parametrize(("share", "found"), [(None, False), (0.49, False), (0.5, True)])
def test_a_log_half_of_whose_lines_are_no_records_is_a_finding_with_their_shape(
    share: float | None, found: bool
) -> None:
    state = of_log(unparsed_ratio=share, unparsed_shape="a: a")
    findings = analysed(ExporterStatus(), state).findings
    assert [one.cause for one in findings] == [Cause.LOG_NOT_UNDERSTOOD] * found
    assert all("'a: a'" in " ".join(one.evidence) for one in findings)


def test_a_log_that_is_not_understood_at_all_is_a_finding_at_once() -> None:
    error = "the last lines are no records of csv; their shape is 'a: a'"
    health = Health(polls=2, failures={"not_understood": 1}, reason="not_understood", error=error)
    (found,) = analysed(ExporterStatus(), replace(of_log(), health=health)).findings
    assert found.cause is Cause.LOG_NOT_UNDERSTOOD
    assert "'a: a'" in " ".join(found.evidence)


def problem_of(directory: Path) -> str:
    found = SocketDirectory(directory)
    asyncio.run(found.look())
    return found.problem or ""


def test_a_socket_directory_that_only_root_may_write_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    assert problem_of(tmp_path) == ""
    if os.geteuid() == 0:  # it belongs to root, and the exporter is somebody else
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert "can be written by nobody but" in problem_of(tmp_path)
        tmp_path.chmod(0o3770)
        assert problem_of(tmp_path) == ""


async def _impaired(scraper: Scraper) -> str:
    _, text = await scraper.get("/api/v1/findings")
    return " ".join(
        " ".join([one["summary"], *one["evidence"]])
        for one in json.loads(text)["findings"]
        if one["cause"] == "exporter_impaired"
    )


def test_a_daemon_reports_a_failed_reload_and_web_configuration_until_they_are_right(
    tmp_path: Path,
) -> None:
    config, web = tmp_path / "config.yaml", tmp_path / "web.yaml"
    config.write_text("socket_dir: ''\n")
    web.write_text("basic_auth_users: {}\n")

    async def main() -> None:
        async with exporting(config, web_config_file=web) as scraper:

            async def shows(*words: str) -> bool:
                text = await _impaired(scraper)
                return all(word in text for word in words) and bool(text) is bool(words)

            assert await _impaired(scraper) == ""
            config.write_text("nonsense: 1\n")
            assert await scraper.post("/-/reload") == 500
            await scraper.until(lambda: shows("config.yaml", "nonsense"))
            web.write_text("nonsense: 1\n")
            await scraper.until(lambda: shows("config.yaml", "web.yaml"))
            config.write_text("socket_dir: ''\n")
            web.write_text("basic_auth_users: {}\n")
            assert await scraper.post("/-/reload") == 200
            await scraper.until(shows)

    asyncio.run(main())
