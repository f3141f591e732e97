"""Numbers, ports, grants and flags are the same in every document, and those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.recommended import RECOMMENDED_TIMEOUTS
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.commands.daemon import DEFAULT_PORT
from pg_pool_exporter.commands.options import FLAGS, PREFIX
from pg_pool_exporter.sockets import ENVIRONMENT

ROOT = Path(__file__).parents[1]
READ = [
    ROOT / "README.md",
    ROOT / "config.example.yaml",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
    *sorted((ROOT / "deploy/prometheus").glob("*.yml")),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in READ}
each_document = pytest.mark.parametrize("name", TEXTS)

OTHERS_PORTS = {"9187": "postgres_exporter", "9127": "pgbouncer_exporter"}
APPLICATIONS_PORT = "10433"
GRANTS = {
    "pg_monitor",
    "pg_use_reserved_connections",
    "pg_signal_backend",  # of terminate-idle only
    "rds_iam",  # Amazon's login by token
}


@each_document
def test_a_recommended_timeout_has_one_value(name: str) -> None:
    set_in = re.findall(r"ALTER ROLE \S+ SET (\w+) = '(\w+)'", TEXTS[name])
    assert [one for one in set_in if RECOMMENDED_TIMEOUTS.get(one[0], one[1]) != one[1]] == []


@pytest.mark.parametrize("setting", RECOMMENDED_TIMEOUTS)
def test_a_runbook_sets_each_recommended_timeout(setting: str) -> None:
    value = RECOMMENDED_TIMEOUTS[setting]
    assert any(
        f"SET {setting} = '{value}'" in text
        for name, text in TEXTS.items()
        if name.startswith("docs/runbooks/")
    )


def test_findings_recommend_the_same_timeouts() -> None:
    found = [
        pair
        for cause in Cause
        for pair in re.findall(r"SET (\w+_timeout) = '(\w+)'", remedy(cause))
    ]
    assert found
    assert all(RECOMMENDED_TIMEOUTS[name] == value for name, value in found)


def test_the_alert_about_a_missing_timeout_says_what_the_code_recommends() -> None:
    settings = re.findall(r"setting: (\w+)", TEXTS["deploy/prometheus/settings.yml"])
    (value,) = re.findall(r"labels.setting }} = '(\w+)'", TEXTS["deploy/prometheus/servers.yml"])
    assert settings
    assert {RECOMMENDED_TIMEOUTS[setting] for setting in settings} == {value}


@each_document
def test_ports_of_an_exporter_are_ours(name: str) -> None:
    """Those that begin with 104 or 91: ours, an application's, or another product's."""
    known = {str(DEFAULT_PORT), APPLICATIONS_PORT, *OTHERS_PORTS}
    assert set(re.findall(r":(104\d\d|91\d\d)\b", TEXTS[name])) <= known


@each_document
def test_grants_are_those_that_the_exporter_needs(name: str) -> None:
    granted = re.findall(r"GRANT (\w+) TO", TEXTS[name])
    assert set(granted) <= GRANTS
    for limit in re.findall(r"CREATE ROLE exporter .*?CONNECTION LIMIT (\d+)", TEXTS[name]):
        assert limit == "3"


@each_document
def test_flags_and_variables_exist(name: str) -> None:
    spelt = {flag.spelt for flag in FLAGS}
    assert set(re.findall(r"--(?:web|config|log)\.[a-z.-]*[a-z]", TEXTS[name])) <= spelt
    variables = {flag.variable for flag in FLAGS if flag.in_environment}
    variables |= {
        f"{PREFIX}{one}" for one in ("DSN", "APP", "SERVER", "LEAK_AFTER", "INSTRUMENT_ALL")
    }
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]", TEXTS[name]))
    assert named <= {*variables, ENVIRONMENT}
