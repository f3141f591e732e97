"""Whether the advised sizes keep what they promise, for workloads on a virtual clock.

    python -m bench.sizing

Each workload is measured at a size. Then it runs again, with other random numbers, at the advised
sizes, and at one less than for 99.9 %. Shares are of the busiest hour's time without a free
connection, of requests that wait, and of those that wait longer than 0.1 s.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pg_pool_exporter.analysis.advice.sizes import sizes
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


def main() -> None:
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


if __name__ == "__main__":
    main()
