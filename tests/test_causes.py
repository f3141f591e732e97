"""The causes: one set, by the same names, wherever one is reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.remedies import remedy, runbook
from pg_pool_exporter.client.libraries import LIBRARIES as INSTRUMENTED
from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.web import paths as web_paths
from support.rule_files import ALERTS, RECORDS, ROOT, WITHOUT_ALERT, causes

CAUSES = {cause.value for cause in Cause}
OF_ALERTS = CAUSES - WITHOUT_ALERT.keys()
# As pools name it: the instrumented libraries, then those whose pages are read.
LIBRARIES = {*INSTRUMENTED, *(form.client for form in FORMATS.values() if form.client)}


def test_each_cause_has_an_alert_or_a_reason_for_none() -> None:
    """When this fails: an entry in deploy/prometheus/findings.py."""
    assert {cause for alert in ALERTS.values() for cause in causes(alert)} == OF_ALERTS
    assert all(WITHOUT_ALERT.values())


@pytest.mark.parametrize(("page", "named"), [("findings.md", CAUSES), ("alerts.md", OF_ALERTS)])
def test_the_documentation_has_a_row_for_each(page: str, named: set[str]) -> None:
    text = (ROOT / "docs/reference" / page).read_text()
    table = text.partition("| cause |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == named


@pytest.mark.parametrize("cause", [Cause.LEAK, Cause.POOL_TOO_SMALL])
@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_what_to_do_is_reported_in_the_words_of_the_pool_library(
    cause: Cause, library: str
) -> None:
    assert remedy(cause, library) != remedy(cause)


def test_findings_lead_where_the_alerts_do() -> None:
    (links,) = [one for one in RECORDS if one.name == "pg_pool_exporter:links:info"]
    assert links.labels["runbooks"] == web_paths.RUNBOOKS


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_remedy_and_a_runbook_that_is_there(cause: Cause) -> None:
    assert remedy(cause)
    assert not re.search("[{}]", remedy(cause))
    page = runbook(cause, str(ROOT / "docs/runbooks"))
    assert Path(page).is_file() if page else cause is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("framework", "library", "words"),
    [
        ("django", "psycopg_pool", ["close_old_connections()", "pool.connection()"]),
        ("django", "SQLAlchemy", ["Session(engine)"]),
        ("fastapi", "SQLAlchemy", ["dependency", "async with"]),
        ("fastapi", "asyncpg", ["dependency", "pool.acquire()"]),
        ("flask", "SQLAlchemy", ["session.remove()", "Session(engine)"]),
        ("celery", "psycopg2", ["inside the task", "putconn()"]),
        ("", "HikariCP", ["try-with-resources"]),
        ("", "node-postgres", ["client.release()"]),
        ("", "pgxpool", ["conn.Release()"]),
        ("", "Npgsql", ["await using"]),
        ("", "", ["on every path"]),
        ("an unknown one", "an unknown one", ["on every path"]),
    ],
)
def test_a_leak_is_fixed_in_the_words_of_what_the_person_runs(
    framework: str, library: str, words: list[str]
) -> None:
    text = remedy(Cause.LEAK, library, framework)
    assert [word for word in words if word not in text] == []


def test_the_size_of_a_pool_is_set_where_its_framework_has_it() -> None:
    assert 'OPTIONS["pool"]' in remedy(Cause.POOL_TOO_SMALL, "psycopg_pool", "django")
    assert "OPTIONS" not in remedy(Cause.POOL_TOO_SMALL, "SQLAlchemy", "django")
    assert "SQLALCHEMY_ENGINE_OPTIONS" in remedy(Cause.POOL_TOO_SMALL, "SQLAlchemy", "flask")
    assert "max_overflow" in remedy(Cause.POOL_TOO_SMALL, "SQLAlchemy", "fastapi")
