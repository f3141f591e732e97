"""Time of reading one native page of about 2,000 lines, against prometheus_client's parser."""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter import catalogue as c
from pg_pool_exporter.model import Histogram, PoolInfo, PoolKey, PoolSample
from pg_pool_exporter.series import POOL_SCALARS, of_pools
from pg_pool_exporter.sources.text_reader import PageReader
from pg_pool_exporter.textformat import blocks, page

POOLS = 30
ROUNDS = 15


def example(number: int) -> PoolSample:
    """A pool with every field set."""
    return PoolSample(
        key=PoolKey("orders", f"pool-{number}", "web-1.example:0"),
        timeouts={"pool": 3, "connect": 1},
        leaked_slots={"/srv/orders/views.py:120 checkout": 2},
        overdue={"/srv/orders/views.py:87 export": 1},
        acquire=Histogram(tuple(range(len(c.ACQUIRE_BOUNDS) + 1)), 12.375),
        hold=Histogram(tuple(range(len(c.HOLD_BOUNDS) + 1)), 98.0625),
        info=PoolInfo(client="psycopg_pool", pid="4711", host="db.example", port="5432"),
        **{scalar.field: at + number / 8 for at, scalar in enumerate(POOL_SCALARS)},
    )


def best(work: Callable[[], object]) -> float:
    """Shortest of several runs, in seconds."""
    return min(repeat(work, number=1, repeat=ROUNDS))


def main() -> None:
    """Print a table of the three readings of one page."""
    text = page([blocks(of_pools(example(number) for number in range(POOLS)))])
    body = text.encode()
    reader = PageReader()
    reader.read(body)
    times = {
        "prometheus_client's parser": best(lambda: list(text_string_to_metric_families(text))),
        "first reading": best(lambda: PageReader().read(body)),
        "repeated reading": best(lambda: reader.read(body)),
    }
    lines = text.count("\n")
    reference = times["prometheus_client's parser"]
    print(f"One page of {lines} lines, {len(body)} bytes, {POOLS} pools; best of {ROUNDS}.\n")
    print("| reading | ms | µs a line | times faster |")
    print("|---|---|---|---|")
    for name, seconds in times.items():
        print(
            f"| {name} | {seconds * 1e3:.2f} | {seconds / lines * 1e6:.2f} | "
            f"{reference / seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
