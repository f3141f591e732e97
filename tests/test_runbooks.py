"""Runbooks: the commands in them work, and their links lead somewhere."""

from __future__ import annotations

import re

import psycopg
import pytest

from support.postgres import Cluster
from support.promql import check
from support.rule_files import ALERTS, ROOT, Alert, causes, severities

RUNBOOKS = ROOT / "docs/runbooks"
PAGES = {path.stem: path.read_text() for path in sorted(RUNBOOKS.glob("*.md"))}
TOPICS = {name: text for name, text in PAGES.items() if name not in ALERTS}
SECTIONS = ["## Symptom", "## Confirm", "## Fix", "## Prevent"]
LIBRARIES = (
    "psycopg_pool", "SQLAlchemy", "asyncpg", "psycopg2", "node-postgres", "Sequelize", "HikariCP",
    "Npgsql", "pgx", "database/sql", "PgBouncer",
)  # fmt: skip

every_page = pytest.mark.parametrize("name", PAGES)
every_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)


def blocks(page: str, language: str) -> list[str]:
    """The code of a page in one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)


@every_alert
def test_a_runbook_says_what_to_do_and_what_not(alert: Alert) -> None:
    page = PAGES[alert.name]
    assert re.findall(r"^## .*$", page, re.MULTILINE) == SECTIONS
    assert page.startswith(f"# {alert.name}\n\n{alert.annotations['summary']} Severity ")
    said = page.split("\n\n")[1].partition(" Severity ")[2].partition(",")[0]
    assert sorted(re.findall(r"`(\w+)`", said)) == sorted(severities(alert))
    for cause in causes(alert):
        assert f"`{cause}`" in page
    _, confirm, fix, prevent = page.split("\n## ")[1:]
    assert "```" in confirm or "the query in [" in confirm
    assert len(fix) > 100
    assert "\n### Not this\n" in fix
    assert len(prevent) > 50


@every_page
def test_links_of_a_page_lead_to_files(name: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGES[name]):
        assert (RUNBOOKS / link).resolve().is_file(), link


@every_page
def test_a_pages_promql_finds_something(name: str) -> None:
    for expression in blocks(PAGES[name], "promql"):
        if not expression.startswith("{__name__"):
            assert check(expression).problems == [], expression


@every_page
def test_a_pages_console_shows_what_is_printed(name: str) -> None:
    """Lines behind each command, and no grep that also finds HELP and TYPE."""
    for block in blocks(PAGES[name], "console"):
        last = re.sub(r"\\\n", "", block).rstrip().splitlines()[-1].strip()
        assert not last.startswith("$ "), block
        assert not re.search(r"/metrics.*\| grep (?!\S* ?'?\^)", block.replace("\\\n", "")), block


@pytest.fixture(scope="module")
def shop(any_postgres: Cluster) -> Cluster:
    """A server with the roles that the pages talk of."""
    for role in ("orders", "migrations"):
        any_postgres.run(f"DROP ROLE IF EXISTS {role}")
        any_postgres.run(f"CREATE ROLE {role}")
    return any_postgres


@every_page
def test_a_pages_sql_runs(shop: Cluster, name: str) -> None:
    for text in blocks(PAGES[name], "sql"):
        statements = [one for one in text.split(";") if one.strip()]
        with psycopg.connect(shop.dsn()) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            connection.rollback()


def test_the_topics_name_what_to_do_in_every_library() -> None:
    for name, page in TOPICS.items():
        missing = [library for library in LIBRARIES if library not in page]
        assert missing == [], name


def test_every_topic_is_linked_from_a_runbook() -> None:
    for topic in TOPICS:
        assert any(f"({topic}.md)" in PAGES[alert] for alert in ALERTS), topic
