"""Does the exporter stay the same size while everything around it changes?

    python -m bench.soak [--seconds 3600] [--seed 0]

Runs the daemon before a PostgreSQL, a PgBouncer where it is installed, instrumented processes,
metrics pages and lists. Every few seconds something happens to one of them: it restarts, hangs,
rotates its log, ends, or is new under a name never seen before. Scrapers ask for every path
meanwhile.

After a warm-up (a quarter of the run, at most five minutes) it measures every five seconds, of the
exporter and of an instrumented application that runs throughout: resident memory, Python objects,
asyncio tasks, threads, descriptors, TCP sockets, and the exporter's sessions on the server. A
figure grows if the median of its last third exceeds that of its first by more than its tolerance.

The exit code is 1 if a figure grows, if a target stays down after everything has recovered, if a
request had no answer, or if the exporter has logged a stack.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from bench.soak.clients import Scrapers
from bench.soak.stage import Stage
from bench.soak.trend import Tolerance, Trend, trend

EVENT_SECONDS = 2.0
SAMPLE_SECONDS = 5.0
MAX_WARM_UP = 300.0
MIN_SECONDS = 180.0
"""Shorter runs have too few samples."""
TOLERANCES = {
    "memory, MiB": Tolerance(4, share=0.05),
    "objects": Tolerance(3000, share=0.03),
    "tasks": Tolerance(8),
    "threads": Tolerance(3),
    "descriptors": Tolerance(8),
    "TCP sockets": Tolerance(6),
    "PostgreSQL sessions": Tolerance(1),
}


def run(stage: Stage, seconds: float) -> tuple[dict[str, list[float]], Counter[str]]:
    """Let things happen for `seconds`; the samples by figure, and how often each thing happened."""
    begin = time.monotonic()
    warm = begin + min(MAX_WARM_UP, seconds / 4)
    next_sample = warm
    samples: dict[str, list[float]] = defaultdict(list)
    happened: Counter[str] = Counter()
    events = stage.events()
    turns: list[str] = []
    while time.monotonic() < begin + seconds:
        if not turns:  # each once, in a new order
            turns = random.sample(sorted(events), len(events))
        name = turns.pop()
        events[name]()
        happened[name] += 1
        if time.monotonic() >= next_sample:
            next_sample = time.monotonic() + SAMPLE_SECONDS
            for figure, value in stage.figures().items():
                samples[figure].append(value)
        time.sleep(random.uniform(0, 2 * EVENT_SECONDS))
    return samples, happened


def table(trends: dict[str, Trend]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| | first third | last third | largest | may grow by | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {name} | {one.before:,.0f} | {one.after:,.0f} | {one.largest:,.0f} "
        f"| {one.allowed:,.0f} | {'GROWS' if one.grows else 'flat'} |"
        for name, one in trends.items()
    ]
    return "\n".join(lines)


def main() -> int:
    """Run it, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0, help="of the order of events")
    arguments = parser.parse_args()
    if arguments.seconds < MIN_SECONDS:
        parser.error(f"--seconds must be at least {MIN_SECONDS:g}")
    random.seed(arguments.seed)
    # So that the servers and processes are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faults = []
    with tempfile.TemporaryDirectory(prefix="pgpe-soak-") as name, Stage(Path(name)) as stage:
        scrapers = Scrapers(stage.port)
        with scrapers.running():
            samples, happened = run(stage, arguments.seconds)
        try:
            stage.recover()
        except TimeoutError as error:
            faults.append(str(error))
        log = stage.log
    trends = {
        name: trend(values, TOLERANCES[name.partition(": ")[2]]) for name, values in samples.items()
    }
    faults += [f"{name} grows" for name, one in trends.items() if one.grows]
    if "Traceback" in log:
        faults.append(f"the exporter logged a stack:\n{log[log.index('Traceback') - 500 :][:5000]}")
    if scrapers.answers["failed"]:
        faults.append(f"{scrapers.answers['failed']} requests without an answer")
    print(f"{arguments.seconds:g} s, {len(next(iter(samples.values())))} samples.\n")
    print(table(trends))
    print(f"\nEvents: {dict(sorted(happened.items()))}")
    print(f"Answers: {dict(sorted(scrapers.answers.items()))}")
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
