"""A program whose pools are all instrumented, without a change of its code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pg_pool_exporter.client import instrument_all
from pg_pool_exporter.sockets import ENVIRONMENT
from support.client import APPS
from support.pools import url
from support.postgres import Cluster

_AUTO = [sys.executable, "-W", "error", "-m", "pg_pool_exporter.client.auto"]
_POOLS = ("async", "async engine", "asyncpg", "engine", "psycopg2", "sync")


def run(
    command: Sequence[str | Path], directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, ENVIRONMENT: str(directory), "PG_POOL_EXPORTER_APP": "shop",
             "PYTHONPATH": str(APPS.parent), **environment},
    )  # fmt: skip


def program(postgres: Cluster) -> list[str]:
    arguments = [postgres.dsn(), url("", postgres.dsn())]
    return [sys.executable, "-W", "error", str(APPS / "makes_every_pool.py"), *arguments]


def answer_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_each_pool_is_measured_here_and_in_what_the_program_starts(
    postgres: Cluster, tmp_path: Path
) -> None:
    answer = answer_of(run([*_AUTO, *program(postgres)], tmp_path))
    assert answer["before"] == [], "neither a library nor the client is imported for it"
    assert answer["measured"] == {pool: ["shop", 1] for pool in _POOLS}
    assert answer["child"]["measured"] == answer["measured"]


def test_as_python_starts_next_to_nothing_is_imported(tmp_path: Path) -> None:
    """gevent must patch the standard library before anything has imported it."""
    script = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    plain = answer_of(run([sys.executable, "-c", script], tmp_path))
    ours = answer_of(run([*_AUTO, sys.executable, "-c", script], tmp_path))
    more = {name.partition(".")[0] for name in {*ours} - {*plain}}
    assert not more & {"asyncio", "http", "logging", "socket", "ssl", "subprocess", "threading"}


def test_the_environment_alone_does_it_and_can_switch_it_off(
    postgres: Cluster, tmp_path: Path
) -> None:
    printed = run(_AUTO, tmp_path).stdout.splitlines()
    environment = dict(line.split("=", 1) for line in printed)
    assert set(environment) == {"PG_POOL_EXPORTER_INSTRUMENT_ALL", "PYTHONPATH"}
    answer = answer_of(run(program(postgres), tmp_path, **environment))
    assert set(answer["measured"]) == set(_POOLS)
    for off in ("0", "off", ""):
        environment["PG_POOL_EXPORTER_INSTRUMENT_ALL"] = off
        assert answer_of(run(program(postgres), tmp_path, **environment))["measured"] is None


def test_a_client_that_cannot_be_imported_any_more_costs_the_application_nothing(
    postgres: Cluster, tmp_path: Path
) -> None:
    """As after an upgrade of the package under a running program."""
    script = (
        "import sys, psycopg2.pool\n"
        "sys.modules['pg_pool_exporter.client.process'] = None\n"
        f"pool = psycopg2.pool.SimpleConnectionPool(1, 1, {postgres.dsn()!r})\n"
        "pool.putconn(pool.getconn())\n"
        "print('served')\n"
    )
    done = run([*_AUTO, sys.executable, "-c", script], tmp_path)
    assert (done.returncode, done.stdout) == (0, "served\n")
    assert "pool is not instrumented" in done.stderr


def test_a_class_that_cannot_be_extended_is_imported_all_the_same(tmp_path: Path) -> None:
    """As a class of an extension module."""
    directory = tmp_path / "psycopg2"
    directory.mkdir()
    (directory / "__init__.py").touch()
    (directory / "pool.py").write_text("AbstractConnectionPool = int\n")
    script = "import psycopg2.pool; print(psycopg2.pool.AbstractConnectionPool(7))"
    done = run([*_AUTO, sys.executable, "-c", script], tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert "AbstractConnectionPool is not extended" in done.stderr


def test_the_sitecustomize_that_was_there_is_run_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.theirs = 'ran'\n")
    done = run([*_AUTO, sys.executable, "-c", "print(theirs)"], tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == ("ran\n", "")


def test_the_working_directory_stays_on_the_path_where_an_empty_entry_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `PYTHONPATH=$PYTHONPATH:/srv/lib` does where the variable was empty."""
    monkeypatch.chdir(tmp_path)
    script = "import os, sys; print(os.getcwd() in sys.path)"
    for path, expected in ((":/srv/lib", "True"), ("/srv/lib", "False"), ("", "False")):
        done = run([*_AUTO, sys.executable, "-c", script], tmp_path, PYTHONPATH=path)
        assert (done.stdout, done.stderr) == (f"{expected}\n", "")


def test_a_python_that_does_not_have_the_client_runs_as_ever(tmp_path: Path) -> None:
    done = run([*_AUTO, sys.executable, "-S", "-c", "print('ran')"], tmp_path)
    assert (done.stdout, done.stderr) == ("ran\n", "")
    script = "import sys; sys.path[:] = [one for one in sys.path if 'site-packages' not in one]"
    done = run([*_AUTO, sys.executable, "-c", script], tmp_path)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["no-such-program", "x"], 127, "no-such-program: No such file or directory; give the"),
        (["--help"], 0, "usage: python -m pg_pool_exporter.client.auto COMMAND"),
        (["--app", "shop"], 2, "usage: python -m pg_pool_exporter.client.auto COMMAND"),
    ],
)
def test_a_command_that_cannot_be_run_is_reported(
    tmp_path: Path, arguments: list[str], status: int, said: str
) -> None:
    done = run([*_AUTO, *arguments], tmp_path)
    assert done.returncode == status
    assert (done.stdout + done.stderr).startswith(said)


_CALLED_FIRST = """
import sys
from pg_pool_exporter.client import instrument_all
{imports}
instrument_all(app="first", leak_after="5s")
import psycopg_pool, sqlalchemy, inspect
from pg_pool_exporter.client.process import PROCESS
pool = psycopg_pool.ConnectionPool(open=False, name="main")
engine = sqlalchemy.create_engine("postgresql+psycopg://")
class Own(psycopg_pool.ConnectionPool):
    def __init__(self):
        super().__init__(open=False, name="own")
own = Own()
instrument_all(app="second")
later = psycopg_pool.ConnectionPool(open=False, name="later")
print([(one.key.app, one.key.pool, one.leak_after) for one in PROCESS.samples()])
print("timeout" in inspect.signature(psycopg_pool.ConnectionPool).parameters,
      "class ConnectionPool" in inspect.getsource(psycopg_pool.pool))
"""


@pytest.mark.parametrize("imports", ["", "import psycopg_pool, sqlalchemy"])
def test_called_in_the_code_before_or_after_the_libraries_are_imported(
    tmp_path: Path, imports: str
) -> None:
    done = run(
        [sys.executable, "-W", "error", "-c", _CALLED_FIRST.format(imports=imports)], tmp_path
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    names = ("main", "sqlalchemy", "own")
    of_first = [("first", name, 5.0) for name in names]
    assert first == str([*of_first, ("second", "later", 60.0)]), "the last call holds from then on"
    assert second == "True True"


_IMPORTED_PAST_AN_OLD_HOOK = """
import sys
from pg_pool_exporter.client import instrument_all
class Old:
    def find_module(self, name, path=None):
        return None
sys.meta_path.insert(0, Old())
instrument_all()
import psycopg_pool
print(psycopg_pool.ConnectionPool(open=False).name)
"""


def test_an_import_hook_of_the_old_kind_is_skipped(tmp_path: Path) -> None:
    """Python itself asks it with a warning until 3.11, and no longer since."""
    done = run([sys.executable, "-c", _IMPORTED_PAST_AN_OLD_HOOK], tmp_path)
    assert (done.stdout, done.stderr) == ("pool-1\n", "")


def test_it_does_not_matter_to_this_process() -> None:
    """`instrument_all` changes classes for good: here nothing has called it."""
    assert callable(instrument_all)
    assert not any("pg_pool_exporter" in type(one).__module__ for one in sys.meta_path)
