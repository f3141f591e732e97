"""What the demand histogram costs: instrumented pools with and without it, in turns, in one run.

    python -m bench.demand_cost [--rounds 60]

The client without it is the same code less the statements that add up the time of each level. The
medians of CPU time are compared, and the ratio to a checkout with its return is printed; a real
PostgreSQL serves the pools.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import os
import tempfile
from contextlib import AsyncExitStack
from typing import Any
from unittest.mock import patch

from bench.client_overhead import Row, compare
from bench.pools import SUBJECTS, Subject
from pg_pool_exporter.client import instrument, totals, tracker
from support.postgres import EMBEDDED_16, Cluster

_OF_DEMAND = """\
            if time > demand.until:
                # Not `min`, which would cost more than the rest.
                levels[level if level < TOP else TOP] += time - demand.until  # noqa: FURB136
                demand.until = time
"""


def without_demand() -> type[totals.Totals]:
    """`Totals` that count no time by level."""
    source = inspect.getsource(totals)
    assert _OF_DEMAND in source
    made: dict[str, Any] = {"__name__": totals.__name__}
    exec(compile(source.replace(_OF_DEMAND, ""), "totals without demand", "exec"), made)
    return made["Totals"]  # type: ignore[no-any-return]


async def measure(subject: Subject, dsn: str, rounds: int) -> Row:
    """Seconds of a checkout with its return, without and with the histogram."""
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(subject.pool(dsn)) for _ in range(2)]
        with patch.object(tracker, "Totals", without_demand()):
            instrument(pools[0], app="bench", name="without")
        instrument(pools[1], app="bench", name="with")
        return await compare(subject.name, subject.check_out, pools, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    print("| a checkout and its return | without | with | added | with / without |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory, Cluster(EMBEDDED_16) as cluster:
        os.environ["PG_POOL_EXPORTER_SOCKET_DIR"] = directory
        for subject in SUBJECTS:
            name, less, more = asyncio.run(measure(subject, cluster.dsn(), options.rounds))
            print(
                f"| {name} | {less * 1e6:.2f} µs | {more * 1e6:.2f} µs "
                f"| {(more - less) * 1e6:.2f} µs | {more / less:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
