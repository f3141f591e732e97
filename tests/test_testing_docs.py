"""The examples of docs/how-to/testing-examples.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import require
from support.pools import url
from support.postgres import Cluster

_PAGE = Path(__file__).parents[1] / "docs/how-to/testing-examples.md"
_EXAMPLE = re.compile(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.MULTILINE | re.DOTALL
_EXAMPLES = dict(_EXAMPLE.findall(_PAGE.read_text()))


def test_there_is_an_example_for_each_framework() -> None:
    assert sorted(_EXAMPLES) == ["test_django.py", "test_fastapi.py", "test_flask.py"]


@pytest.mark.parametrize("name", sorted(_EXAMPLES))
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="marked"),
        pytest.param(["--pg-pool-leaks"], id="all", marks=pytest.mark.slow),
    ],
)
def test_the_example_passes(
    name: str, arguments: list[str], tmp_path: Path, postgres: Cluster
) -> None:
    (tmp_path / name).write_text(_EXAMPLES[name])
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = one\naddopts = --strict-markers\n")
    done = _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
                tmp_path, postgres)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("leaks", "code"), [(False, 0), (True, 1)])
def test_the_load_test_fails_only_where_a_connection_is_not_returned(
    leaks: bool, code: int, tmp_path: Path, postgres: Cluster
) -> None:
    require(find_spec("locust"), "locust")
    (script,) = re.findall(r"^```python\n# load_orders\.py\n(.*?)^```$", _PAGE.read_text(), _BLOCK)
    if leaks:
        script = script.replace("runner.quit()", "runner.quit()\n    pool.getconn()")
        script = script.replace("wait=10", "wait=0.5")
    (tmp_path / "load_orders.py").write_text(script)
    done = _run([sys.executable, "load_orders.py"], tmp_path, postgres)
    assert done.returncode == code, done.stdout + done.stderr
    if leaks:
        assert "1 connection was not returned to the pool" in done.stderr
        assert "load_orders.py" in done.stderr
        assert "Exception ignored" not in done.stderr
    else:
        assert re.search(r"^[1-9]\d* orders, 0 failed$", done.stdout, re.MULTILINE)


def _run(
    command: Sequence[str], directory: Path, postgres: Cluster
) -> subprocess.CompletedProcess[str]:
    told = conninfo_to_dict(postgres.dsn())
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    environment = {
        **os.environ,
        **{variable: str(told[key]) for variable, key in names.items()},
        "PYTEST_ADDOPTS": "",  # what is given to our own run is not meant for theirs
        "DATABASE_URL": url("postgresql+psycopg", postgres.dsn()),
    }
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
