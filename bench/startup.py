"""CPU and wall time until the command answers, paired with `python -c pass`.

    python -m bench.startup [--rounds 20]

Prints a Markdown table with medians. `doctor --url` asks a port that nothing listens on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median
from typing import NamedTuple

from support.programs import exporter, free_port


class Times(NamedTuple):
    """Of one process, in seconds."""

    wall: float
    cpu: float


def measured(command: list[str]) -> Times:
    """Run `command` to its end."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system
    return Times(wall, cpu - before.children_user - before.children_system)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds: int = parser.parse_args().rounds
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "--version": exporter("--version"),
        "--help": exporter("--help"),
        "doctor --url": exporter("doctor", f"--url=http://127.0.0.1:{free_port()}"),
        "check-config": exporter("check-config"),
    }
    # In turns, so that a busy machine slows all of them alike.
    times = [{name: measured(command) for name, command in commands.items()} for _ in range(rounds)]
    print("| command | wall ms | CPU ms |\n|---|---:|---:|")
    for name in commands:
        wall = median(one[name].wall for one in times)
        cpu = median(one[name].cpu for one in times)
        print(f"| `{name}` | {wall * 1e3:.0f} | {cpu * 1e3:.0f} |")


if __name__ == "__main__":
    main()
