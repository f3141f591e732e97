"""Whether the advised sizes keep what they promise, for workloads on a virtual clock.

    python -m bench.sizing [--live]

Each workload is measured at a size. Then it runs again, with other random numbers, at the advised
sizes, and at one less than for 99.9 %. Shares are of the busiest hour's time without a free
connection, of requests that wait, and of those that wait longer than 0.1 s. `--live`: with a real
pool (`bench.sizing_live`), which takes three minutes, and fails if a promise is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Sequence

from bench import sizing_live
from bench.sizing_live import rows
from pg_pool_exporter.analysis.advice.sizes import sizes
from support.postgres import EMBEDDED_16, Cluster
from support.queueing import WORKLOADS, Workload, run

_WAIT = 0.1
_SEEDS = (11, 12, 13)


def outcome(work: Workload, size: int, seeds: Sequence[int]) -> tuple[float, float, float]:
    """Shares of the time saturated, of the requests that wait, and that wait for long."""
    made = [run(work, size, seed, _WAIT) for seed in seeds]
    return (
        statistics.fmean(one.saturated for one in made),
        statistics.fmean(one.waited for one in made),
        statistics.fmean(one.late for one in made),
    )


def virtual() -> None:
    """Print the table for the virtual clock."""
    print(
        "| workload | measured at | no connection free | for 99 % | then | requests | for 99.9 % "
        "| then | requests | one less | for 0.1 s | then late |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for work in WORKLOADS:
        seeds = _SEEDS if work.hours == 1 else _SEEDS[:1]
        first = run(work, work.size, 1, _WAIT)
        needed = sizes(first.day.busiest, _WAIT)
        assert needed is not None
        assert needed.for_wait is not None
        nearly, most = needed.for_shares
        at_least = "at least " if needed.at_least else ""
        at_99, at_999 = outcome(work, nearly, seeds), outcome(work, most, seeds)
        print(
            f"| {work.name} | {work.size} | {first.saturated:.2%} "
            f"| {at_least}{nearly} | {at_99[0]:.2%} | {at_99[1]:.2%} "
            f"| {at_least}{most} | {at_999[0]:.3%} | {at_999[1]:.2%} "
            f"| {outcome(work, most - 1, seeds)[0]:.3%} "
            f"| {needed.for_wait} | {outcome(work, needed.for_wait, seeds)[2]:.2%} |",
            flush=True,
        )


def live() -> bool:
    """Print the table for a real pool; whether each promise holds."""
    with Cluster(EMBEDDED_16, settings={"max_connections": "200"}) as cluster:
        made = asyncio.run(rows(cluster.dsn(), sizing_live.WORKLOADS, sizing_live.SECONDS))
    print(
        "| workload | measured at | no connection free | for 99 % | then | requests | for 99.9 % "
        "| then | requests | one less | for the wait | then late |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for row in made:
        nearly, most = row.needed.for_shares
        print(
            f"| {row.work.name} | {row.work.size} | {row.first.saturated:.2%} "
            f"| {nearly} | {row.at_99.saturated:.2%} | {row.at_99.waited:.2%} "
            f"| {most} | {row.at_999.saturated:.2%} | {row.at_999.waited:.2%} "
            f"| {row.one_less.saturated:.2%} "
            f"| {row.needed.for_wait} | {row.for_wait.late:.2%} |"
        )
    return all(row.is_kept for row in made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", action="store_true")
    if not parser.parse_args().live:
        virtual()
    elif not live():
        raise SystemExit("a promise is missed by more than two points")


if __name__ == "__main__":
    main()
