"""How often Little's law takes healthy workloads for leaks, and how soon it names leaks.

    python -m bench.little                         # 200 seeds each: an hour on one quiet core
    python -m bench.little --seeds 20 --only leak
    python -m bench.little --seeds 100 --first 101  # those that a run with 100 has left out

Runs the scenarios behind another library's page with different random numbers on the virtual clock.
The exporter's own code correlates both sides; rules and promtool, which cost most of the time, are
left out. Ends with 1 when a healthy workload is taken for a leak, or a leak is missed.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from queue import Empty
from statistics import median
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.config import AppConfig
from scenarios.scenario import FAULT, HOUR, Scenario, Setup
from scenarios.verdict import SCENARIOS

_ORDERS = ("foreign, FIFO", "foreign, LIFO")


class Run(NamedTuple):
    """One scenario with one seed. Times are seconds from the start."""

    named: float | None
    """When connections were unexplained first."""
    saturated: float | None


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="runs of each scenario")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    options = parser.parse_args()
    chosen = [
        scenario
        for scenario in SCENARIOS
        if (scenario.leak or not scenario.causes)
        and scenario.name.startswith(options.only)
        and any(page in _ORDERS for page in scenario.pages)
    ]
    seeds = range(options.first, options.first + options.seeds)
    print("| workload | runs | named | before a leak | median, most seconds to it | least lead |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    failed = False
    with ProcessPoolExecutor(options.jobs, initializer=gc.freeze) as pool:
        for scenario in chosen:
            row, is_wrong = _row(scenario, pool.map(partial(_run, scenario.name), seeds))
            failed |= is_wrong
            print(row, flush=True)
    return 1 if failed else 0


def _run(name: str, seed: int) -> Run:
    """Odd seeds are FIFO pools, even ones LIFO."""
    scenario = next(one for one in SCENARIOS if one.name == name)
    setup = Setup(
        native=False, lifo=seed % 2 == 0, long_lived=scenario.long_lived,
        bouncers=scenario.bouncers, seed=seed, judged=False,
    )  # fmt: skip
    changes = setup.exporter.store.subscribe()
    scenario.build(setup)
    setup.world.run(min(scenario.hours, 1.0) * HOUR)
    apps = ("orders", "billing", "reports")
    correlation = Correlation(
        [
            AppConfig(name=app, long_lived=scenario.long_lived, bouncers=scenario.bouncers)
            for app in apps
        ]
    )
    named: float | None = None
    try:
        while named is None:
            key, state = change = changes.get_nowait()
            correlation.follow(change)
            if key.kind == "server" and state is not None:
                evidence = correlation.evidence(state.taken).values()
                if any(one.unexplained for one in evidence):
                    named = state.taken
    except Empty:
        pass
    return Run(named, setup.saturated)


def _row(scenario: Scenario, runs: Iterable[Run]) -> tuple[str, bool]:
    """A line of the table, and whether something is wrong in it."""
    runs = list(runs)
    named = [run.named for run in runs if run.named is not None]
    early = [at for at in named if not scenario.leak or at < FAULT]
    cells = [scenario.title, str(len(runs)), str(len(named)), str(len(early))]
    if scenario.leak:
        after = [at - FAULT for at in named]
        leads = [
            (run.saturated - run.named) / (run.saturated - FAULT)
            for run in runs
            if run.saturated is not None and run.named is not None
        ]
        cells += [
            f"{median(after):.0f}, {max(after):.0f}" if after else "-",
            f"{min(leads):.0%}" if leads else "-",
        ]
    else:
        cells += ["-", "-"]
    missed = scenario.leak and len(named) < len(runs)
    return f"| {' | '.join(cells)} |", bool(early) or missed


if __name__ == "__main__":
    sys.exit(main())
