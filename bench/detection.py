"""What is said of workloads whose truth is known, on the virtual clock.

python -m bench.detection [--only NAME] > docs/detection.md
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from scenarios.verdict import RUNS, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    for scenario, page in RUNS:
        if only and not scenario.name.startswith(only):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as directory:
            verdict = run(scenario, page, Path(directory))
        print(
            f"{scenario.name:18} {page:14} {time.perf_counter() - began:5.1f}s lead={verdict.lead} sat={verdict.saturated} found={ {c.value: t for c, t in verdict.found.items()} }"
        )
        for a in verdict.alerts:
            print("     ", a)
        for fault in verdict.faults():
            print("   !!", fault)
