"""Time of pytest over empty tests: without our plugin, with it, and with it at work.

    python -m bench.testing_plugin [--rounds 10] [--tests 500]

Prints a Markdown table: medians, and the ratio to pytest without the plugin. In each test that is
watched a connection of a pool is checked out and returned; the last two rows show what that costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from support.postgres import EMBEDDED_16, Cluster

_EMPTY = """
import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_nothing(number):
    pass
"""
_POOL = """
import pytest
from psycopg_pool import ConnectionPool

@pytest.fixture(scope="session")
def pool():
    with ConnectionPool({dsn!r}, min_size=1, open=True) as pool:
        yield pool

@pytest.mark.parametrize("number", range({tests}))
def test_a_checkout(number, pool):
    with pool.connection():
        pass
"""


def seconds(directory: Path, *arguments: str) -> float:
    """Run pytest there to its end."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    start = time.perf_counter()
    subprocess.run(
        command, cwd=directory, check=True, stdout=subprocess.DEVNULL, env={**os.environ}
    )
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tests", type=int, default=500)
    options = parser.parse_args()
    runs = {
        "empty tests, no plugin": ("empty", ["-p", "no:pg_pool_leaks"]),
        "empty tests, plugin not asked for": ("empty", []),
        "empty tests, `--pg-pool-leaks`": ("empty", ["--pg-pool-leaks"]),
        "a checkout each, no plugin": ("pool", ["-p", "no:pg_pool_leaks"]),
        "a checkout each, `--pg-pool-leaks`": ("pool", ["--pg-pool-leaks"]),
    }
    with Cluster(EMBEDDED_16) as postgres, tempfile.TemporaryDirectory() as scratch:
        for name, code in (("empty", _EMPTY), ("pool", _POOL)):
            directory = Path(scratch, name)
            directory.mkdir()
            (directory / "pytest.ini").write_text("[pytest]\n")
            text = code.format(tests=options.tests, dsn=postgres.dsn())
            (directory / "test_it.py").write_text(text)
        # In turns, so that a busy machine slows all of them alike.
        times = [
            {name: seconds(Path(scratch, where), *given) for name, (where, given) in runs.items()}
            for _ in range(options.rounds)
        ]
    print("| run | seconds | ratio |\n|---|---:|---:|")
    for name, (where, _) in runs.items():
        floor = next(other for other, (directory, _) in runs.items() if directory == where)
        ratio = median(one[name] / one[floor] for one in times)
        print(f"| {name} | {median(one[name] for one in times):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
