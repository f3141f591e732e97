"""Reads one log as the exporter does, in a process of its own: see `bench.log_throughput`.

Prints seconds of processor time, events counted, and by how many MiB the resident memory grew at
most, as JSON. With `--idle`: milliseconds
of processor time for a poll that finds nothing new.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.server_log.format.layouts import Format
from support.server_log import Follower

_IDLE_POLLS = 500


def read(path: Path, form: Format) -> tuple[float, int, float]:
    """Read the file at `path` from its beginning; see above."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        follower = Follower(Path(name), "log", state=Path(name) / "state", form=form)
        follower.failure()  # from now on a file is a new one
        os.link(path, Path(name) / "log")
        memory = _memory()
        started = time.process_time()
        counts = follower.poll()
        while counts.lag:
            counts = follower.poll()
        seconds = time.process_time() - started
        follower.stop()
    return seconds, _events(counts), _memory() - memory


def _memory() -> float:
    """Most resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _events(counts: LogCounts) -> int:
    by_database = (counts.opened or {}, counts.closed or {}, *counts.timeouts.values())
    return int(sum(sum(one.values()) for one in (*by_database, counts.refused)))


def idle() -> float:
    """See above."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "log").write_bytes(b"\n" * 10_000)
        follower = Follower(Path(name), "*", state=Path(name) / "state")
        follower.poll()
        started = time.process_time()
        for _ in range(_IDLE_POLLS):
            follower.poll()
        spent = time.process_time() - started
        follower.stop()
    return spent / _IDLE_POLLS * 1000


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1] == "--idle":
        print(f"{idle():.2f}")
    else:
        print(json.dumps(read(Path(sys.argv[1]), cast("Format", sys.argv[2]))))


if __name__ == "__main__":
    main()
