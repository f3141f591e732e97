"""The pytest plugin, in runs of pytest of its own: which tests fail, and with what text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from support.postgres import Cluster

_POOL = """
    import threading, time
    import pytest
    from psycopg_pool import ConnectionPool

    DSN = {dsn!r}

    @pytest.fixture(scope="session")
    def pool():
        with ConnectionPool(DSN, min_size=2, open=True) as pool:
            yield pool
"""

PLUGIN = "pg_pool_exporter.testing.plugin"
ALONE = {"PYTHONPATH": "", "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Most of a run's time would be the import of the other plugins that are installed here."""

Run = Callable[..., tuple[dict[str, int], str]]


@pytest.fixture
def run(tmp_path: Path, postgres: Cluster) -> Run:
    """Runs pytest over the code of a test file; how many passed, failed and so on, and its output.

    In a process of its own, as the plugin watches each pool that is made.
    """

    def run(code: str, *arguments: str, ini: str = "") -> tuple[dict[str, int], str]:
        (tmp_path / "conftest.py").write_text(dedent(_POOL.format(dsn=postgres.dsn())))
        (tmp_path / "test_shop.py").write_text("import pytest, threading, time\n" + dedent(code))
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}\n")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, *arguments],
            cwd=tmp_path, env={**os.environ, **ALONE}, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        last = output.strip().splitlines()[-1]
        counts = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last)}
        return {name: n for name, n in counts.items() if name in OUTCOMES}, output

    return run


OUTCOMES = {"passed", "failed", "error", "skipped"}

_LEAKS = """
    def test_that_leaks(pool):
        test_that_leaks.kept = pool.getconn()

    def test_that_returns(pool):
        with pool.connection():
            pass
"""


@pytest.mark.parametrize(
    ("arguments", "ini"),
    [(("--pg-pool-leaks",), ""), ((), "pg_pool_leaks = true")],
    ids=["option", "setting"],
)
def test_a_test_that_keeps_a_connection_is_an_error_that_names_the_line(
    run: Run, arguments: tuple[str, ...], ini: str
) -> None:
    counts, output = run(_LEAKS, *arguments, ini=ini)
    assert counts == {"passed": 2, "error": 1}
    assert "ERROR at teardown of test_that_leaks" in output
    assert "1 of pool 'pool-1' checked out at test_shop.py:4 test_that_leaks" in output


def test_nothing_is_watched_until_it_is_asked_for(run: Run) -> None:
    counts, _ = run(
        _LEAKS
        + """
    def test_modules():
        import sys
        assert not [one for one in sys.modules if one.startswith("pg_pool_exporter.client")]
        assert "pg_pool_exporter.testing.guard" not in sys.modules
    """
    )
    assert counts == {"passed": 3}


def test_a_marker_asks_for_some_tests_or_leaves_some_out(run: Run) -> None:
    code = """
    @pytest.mark.pg_pool_leaks
    def test_asked(pool):
        test_asked.kept = pool.getconn()

    @pytest.mark.pg_pool_leaks(False)
    def test_left_out(pool):
        test_left_out.kept = pool.getconn()

    def test_plain():
        pass
    """
    counts, output = run(code)
    assert counts == {"passed": 3, "error": 1}
    assert "ERROR at teardown of test_asked" in output
    counts, output = run(code, "--pg-pool-leaks")
    assert counts == {"passed": 3, "error": 1}
    assert "ERROR at teardown of test_asked" in output


def test_a_dropped_connection_is_an_error(run: Run) -> None:
    counts, output = run(
        """
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_that_forgets(pool):
        pool.getconn().execute("select 1")
    """,
        "--pg-pool-leaks",
    )
    assert counts == {"passed": 1, "error": 1}
    assert "dropped without being returned, checked out at test_shop.py:5" in output


def test_what_a_wider_fixture_holds_is_its_own_until_it_ends(run: Run) -> None:
    code = """
    @pytest.fixture(scope="module")
    def listening(pool):
        connection = pool.getconn()
        yield connection
        {end}

    def test_one(listening):
        pass

    def test_two(listening, pool):
        with pool.connection():
            pass
    """
    counts, _ = run(code.format(end="pool.putconn(connection)"), "--pg-pool-leaks")
    assert counts == {"passed": 2}
    counts, output = run(code.format(end="pass"), "--pg-pool-leaks")
    assert counts == {"passed": 2, "error": 1}
    assert "ERROR at teardown of test_two" in output
    assert "test_shop.py:5 listening, by the fixture 'listening'" in output


def test_what_a_fixture_of_the_test_holds_must_be_returned_by_it(run: Run) -> None:
    code = """
    @pytest.fixture
    def connection(pool):
        connection = pool.getconn()
        yield connection
        {end}

    def test_one(connection):
        pass
    """
    counts, _ = run(code.format(end="pool.putconn(connection)"), "--pg-pool-leaks")
    assert counts == {"passed": 1}
    counts, output = run(code.format(end="pass"), "--pg-pool-leaks")
    assert counts == {"passed": 1, "error": 1}
    assert "test_shop.py:5 connection" in output


@pytest.mark.slow
def test_what_a_thread_returns_in_time_is_no_leak(run: Run) -> None:
    code = """
    def test_one(pool):
        connection = pool.getconn()
        threading.Timer(0.3, pool.putconn, [connection]).start()
    """
    assert run(code, "--pg-pool-leaks", ini="pg_pool_leaks_wait = 20")[0] == {"passed": 1}
    counts, _ = run(code, "--pg-pool-leaks", ini="pg_pool_leaks_wait = 0")
    assert counts == {"passed": 1, "error": 1}


def test_pools_made_in_a_test_and_before_the_marker_was_met_are_watched(run: Run) -> None:
    counts, output = run(
        """
    from sqlalchemy import create_engine
    from conftest import DSN
    from psycopg_pool import ConnectionPool

    early = ConnectionPool(DSN, min_size=1, open=True)

    @pytest.mark.pg_pool_leaks
    def test_early():
        test_early.kept = early.getconn()

    @pytest.mark.pg_pool_leaks
    def test_new():
        with ConnectionPool(DSN, min_size=1, open=True) as pool:
            kept = pool.getconn()
            assert kept
            kept.close()

    def test_end():
        early.putconn(test_early.kept)
        early.close()
    """
    )
    assert counts == {"passed": 3, "error": 2}
    assert "ERROR at teardown of test_early" in output
    assert "ERROR at teardown of test_new" in output


@pytest.mark.slow
def test_classes_of_unittest_and_workers_of_xdist(run: Run) -> None:
    code = """
    import unittest
    from conftest import DSN
    from psycopg_pool import ConnectionPool

    class TestOrders(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.pool = ConnectionPool(DSN, min_size=1, max_size=3, open=True)
            cls.held = cls.pool.getconn()

        @classmethod
        def tearDownClass(cls):
            cls.pool.putconn(cls.held)
            cls.pool.close()

        def test_good(self):
            with self.pool.connection():
                pass

        def test_bad(self):
            self.kept = self.pool.getconn()
    """
    for workers in ("0", "2"):
        counts, output = run(code, "--pg-pool-leaks", "-p", "xdist", "-n", workers)
        assert counts == {"passed": 2, "error": 1}
        assert "ERROR at teardown of TestOrders.test_bad" in output


def test_a_leak_is_an_error_once_and_not_of_the_tests_that_follow(run: Run) -> None:
    counts, _ = run(
        """
    kept = []

    def test_that_leaks(pool):
        kept.append(pool.getconn())

    @pytest.mark.parametrize("n", range(3))
    def test_later(pool, n):
        with pool.connection():
            pass
    """,
        "--pg-pool-leaks",
    )
    assert counts == {"passed": 4, "error": 1}


def test_a_test_in_which_the_leak_of_another_is_collected_is_innocent(run: Run) -> None:
    counts, output = run(
        """
    import gc
    kept = []

    def test_that_leaks(pool):
        kept.append(pool.getconn())

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_innocent():
        kept.clear()
        gc.collect()
    """,
        "--pg-pool-leaks",
    )
    assert counts == {"passed": 2, "error": 1}
    assert "ERROR at teardown of test_that_leaks" in output


def test_a_fixture_that_fails_to_end_does_not_pass_its_leak_on(run: Run) -> None:
    counts, output = run(
        """
    kept = []

    @pytest.fixture
    def broken(pool):
        kept.append(pool.getconn())
        yield
        raise LookupError("no such item")

    def test_broken(broken):
        pass

    def test_innocent(pool):
        with pool.connection():
            pass
    """,
        "--pg-pool-leaks",
    )
    assert counts == {"passed": 2, "error": 1}
    assert "no such item" in output
    assert "1 of pool 'pool-1' checked out at test_shop.py:7 broken" in output


@pytest.mark.parametrize("wrong", ["soon", "-1", "nan", "inf"])
def test_a_wrong_wait_is_an_error_of_usage(run: Run, wrong: str) -> None:
    _, output = run(_LEAKS, "--pg-pool-leaks", ini=f"pg_pool_leaks_wait = {wrong}")
    assert f"pg_pool_leaks_wait must be a number of seconds, not {wrong!r}" in output


@pytest.mark.slow
def test_connections_that_django_keeps_from_test_to_test_are_no_leak(run: Run) -> None:
    counts, output = run(
        """
    import django
    from django.conf import settings
    from psycopg.conninfo import conninfo_to_dict
    from conftest import DSN

    told = conninfo_to_dict(DSN)
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": told["dbname"],
        "HOST": told["host"], "PORT": told["port"], "USER": told["user"],
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 3}},
    }})
    django.setup()

    def test_one():
        from django.db import connection
        with connection.cursor() as cursor:
            cursor.execute("select 1")

    def test_that_leaks():
        from django.db import connection
        test_that_leaks.kept = connection.pool.getconn()

    def test_end():
        from django.db import connection
        connection.pool.putconn(test_that_leaks.kept)
        connection.close()
        connection.close_pool()
    """,
        "--pg-pool-leaks",
    )
    assert counts == {"passed": 3, "error": 1}, output
    assert "ERROR at teardown of test_that_leaks" in output
