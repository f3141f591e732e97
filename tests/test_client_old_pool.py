"""The same numbers from the installed psycopg_pool and from the oldest one that is supported."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg_pool
import pytest

from conftest import require
from support.client import run_app
from support.postgres import Cluster

_OLD = "PGPE_OLD_PSYCOPG_POOL"


@pytest.mark.parametrize("old", [False, True], ids=["installed", "3.2"])
def test_all_four_pools_are_measured(postgres: Cluster, tmp_path: Path, old: bool) -> None:
    directory = os.environ.get(_OLD, "")
    if old:
        require(directory, f"psycopg_pool 3.2 in a directory that ${_OLD} names")
    arguments = [directory] if old else []
    told = run_app("every_pool", postgres.dsn(), *arguments, directory=tmp_path)
    assert told.pop("version").startswith("3.2." if old else psycopg_pool.__version__)
    assert set(told) == {
        "ConnectionPool", "NullConnectionPool", "AsyncConnectionPool", "AsyncNullConnectionPool",
    }  # fmt: skip
    for numbers in told.values():
        assert numbers == {
            "max": 2, "active": [1, 2, 1], "waiting": 1, "acquired": 5, "returned": 4,
            "leaked": 1, "overdue": 0, "timeouts": 1, "queued": 2, "lost": 1, "plain again": True,
        }  # fmt: skip
