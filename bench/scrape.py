"""How fast a scrape is: `python -m bench.scrape`, from the root of the repository.

Compares in one run the exporter (while it polls), prometheus_client's server with the same samples,
and the HTTP library alone with a constant body. The clients are processes of their own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.scrape_load import Scrapes, load, percentile

SERVERS = ("exporter", "constant", "prometheus_client")


@contextmanager
def serving(name: str, series: int) -> Iterator[int]:
    """Run one server; yields its port."""
    command = [sys.executable, "-m", "bench.scrape_servers", name, str(series)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def row(name: str, clients: int, gzip: bool, found: Scrapes) -> str:
    """One line of the report, times in milliseconds."""
    times = "".join(
        f"{percentile(values, share) * 1000:10.2f}"
        for values in (found.first_byte, found.last_byte)
        for share in (0.5, 0.99)
    )
    body = f"{'gzip' if gzip else 'plain':8} {found.size / 1024:9.0f}"
    return f"{name:18} {clients:7} {body} {found.per_second:9.1f}{times}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments = parser.parse_args()
    for series in arguments.series:
        print(f"\n{series} series")
        print(
            f"{'server':18} {'clients':>7} {'body':8} {'KiB':>9} {'scrapes/s':>9}"
            f"{'first p50':>10}{'p99 ms':>10}{'last p50':>10}{'p99 ms':>10}"
        )
        results: dict[tuple[str, int], Scrapes] = {}
        for name in SERVERS:
            with serving(name, series) as port:
                for clients, gzip in ((1, False), (10, False), (10, True)):
                    if gzip and name == "constant":
                        continue
                    found = load(port, clients=clients, seconds=arguments.seconds, gzip=gzip)
                    print(row(name, clients, gzip, found), flush=True)
                    if not gzip:
                        results[name, clients] = found
        report(results)


def report(results: dict[tuple[str, int], Scrapes]) -> None:
    """The ratios that the goals are about."""
    ours, theirs = results["exporter", 1], results["prometheus_client", 1]
    faster = ours.per_second / theirs.per_second
    sooner = percentile(theirs.last_byte, 0.5) / percentile(ours.last_byte, 0.5)
    tail = percentile(results["exporter", 10].last_byte, 0.99) / percentile(
        results["constant", 10].last_byte, 0.99
    )
    print(f"against prometheus_client: {faster:.0f} times the scrapes/s, last byte {sooner:.0f}")
    print(f"times sooner; p99 with ten clients: {tail:.2f} times that of a constant body")


if __name__ == "__main__":
    main()
