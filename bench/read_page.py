"""Time of reading pages of about 2,000 lines, against prometheus_client's parser on the same page.

    python -m bench.read_page

One page is our own client's, whose lines are all wanted; the other is a Spring Boot Actuator's, of
which a few lines are about the pool. Prints a Markdown table.
"""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import POOL, of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.actuator_page import actuator_page

POOLS = 30
ROUNDS = 15
DEFAULTS = TargetDefaults(app="orders", process="orders:8080")


def example(number: int) -> PoolSample:
    """A pool with every field set."""
    return PoolSample(
        key=PoolId("orders", f"pool-{number}", "web-1.example:0"),
        client_key=None,
        timeouts={"pool": 3, "connect": 1},
        leaked_slots={"/srv/orders/views.py:120 checkout": 2},
        overdue={"/srv/orders/views.py:87 export": 1},
        reclaimed={"/srv/orders/views.py:64 search": 5},
        instances={"/srv/orders/db.py:12 <module>": 1},
        acquire=Histogram(tuple(range(len(c.ACQUIRE_BOUNDS) + 1)), 12.375),
        hold=Histogram(tuple(range(len(c.HOLD_BOUNDS) + 1)), 98.0625),
        demand=Histogram(tuple(range(len(c.DEMAND_BOUNDS) + 1)), 310.5),
        info=PoolInfo(client="psycopg_pool", pid="4711", host="db.example", port="5432"),
        **{scalar.field: at + number / 8 for at, scalar in enumerate(POOL.scalars)},
    )


def native_page() -> bytes:
    """A page as our client serves it."""
    return page([blocks(of_pools(example(number) for number in range(POOLS)))]).encode()


def best(work: Callable[[], object]) -> float:
    """Shortest of several runs, in seconds."""
    return min(repeat(work, number=1, repeat=ROUNDS))


def reader() -> PageReader:
    """A reader as an app has it whose format is `auto`."""
    return PageReader(automatic(), DEFAULTS)


def rows(name: str, body: bytes) -> None:
    """Print the rows of the three readings of one page."""
    text = body.decode()
    used = reader()
    assert used.read(body).pools
    times = {
        "prometheus_client's parser": best(lambda: list(text_string_to_metric_families(text))),
        "first reading": best(lambda: reader().read(body)),
        "repeated reading": best(lambda: used.read(body, used.quick_lines(body))),
    }
    lines = text.count("\n")
    reference = times["prometheus_client's parser"]
    for reading, seconds in times.items():
        print(
            f"| {name}, {lines:,} lines, {len(body) // 1024} KiB | {reading} | {seconds * 1e3:.2f} "
            f"| {seconds / lines * 1e6:.2f} | {reference / seconds:.1f} |"
        )


def main() -> None:
    """Print the table."""
    print(f"Best of {ROUNDS} readings of each page.\n")
    print("| page | reading | ms | µs a line | times faster |")
    print("|---|---|---|---|---|")
    rows(f"our own, {POOLS} pools", native_page())
    rows("Actuator, one pool", actuator_page())


if __name__ == "__main__":
    main()
