"""The examples of docs/how-to/testing-examples.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.pools import url
from support.postgres import Cluster

_PAGE = Path(__file__).parents[1] / "docs/how-to/testing-examples.md"
_EXAMPLE = re.compile(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLES = dict(_EXAMPLE.findall(_PAGE.read_text()))


def test_there_is_an_example_for_each_framework() -> None:
    assert sorted(_EXAMPLES) == ["test_django.py", "test_fastapi.py", "test_flask.py"]


@pytest.mark.parametrize("name", sorted(_EXAMPLES))
@pytest.mark.parametrize("arguments", [[], ["--pg-pool-leaks"]], ids=["marked", "all"])
def test_the_example_passes(
    name: str, arguments: list[str], tmp_path: Path, postgres: Cluster
) -> None:
    (tmp_path / name).write_text(_EXAMPLES[name])
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = one\naddopts = --strict-markers\n")
    told = conninfo_to_dict(postgres.dsn())
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    environment = {
        **os.environ,
        **{variable: str(told[key]) for variable, key in names.items()},
        "PYTEST_ADDOPTS": "",  # what is given to our own run is not meant for theirs
        "DATABASE_URL": url("postgresql+psycopg", postgres.dsn()),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
