"""The examples of docs/how-to, run as they stand there against a real PostgreSQL."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.client import labels, values
from support.examples import DIRECTORY, blocks, environment_of, example, until_served
from support.postgres import Cluster, wait_until

_TESTED = {"any", "celery", "django", "fastapi", "flask", "gunicorn"}
_EXCERPTS = {"instrument", "testing", "testing-examples"}
"""No applications: lines to put into one, and tests, which `test_testing_docs` runs."""


@pytest.fixture(scope="module")
def shop(postgres: Cluster) -> str:
    """The connection string of the examples' database and role."""
    postgres.run("CREATE ROLE shop LOGIN")
    postgres.run("CREATE DATABASE shop OWNER shop")
    return postgres.dsn(user="shop", dbname="shop")


def test_every_example_is_tested() -> None:
    pages = {path.stem for path in DIRECTORY.glob("*.md") if blocks(path.stem, "python")}
    assert pages - _EXCERPTS == _TESTED


@pytest.mark.parametrize(
    ("name", "scheme", "client", "app", "pool"),
    [
        ("flask", "postgresql+psycopg", "sqlalchemy", "shop", "main"),
        ("fastapi", "postgresql+asyncpg", "sqlalchemy", "shop", "main"),
        ("django", "postgresql", "psycopg_pool", "shop", "default"),
        ("gunicorn", "postgresql", "psycopg_pool", "shop", "main"),
        ("any", "postgresql", "psycopg_pool", "from-outside", "main"),
    ],
)
def test_a_web_application_shows_what_each_of_its_processes_does(
    postgres: Cluster, shop: str, tmp_path: Path, name: str, scheme: str, client: str, app: str,
    pool: str,
) -> None:  # fmt: skip
    with example(name, tmp_path, environment_of(postgres, shop, scheme, tmp_path)) as running:
        asked = until_served(running)
        assert sum(running.acquired()) == asked
        assert (running.reported("client"), running.reported("app")) == ({client}, {app})
        assert (running.reported("pool"), running.reported("database")) == ({pool}, {"shop"})
        assert running.reported("application") == {"shop"}
        if name in ("flask", "fastapi", "django"):
            assert running.reported("framework") == {name}
        if name == "fastapi":
            assert sum(values(running.get("/metrics/"), "pg_pool_acquired_total")) == asked
        if name == "gunicorn":
            assert values(running.get("/metrics"), "shop_requests_total") == [asked]
            page = running.get("/pools")
            assert sum(values(page, "pg_pool_acquired_total")) == asked
            assert len(set(labels(page, "pg_pool_info", "process"))) == 2


@pytest.mark.parametrize(
    ("name", "scheme", "client"),
    [
        ("flask", "postgresql+psycopg", "sqlalchemy"),
        ("fastapi", "postgresql+asyncpg", "sqlalchemy"),
        ("django", "postgresql", "psycopg_pool"),
    ],
)
def test_a_web_application_that_knows_nothing_of_us_is_measured_by_the_command_before_it(
    postgres: Cluster, shop: str, tmp_path: Path, name: str, scheme: str, client: str
) -> None:
    environment = environment_of(postgres, shop, scheme, tmp_path)
    with example(name, tmp_path, environment, without_us=True) as running:
        asked = until_served(running)
        assert sum(running.acquired()) == asked
        assert (running.reported("client"), running.reported("app")) == ({client}, {"from-outside"})


@pytest.mark.slow
@pytest.mark.parametrize("without_us", [False, True])
def test_the_processes_of_a_task_queue_show_what_each_of_them_does(
    postgres: Cluster, shop: str, tmp_path: Path, without_us: bool
) -> None:
    (tmp_path / "queue").mkdir()
    environment = environment_of(postgres, shop, "postgresql+psycopg", tmp_path)
    with example("celery", tmp_path, environment, without_us=without_us) as running:
        sent = 0

        def send() -> bool:
            nonlocal sent
            subprocess.run(
                [sys.executable, "-c", "import tasks\nfor _ in range(10): tasks.count.delay()"],
                cwd=tmp_path, env={**environment, "PATH": ""}, check=True,
            )  # fmt: skip
            sent += 10
            wait_until(lambda: sum(running.acquired()) == sent, "all tasks have run")
            return len(running.acquired()) == 2

        wait_until(send, "both processes have run tasks")
        assert running.reported("app") == {"from-outside" if without_us else "shop-worker"}
        # The parent has no session.
        assert running.reported("application") == {"", "shop-worker"}
        assert running.reported("framework") == {"celery"}
        returned = [value for page in running.pages()
                    for value in values(page, "pg_pool_returned_total")]  # fmt: skip
        assert sum(returned) == sent


@pytest.mark.parametrize("name", sorted(_TESTED))
def test_the_code_of_an_example_is_whole(name: str) -> None:
    for text in blocks(name, "python"):
        assert text.startswith("# "), "it says the file's name"
        ast.parse(text)
